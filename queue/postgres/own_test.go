package postgres

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// lease is short enough for tests, and long enough for a machine that is busy.
const lease = 3 * time.Second

func agent(t testing.TB, url, name string, o Options) *Queue {
	o.URL, o.Agent, o.Lease = url, name, lease
	return open(t, o)
}

func holds(n int) func(map[string]queue.Holding) bool {
	return func(held map[string]queue.Holding) bool { return len(held) == n }
}

func TestOwn_AgentsShareTheWebhooksAndTakeOverFromOneThatLeaves(t *testing.T) {
	url := pgtest.Server(t)
	webhooks := []string{"a", "b", "c", "d"}
	first := serve(t, agent(t, url, "first", Options{}), webhooks...)
	first.until(t, "serve all while alone", holds(4))
	q := agent(t, url, "second", Options{})
	second := serve(t, q, webhooks...)
	second.until(t, "serve half", holds(2))
	first.until(t, "serve the other half", holds(2))
	for name := range second.holding() {
		if _, both := first.holding()[name]; both {
			t.Errorf("%s is served by both", name)
		}
	}
	agents, err := q.Agents(t.Context())
	if err != nil || len(agents) != 2 || !agents[0].Live || len(agents[0].Webhooks) != 2 || len(agents[1].Webhooks) != 2 {
		t.Errorf("%+v, %v", agents, err)
	}
	first.stop()
	second.until(t, "serve what the first let go", holds(4))
	if agents, err := q.Agents(t.Context()); err != nil || agents[0].Live || !agents[0].Stopped || len(agents[0].Webhooks) != 0 || agents[1].Stopped {
		t.Errorf("%+v, %v", agents, err)
	}
	if err := q.ForgetAgent(t.Context(), "second"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a live agent was forgotten: %v", err)
	}
	if err := q.ForgetAgent(t.Context(), "first"); err != nil {
		t.Error(err)
	}
}

// One that was stopped is forgotten by itself in the end; one that is silent is not.
func TestAgents_OneThatWasStoppedIsForgotten(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "second", Options{})
	for _, name := range []string{"first", "gone"} {
		a := serve(t, agent(t, url, name, Options{}), "a")
		a.until(t, "serve it", holds(1))
		a.stop()
	}
	execute(t, url, "UPDATE agent.member SET process = 'killed' WHERE name = 'gone'")
	kept := func(ago string) (names []string) {
		execute(t, url, "UPDATE agent.member SET seen = clock_timestamp() - interval '"+ago+"'")
		if err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		agents, err := q.Agents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range agents {
			names = append(names, a.Name)
		}
		return names
	}
	if names := kept("71 h"); !slices.Equal(names, []string{"first", "gone"}) {
		t.Errorf("%v", names)
	}
	if names := kept("73 h"); !slices.Equal(names, []string{"gone"}) {
		t.Errorf("%v", names)
	}
}

func (a *serving) holding() map[string]queue.Holding {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// What an agent lets go is another's only once its requests have ended.
func TestOwn_WhatIsBusyIsNotLetGo(t *testing.T) {
	url := pgtest.Server(t)
	first := serve(t, agent(t, url, "first", Options{}), "a", "b")
	first.until(t, "serve all", holds(2))
	first.mu.Lock()
	first.busy["a"], first.busy["b"] = true, true
	first.mu.Unlock()
	second := serve(t, agent(t, url, "second", Options{}), "a", "b")
	first.until(t, "begin nothing of one", holds(1))
	if held := second.holding(); len(held) != 0 {
		t.Errorf("the second serves %v already", held)
	}
	first.mu.Lock()
	clear(first.busy)
	first.mu.Unlock()
	second.until(t, "serve it", holds(1))
}

func TestOwn_OneNameIsOneProcess(t *testing.T) {
	url := pgtest.Server(t)
	first := serve(t, agent(t, url, "same", Options{}), "a")
	first.await(t, "a")
	before := first.epoch("a")
	second := serve(t, agent(t, url, "same", Options{}), "a")
	second.await(t, "a") // at once: it was started again
	first.until(t, "stop", holds(0))
	first.stop()
	if !errors.Is(first.err, ErrNameTaken) {
		t.Errorf("the first ended with %v", first.err)
	}
	if after := second.epoch("a"); after <= before {
		t.Errorf("epoch %d after %d", after, before)
	}
}

// taken has a delivery under way at one agent when another takes its webhook.
func taken(t *testing.T) (old, successor *Queue, d queue.Delivery, epoch, next int64) {
	t.Helper()
	url := pgtest.Server(t)
	old = agent(t, url, "old", Options{})
	a := serve(t, old, "a")
	a.await(t, "a")
	epoch = a.epoch("a")
	commit(t, old, queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "a")}})
	d = due(t, old, "a")[0]
	a.stop()
	successor = agent(t, url, "successor", Options{})
	b := serve(t, successor, "a")
	b.await(t, "a")
	return old, successor, d, epoch, b.epoch("a")
}

func outcome(d queue.Delivery, epoch int64, status queue.Status, n int) queue.Outcome {
	o := queue.Outcome{DeliveryID: d.ID, Epoch: epoch, Status: status, Attempt: queue.Attempt{N: n, At: time.Now()}}
	if status == queue.Retrying {
		o.Due = time.Now().Add(time.Minute)
	}
	return o
}

func TestRecord_ALateFailureIsHistoryOnly(t *testing.T) {
	old, successor, d, epoch, next := taken(t)
	var notOwner *queue.NotOwner
	err := old.Record(t.Context(), outcome(d, epoch, queue.Failed, 1))
	if !errors.As(err, &notOwner) || !slices.Equal(notOwner.Webhooks, []string{"a"}) {
		t.Fatalf("%v", err)
	}
	got, err := successor.Get(d.ID)
	if err != nil || got.Status != queue.Pending || got.Spent != 0 || len(got.History) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if ds := due(t, successor, "a"); len(ds) != 1 {
		t.Fatalf("%d are due", len(ds))
	}
	if err := successor.Record(t.Context(), outcome(d, next, queue.Success, 2)); err != nil {
		t.Fatal(err)
	}
}

func TestRecord_ALateSuccessClosesTheDelivery(t *testing.T) {
	old, successor, d, epoch, next := taken(t)
	if err := successor.Record(t.Context(), outcome(d, next, queue.Failed, 1)); err != nil {
		t.Fatal(err)
	}
	if err := old.Record(t.Context(), outcome(d, epoch, queue.Success, 1)); !errors.Is(err, queue.ErrNotOwner) {
		t.Fatalf("%v", err)
	}
	got, err := successor.Get(d.ID)
	if err != nil || got.Status != queue.Success || len(got.History) != 2 || len(due(t, successor, "a")) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if c := successor.Counts()["a"]; c[queue.Success] != 1 || c[queue.Failed] != 0 || c[queue.Pending] != 0 {
		t.Fatalf("%v", c)
	}
}

func TestRecord_TheSameOutcomeTwiceCountsOnce(t *testing.T) {
	q := open(t, Options{})
	a := serve(t, q, "a")
	a.await(t, "a")
	commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "a")}})
	o := outcome(due(t, q, "a")[0], a.epoch("a"), queue.Retrying, 1)
	for range 2 {
		if err := q.Record(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := q.Get(o.DeliveryID); err != nil || got.Spent != 1 || len(got.History) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestState_IsTheServersAndThePauseEverybodys(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "server", Options{})
	a := serve(t, q, "a")
	a.await(t, "a")
	other := agent(t, url, "other", Options{})
	for _, epoch := range []int64{0, a.epoch("a")} {
		if err := other.SetState(t.Context(), "a", epoch, []byte(`{}`)); !errors.Is(err, queue.ErrNotOwner) {
			t.Errorf("epoch %d of another's: %v", epoch, err)
		}
	}
	if err := q.SetState(t.Context(), "a", a.epoch("a"), []byte(`{"held":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := other.SetPause(t.Context(), "a", []byte(`{"reason":"x"}`)); err != nil {
		t.Fatal(err)
	}
	a.until(t, "hear of the pause", func(held map[string]queue.Holding) bool { return string(held["a"].Pause) == `{"reason":"x"}` })
	if state, err := other.State("a"); err != nil || string(state) != `{"held":1}` {
		t.Errorf("%s, %v", state, err)
	}
}

// What one agent commits, the one that serves the webhook hears of.
func TestNotify_ReachesTheServer(t *testing.T) {
	url := pgtest.Server(t)
	var heard atomic.Bool
	done := make(chan struct{})
	q := agent(t, url, "server", Options{Notify: func(webhooks []string) {
		if slices.Contains(webhooks, "a") && heard.CompareAndSwap(false, true) {
			close(done)
		}
	}})
	serve(t, q, "a").await(t, "a")
	reader := agent(t, url, "reader", Options{})
	if _, err := reader.Commit(context.Background(), queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "a")}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody said so")
	}
	if len(due(t, q, "a")) != 1 {
		t.Fatal("it is not due")
	}
}
