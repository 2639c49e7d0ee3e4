package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// fleet is the rest of the agents, as a store tells of them: a test gives this agent holdings
// and takes them away.
type fleet struct {
	store  *modelStore
	mu     sync.Mutex
	server queue.Server
	epochs map[string]int64
	ended  bool
}

func newFleet(store *modelStore) *fleet {
	f := &fleet{store: store, epochs: map[string]int64{}}
	store.own = func(ctx context.Context, s queue.Server) error {
		f.mu.Lock()
		f.server = s
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		f.ended = true
		f.mu.Unlock()
		return nil
	}
	return f
}

// give makes the webhooks this agent's for so long, anew.
func (f *fleet) give(length time.Duration, webhooks ...string) {
	f.mu.Lock()
	for _, w := range webhooks {
		f.epochs[w]++
	}
	f.mu.Unlock()
	f.extend(length, webhooks...)
}

// extend tells that the webhooks are this agent's for so long; no others are.
func (f *fleet) extend(length time.Duration, webhooks ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []queue.Holding
	for _, w := range webhooks {
		state, _ := f.store.State(w)
		pause, _ := f.store.Pause(w)
		all = append(all, queue.Holding{Webhook: w, Epoch: f.epochs[w], Until: time.Now().Add(length), State: state, Pause: pause})
	}
	f.server.Hold(all)
}

func TestHolding_NothingIsSentWithoutOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		f := newFleet(store)
		b := newBench(t, store, hook("a", e), hook("b", e))
		defer b.end()
		b.queue("a", 10)
		b.queue("b", 10)
		after(time.Hour)
		if n := len(e.all()); n != 0 {
			t.Fatalf("%d sent by an agent that serves nothing", n)
		}
		f.give(time.Minute, "a")
		after(time.Second)
		if n := store.count(queue.Success); n != 10 {
			t.Fatalf("%d delivered, want the 10 of the webhook that is its own", n)
		}
		for _, o := range store.recorded {
			if o.Epoch != 1 {
				t.Fatalf("an outcome of epoch %d, want 1", o.Epoch)
			}
		}
		f.extend(time.Minute) // taken away
		b.queue("a", 10)
		after(time.Hour)
		if n := len(e.all()); n != 10 {
			t.Fatalf("%d sent after it was taken away", n-10)
		}
	})
}

func TestHolding_NoRequestBeginsAfterItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		e.took = 700 * time.Millisecond
		store := newModelStore()
		f := newFleet(store)
		h := hook("a", e)
		h.Concurrency = 3
		b := newBench(t, store, h)
		defer b.end()
		b.queue("a", 500)
		f.give(10*time.Second, "a")
		end := time.Now().Add(10 * time.Second)
		after(5 * time.Second)
		f.extend(10*time.Second, "a")
		end = end.Add(5 * time.Second)
		after(time.Hour) // the database is away
		all := e.all()
		for _, s := range all {
			if !s.at.Before(end) {
				t.Fatalf("a request began %s after the end", s.at.Sub(end))
			}
		}
		if want := 3 * 21; len(all) < want || store.count(queue.Success) != len(all) {
			t.Fatalf("%d sent and %d recorded, want at least %d", len(all), store.count(queue.Success), want)
		}
		// Taken again, it goes on.
		f.give(time.Hour, "a")
		after(30 * time.Minute)
		if n := store.count(queue.Success); n != 500 || len(e.all()) != 500 {
			t.Fatalf("%d delivered in %d attempts", n, len(e.all()))
		}
	})
}

func TestHolding_TheWallClockEndsItToo(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		what  string
		lease lease
		want  bool
	}{
		{"none", lease{epoch: 1}, false},
		{"for ever", lease{held: true}, true},
		{"it runs", lease{held: true, until: now.Add(time.Second)}, true},
		{"it is over", lease{held: true, until: now.Add(-time.Second)}, false},
		// As after a sleep of the machine, in which the monotonic clock stood still.
		{"by the wall clock it is over", lease{held: true, until: now.Round(0).Add(-time.Second)}, false},
	} {
		if got := c.lease.valid(now); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}

func TestHolding_WhatWasReadBeforeItWasLostIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		e.took = time.Second
		store := newModelStore()
		f := newFleet(store)
		h := hook("a", e)
		h.Concurrency = 1
		b := newBench(t, store, h)
		defer b.end()
		ids := b.queue("a", 20) // all read ahead
		f.give(time.Hour, "a")
		after(1500 * time.Millisecond)
		f.extend(time.Hour)
		store.set(func() { // the other agent sends the rest
			for _, id := range ids[2:] {
				d := store.find(id)
				d.Status, d.NextAttemptAt = queue.Success, time.Time{}
			}
		})
		f.give(time.Hour, "a")
		after(time.Minute)
		if n := len(e.all()); n != 2 {
			t.Fatalf("%d sent, want the 2 that were before it was lost: %v", n, e.ids())
		}
	})
}

func TestHolding_LateOutcomesStopTheServing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		e.took = time.Second
		store := newModelStore()
		f := newFleet(store)
		a, other := hook("a", e), hook("b", e)
		a.Concurrency, other.Concurrency = 1, 1
		b := newBench(t, store, a, other)
		defer b.end()
		b.queue("a", 100)
		b.queue("b", 100)
		f.give(time.Hour, "a", "b")
		after(10500 * time.Millisecond)
		store.set(func() { store.late = []string{"a"} })
		after(time.Minute)
		sent := map[string]int{}
		for _, s := range e.all() {
			sent[store.get(s.id).Webhook]++
		}
		if sent["a"] > 13 || sent["b"] < 60 {
			t.Fatalf("sent %v; a was lost after 11", sent)
		}
		if n := store.count(queue.Success); n != len(e.all())-1 { // one is under way
			t.Errorf("%d of %d recorded: what is late counts too", n, len(e.all()))
		}
		if strings.Contains(b.log.String(), "cannot record") {
			t.Errorf("a late outcome is told as a failure:\n%s", b.log)
		}
		// Taken anew it is served, also where the outcome of an older epoch comes late.
		store.set(func() { store.late = nil })
		f.give(time.Hour, "a", "b")
		after(5 * time.Minute)
		if n := store.count(queue.Success); n != 200 {
			t.Fatalf("%d delivered once it was taken again", n)
		}
	})
}

func TestHolding_TakenUpWithWhatTheLastOneStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		store := newModelStore()
		f := newFleet(store)
		h := hook("a", e)
		h.BreakerFailures, h.MaxRetries = 3, 100
		b := newBench(t, store, h)
		defer b.end()
		b.queue("a", 20)
		f.give(time.Hour, "a")
		after(2 * time.Second)
		if s := b.stateOf(t, "a"); s.State != Held {
			t.Fatalf("state %s, want held", s.State)
		}
		f.extend(time.Hour)
		after(time.Second)
		// The next one found it well, and stored that.
		store.set(func() { store.states["a"] = []byte("{}") })
		e.set(delivered)
		f.give(time.Hour, "a")
		after(time.Second)
		// Three have failed once, and wait for their due time.
		if s := b.stateOf(t, "a"); s.State != Healthy || store.count(queue.Success) < 17 {
			t.Fatalf("state %s, %d delivered: the breaker of an earlier holding holds it", s.State, store.count(queue.Success))
		}
		after(time.Hour / 2)
		// And what another one stored is in force here.
		f.extend(time.Hour)
		store.set(func() {
			store.states["a"] = fmt.Appendf(nil, `{"held":{"since":%q,"failures":9,"delay":60000000000,"probe_at":%q,"digest":"1"}}`,
				time.Now().Format(time.RFC3339Nano), time.Now().Add(5*time.Minute).Format(time.RFC3339Nano))
			store.pauses["a"] = fmt.Appendf(nil, `{"resumed":%q}`, time.Now().Add(-time.Hour).Format(time.RFC3339Nano))
		})
		b.queue("a", 1)
		f.give(time.Hour, "a")
		after(4 * time.Minute)
		if s := b.stateOf(t, "a"); s.State != Held || store.count(queue.Success) != 20 {
			t.Fatalf("state %s, %d delivered: it is held", s.State, store.count(queue.Success))
		}
		after(2 * time.Minute)
		if store.count(queue.Success) != 21 {
			t.Fatal("the probe that was stored did not go out")
		}
	})
}

func TestHolding_ARateIsNotExceededByWhoeverTakesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		f := newFleet(store)
		h := hook("a", e)
		h.RateLimit = 20
		b := newBench(t, store, h)
		defer b.end()
		b.queue("a", 1000)
		began := time.Now()
		for range 100 { // from hand to hand
			f.give(time.Hour, "a")
			after(50 * time.Millisecond)
		}
		if n, most := len(e.all()), int(20*time.Since(began).Seconds())+1; n > most {
			t.Fatalf("%d within %s, want at most %d", n, time.Since(began), most)
		}
	})
}

func TestHolding_PausedAndResumedByAnotherAgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		f := newFleet(store)
		h := hook("a", e)
		h.BreakerFailures, h.MaxRetries = 3, 100
		b := newBench(t, store, h)
		defer b.end()
		f.give(time.Hour, "a")
		store.set(func() { store.pauses["a"] = []byte(`{"reason":"night","since":"2026-01-02T03:04:05Z"}`) })
		f.extend(time.Hour, "a")
		after(time.Second)
		b.queue("a", 5)
		after(time.Minute)
		if s := b.stateOf(t, "a"); s.State != Paused || s.Reason != "night" || len(e.all()) != 0 {
			t.Fatalf("state %+v, %d sent", s, len(e.all()))
		}
		store.set(func() { delete(store.pauses, "a") })
		f.extend(time.Hour, "a")
		after(time.Second)
		if store.count(queue.Success) != 5 {
			t.Fatal("not resumed")
		}
		// Held here, and resumed by an agent that does not serve it.
		e.set(serverError)
		b.queue("a", 5)
		after(20 * time.Minute)
		e.set(delivered)
		store.set(func() { store.pauses["a"] = fmt.Appendf(nil, `{"resumed":%q}`, time.Now().Format(time.RFC3339Nano)) })
		f.extend(time.Hour, "a")
		after(2 * time.Second)
		if s := b.stateOf(t, "a"); s.State != Healthy || store.count(queue.Success) != 10 || string(store.states["a"]) != "{}" {
			t.Fatalf("state %s, %d delivered, stored %s", s.State, store.count(queue.Success), store.states["a"])
		}
	})
}

func TestHolding_ResumedWhereAnotherServesItIsLeftForThatOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		newFleet(store)
		b := newBench(t, store, hook("a", answering(delivered)))
		defer b.end()
		store.set(func() { store.served = true })
		if err := b.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		var p pause
		if err := json.Unmarshal(store.pauses["a"], &p); err != nil || p.Resumed.IsZero() || p.inForce() != nil {
			t.Errorf("stored %s, %v", store.pauses["a"], err)
		}
		if err := b.Pause(t.Context(), "a", "night"); err != nil || !strings.Contains(string(store.pauses["a"]), "night") {
			t.Errorf("stored %s, %v", store.pauses["a"], err)
		}
	})
}

func TestHolding_A410IsLiftedOnlyByAConfigurationLoadedAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		f := newFleet(store)
		at := time.Now()
		store.pauses["a"] = fmt.Appendf(nil, `{"reason":"gone","since":%q,"gone":true,"digest":"newer"}`, at.Format(time.RFC3339Nano))
		h := hook("a", e) // with the older configuration
		h.Loaded = at.Add(-time.Minute)
		b := newBench(t, store, h)
		defer b.end()
		b.queue("a", 1)
		f.give(time.Hour, "a")
		after(time.Minute)
		if len(e.all()) != 0 || b.stateOf(t, "a").State != Paused {
			t.Fatalf("an older configuration has lifted it: %s", store.pauses["a"])
		}
		h.Digest, h.Loaded = "2", time.Now()
		if err := b.Apply([]Webhook{h}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if len(e.all()) != 1 || store.pauses["a"] != nil {
			t.Fatalf("%d sent with a new configuration, stored %s", len(e.all()), store.pauses["a"])
		}
	})
}

func TestHolding_WhatIsUnderWayIsSaidUntilItIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &endpoint{answer: func(context.Context, send.Message) send.Result { <-release; return delivered }}
		store := newModelStore()
		f := newFleet(store)
		b := newBench(t, store, hook("a", e))
		b.queue("a", 1)
		f.give(time.Hour, "a")
		after(time.Second)
		f.extend(time.Hour)
		if !f.server.Busy("a") || f.server.Busy("b") {
			t.Fatal("an attempt under way is not said")
		}
		store.set(func() { store.failRecord = errDisk })
		close(release)
		after(time.Second)
		if !f.server.Busy("a") {
			t.Fatal("an outcome that is not stored yet is not said")
		}
		store.set(func() { store.failRecord = nil })
		after(time.Minute)
		if f.server.Busy("a") || f.ended {
			t.Fatal("still said to be busy, or owning has ended before Run")
		}
		b.end()
		if !f.ended {
			t.Error("what this agent served is not given up at the end")
		}
	})
}

func TestHolding_StatesOfOthersAreWhatTheySay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		f := newFleet(store)
		b := newBench(t, store, hook("mine", answering(delivered)), hook("theirs", answering(delivered)), hook("nobodys", answering(delivered)))
		defer b.end()
		b.agent = "me"
		store.agents = []queue.Agent{
			{Name: "gone", Webhooks: []string{"nobodys"}, Status: queue.AgentStatus{Webhooks: map[string]json.RawMessage{"nobodys": []byte(`{"state":"held"}`)}}},
			{Name: "other", Live: true, Webhooks: []string{"theirs"}, Status: queue.AgentStatus{Webhooks: map[string]json.RawMessage{"theirs": []byte(`{"state":"retrying","reason":"HTTP 500"}`)}}},
		}
		f.give(time.Hour, "mine")
		if s := b.stateOf(t, "mine"); s.Agent != "me" || s.State != Healthy {
			t.Errorf("%+v", s)
		}
		if s := b.stateOf(t, "theirs"); s.Agent != "other" || s.State != Retrying || s.Reason != "HTTP 500" {
			t.Errorf("%+v", s)
		}
		store.agents[1].Seen = time.Now()
		after(time.Second)
		if err := b.Pause(t.Context(), "theirs", "night"); err != nil {
			t.Fatal(err)
		}
		if s := b.stateOf(t, "theirs"); s.Agent != "other" || s.State != Paused {
			t.Errorf("just paused here, and not yet heard of there: %+v", s)
		}
		store.agents[1].Seen = time.Now().Add(time.Second)
		if s := b.stateOf(t, "theirs"); s.State != Retrying {
			t.Errorf("what the other said since does not count: %+v", s)
		}
		if s := b.stateOf(t, "nobodys"); s.Agent != "" || s.State != Healthy {
			t.Errorf("%+v", s)
		}
		if st := f.server.Status(); len(st.Webhooks) != 1 || !strings.Contains(string(st.Webhooks["mine"]), `"healthy"`) {
			t.Errorf("others are told %s", st.Webhooks)
		}
		if own := b.ownStates(); len(own) != 1 {
			t.Errorf("%d webhooks in the metrics, want its own", len(own))
		}
	})
}

// handed is a real queue that several dispatchers share: a test hands its webhooks from one to
// the other.
type handed struct {
	*queue.Queue
	server chan queue.Server
}

func (h handed) Own(ctx context.Context, s queue.Server) error {
	h.server <- s
	<-ctx.Done()
	return nil
}

// Two dispatchers over one real queue send everything once and in order, from hand to hand.
func TestHolding_FromHandToHandOnceAndInOrder(t *testing.T) {
	const events, hands = 400, 40
	q := openQueue(t, t.TempDir())
	defer q.Close()
	all := newReceiver(t, always(200))
	servers := make(chan queue.Server, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 {
		d := New(Options{Store: handed{q, servers}, Grace: 10 * time.Second})
		ordered := realHook(t, "ordered", all.URL)
		ordered.Ordered = true
		if err := d.Apply([]Webhook{ordered}); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	agents := []queue.Server{<-servers, <-servers}
	var batch []queue.NewEvent
	for i := range events {
		batch = append(batch, queue.NewEvent{
			Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", i), Type: "x", ReadAt: time.Now(), Body: fmt.Appendf(nil, `{"n": %d}`, i)},
			Webhooks: []string{"ordered"},
		})
	}
	if _, err := q.Commit(t.Context(), queue.Batch{Source: "log", Events: batch}); err != nil {
		t.Fatal(err)
	}
	for epoch := range hands {
		turn := agents[epoch%2]
		turn.Hold([]queue.Holding{{Webhook: "ordered", Epoch: int64(epoch + 1), Until: time.Now().Add(time.Hour)}})
		if epoch == hands-1 {
			break
		}
		want := len(all.all()) + 5
		eventually(t, "some of them", func() bool { return len(all.all()) >= min(want, events) })
		turn.Hold(nil)
		eventually(t, "the end of what was under way", func() bool { return !turn.Busy("ordered") })
	}
	eventually(t, "all of them", func() bool { return len(all.all()) >= events && q.Counts()["ordered"][queue.Success] == events })
	cancel()
	running.Wait()
	if len(all.all()) != events {
		t.Fatalf("%d requests for %d events", len(all.all()), events)
	}
	for i, a := range all.all() {
		if want := fmt.Sprintf("evt_%032x", i); a.id != want {
			t.Fatalf("request %d is of %s, want %s", i, a.id, want)
		}
	}
}

// A webhook that is disabled is never held. What its new configuration lifts is lifted for good all the same.
func TestPause_LiftedWhileTheWebhookIsDisabledStaysLifted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		run := func(digest string, enabled bool, e *endpoint) State {
			h := hook("a", e)
			h.Digest, h.Enabled = digest, enabled
			b := newBench(t, store, h)
			defer b.end()
			b.queue("a", 1)
			after(time.Second)
			return b.stateOf(t, "a")
		}
		if s := run("1", true, answering(send.Result{Class: send.Gone, Status: 410})); s.State != Paused {
			t.Fatalf("%+v after a 410", s)
		}
		run("2", false, answering(delivered))
		if s := run("1", true, answering(delivered)); s.State == Paused {
			t.Errorf("%+v", s)
		}
	})
}
