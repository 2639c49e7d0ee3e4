package postgres

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
	"github.com/dawnsystem/intellidocs-agent/queue/queuetest"
)

// databaseStore is a queue's database.
type databaseStore string

func (s databaseStore) Open(t testing.TB, o queuetest.Options) (queuetest.Engine, func(string) int64) {
	t.Helper()
	q, err := Open(context.Background(), Options{
		URL: string(s), Agent: "agent-0", Replication: "trust", Retention: o.Retention, DedupWindow: o.DedupWindow, Now: o.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := serve(t, q, o.Webhooks...)
	a.await(t, o.Webhooks...)
	return &served{q, a}, a.epoch
}

// served is a queue that lets go what it serves when it is closed.
type served struct {
	*Queue
	a *serving
}

func (s *served) Close() error {
	s.a.stop()
	return s.Queue.Close()
}

// serving is an agent's part in sharing the webhooks.
type serving struct {
	stop    func() // ends it, and waits until it has
	changed chan struct{}

	mu       sync.Mutex
	webhooks []queue.Served
	held     map[string]queue.Holding
	busy     map[string]bool
	told     chan struct{} // closed at the next change
	err      error
}

func serve(t testing.TB, q *Queue, webhooks ...string) *serving {
	a := &serving{changed: make(chan struct{}, 1), told: make(chan struct{}), busy: map[string]bool{}}
	a.configure(webhooks...)
	<-a.changed
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.err = q.Own(ctx, queue.Server{
			Webhooks: func() []queue.Served { a.mu.Lock(); defer a.mu.Unlock(); return a.webhooks },
			Changed:  a.changed,
			Hold:     a.hold,
			Busy:     func(webhook string) bool { a.mu.Lock(); defer a.mu.Unlock(); return a.busy[webhook] },
			Status:   func() queue.AgentStatus { return queue.AgentStatus{} },
		})
	}()
	a.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(a.stop)
	return a
}

func (a *serving) configure(webhooks ...string) {
	a.mu.Lock()
	a.webhooks = nil
	for _, w := range webhooks {
		a.webhooks = append(a.webhooks, queue.Served{Webhook: w, Timeout: time.Second})
	}
	a.mu.Unlock()
	a.changed <- struct{}{}
}

func (a *serving) hold(all []queue.Holding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = map[string]queue.Holding{}
	for _, h := range all {
		a.held[h.Webhook] = h
	}
	close(a.told)
	a.told = make(chan struct{})
}

func (a *serving) epoch(webhook string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held[webhook].Epoch
}

// until waits until what the agent serves is as f wants it.
func (a *serving) until(t testing.TB, what string, f func(held map[string]queue.Holding) bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		a.mu.Lock()
		ok, told := f(a.held), a.told
		a.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-told:
		case <-limit:
			t.Fatalf("%s: not within half a minute; it serves %v", what, a.held)
		}
	}
}

func (a *serving) await(t testing.TB, webhooks ...string) {
	t.Helper()
	a.until(t, "serve them", func(held map[string]queue.Holding) bool {
		for _, w := range webhooks {
			if _, ok := held[w]; !ok {
				return false
			}
		}
		return true
	})
}

func TestQueue_BehavesLikeItsModel(t *testing.T) {
	rounds, steps := 3, 60
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		rounds, steps = 20, 150
	}
	queuetest.Model(t, rounds, steps, func(t *testing.T) queuetest.Store { return databaseStore(pgtest.Server(t)) })
}
