package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// What a restart, a reload or the clock must not carry over, and what they must.

func (b *bench) workerCount() int {
	b.Dispatcher.mu.Lock() // b.mu is of its notices
	defer b.Dispatcher.mu.Unlock()
	return len(b.workers)
}

func TestApply_WorkersOfRemovedWebhooksGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		e.took = 10 * time.Second
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		b.queue("a", 2)
		after(time.Second)
		before := runtime.NumGoroutine()
		for i := range 100 {
			if err := b.Apply([]Webhook{hook(fmt.Sprint("renamed ", i), e)}); err != nil {
				t.Fatal(err)
			}
		}
		after(time.Second)
		// Of a, what is under way must be known; of the others there is nothing to know.
		if n, more := b.workerCount(), runtime.NumGoroutine()-before; n != 2 || more > 10 {
			t.Errorf("%d workers and %d goroutines more after 100 reloads", n, more)
		}
		after(time.Minute)
		if n := b.workerCount(); n != 1 || b.store.count(queue.Success) != 2 {
			t.Errorf("%d workers, %d delivered", n, b.store.count(queue.Success))
		}
		b.queue("a", 1)
		if err := b.Apply([]Webhook{hook("a", e)}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if n := b.store.count(queue.Success); n != 3 {
			t.Errorf("%d delivered after its return", n)
		}
	})
}

func TestPause_AfterAFailedWriteIsStoredWhenTheAgentStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		b := newBench(t, store, hook("a", answering(gone)))
		store.set(func() { store.failState = errDisk })
		b.queue("a", 1)
		after(20 * time.Second) // the next try is seconds away
		store.set(func() { store.failState = nil })
		b.end()
		b = newBench(t, store, hook("a", answering(gone)))
		defer b.end()
		if s := b.stateOf(t, "a"); s.State != Paused {
			t.Errorf("after the restart it is %s", s.State)
		}
	})
}

func TestBreaker_TurnedOffLetsGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := heldBench(t, answering(serverError), 30)
		defer b.end()
		h := hook("a", answering(serverError))
		h.Digest, h.RetryDelay = "2", time.Second
		if err := b.Apply([]Webhook{h}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if n := b.store.count(queue.Failed); n != 30 {
			t.Errorf("%d given up, want 30: %s", n, b.stateOf(t, "a").State)
		}
		if s := string(b.store.states["a"]); s != "{}" {
			t.Errorf("stored state %s", s)
		}
	})
}

func TestBreaker_ARestartWithAnotherConfigurationIsProbedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := heldBench(t, answering(serverError), 100)
		after(20 * time.Minute)
		b.end()
		h := hook("a", answering(delivered))
		h.Digest, h.BreakerFailures = "2", 20
		b = newBench(t, b.store, h)
		defer b.end()
		after(time.Second)
		if n := b.store.count(queue.Success); n != 100 {
			t.Errorf("%d delivered, want 100", n)
		}
	})
}

func TestBreaker_AClockSetBackDoesNotPutOffTheProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		store.states["a"] = fmt.Appendf(nil, `{"held":{"since":%q,"failures":20,"delay":30000000000,"probe_at":%q,"digest":"1"}}`,
			time.Now().AddDate(4, 0, 0).Format(time.RFC3339), time.Now().AddDate(4, 0, 1).Format(time.RFC3339))
		h := hook("a", answering(delivered))
		h.BreakerFailures = 20
		b := newBench(t, store, h)
		defer b.end()
		b.queue("a", 3)
		after(probeMax + time.Second)
		if n := store.count(queue.Success); n != 3 {
			t.Errorf("%d delivered, want 3", n)
		}
	})
}

// An attempt by the configuration of before says nothing about the endpoint of now.
func TestApply_ALateAnswerOfTheOldEndpointDoesNotCountAgainstTheNewOne(t *testing.T) {
	for name, answer := range map[string]send.Result{"410": gone, "500": serverError} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				old := answering(answer)
				old.took = 10 * time.Second
				h := hook("a", old)
				h.Concurrency, h.BreakerFailures = 2, 1
				b := newBench(t, newModelStore(), h)
				defer b.end()
				b.queue("a", 5)
				after(time.Second)
				h.Sender, h.Digest = &endpoint{answer: func(context.Context, send.Message) send.Result { return delivered }}, "2"
				if err := b.Apply([]Webhook{h}); err != nil {
					t.Fatal(err)
				}
				after(15 * time.Second)
				if s, n := b.stateOf(t, "a"), b.store.count(queue.Success); s.State == Paused || s.State == Held || n != 3 {
					t.Errorf("it is %s (%s), %d delivered", s.State, s.Reason, n)
				}
			})
		})
	}
}
