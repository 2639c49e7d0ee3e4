package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// A receiver that was away for a while has everything within twice that and two seconds.
func TestOutage_IsOverWithinTwiceItsLength(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, outage := range []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 20 * time.Second, 2 * time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprintf("%s, ordered %v", outage, ordered), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e := answering(serverError)
					e.took = time.Millisecond
					h := hook("a", e)
					h.BreakerFailures = 20
					if ordered { // one fails at a time, and waits for its retry
						h.Ordered, h.BreakerFailures = true, 1
					}
					b := newBench(t, newModelStore(), h)
					defer b.end()
					began := time.Now()
					b.queue("a", 200)
					after(outage)
					e.set(delivered)
					after(outage + 2*time.Second)
					if n := b.store.count(queue.Success); n != 200 {
						t.Errorf("%d of 200 delivered %s after an outage of %s, in %d attempts", n, time.Since(began)-outage, outage, len(e.all()))
					}
				})
			})
		}
	}
}

// What an outage used up is not forgotten by a restart within it.
func TestOutage_RestartKeepsWhatItUsedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		h := hook("a", e)
		h.BreakerFailures, h.RetryDelay = 20, time.Hour
		store := newModelStore()
		b := newBench(t, store, h)
		b.queue("a", 25)
		after(4 * time.Second)
		b.end()
		e.set(delivered)
		b = newBench(t, store, h)
		defer b.end()
		after(5 * time.Second)
		if n := store.count(queue.Success); n != 25 {
			t.Fatalf("%d of 25 delivered after a restart within the outage", n)
		}
	})
}

func refusal(status int, after time.Duration) send.Result {
	return send.Result{Class: send.Throttled, Status: status, Error: fmt.Sprintf("HTTP %d", status), RetryAfter: time.Now().Add(after)}
}

func TestThrottle_HoldsTheWebhookAndUsesUpNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		e := &endpoint{}
		e.answer = func(context.Context, send.Message) send.Result { return refusal(429, time.Hour) }
		h := hook("a", e)
		h.BreakerFailures = 2
		b := newBench(t, store, h)
		b.queue("a", 20)
		after(time.Minute)
		n := len(e.all())
		if s := b.stateOf(t, "a"); s.State != Held || n > 8 || !strings.Contains(s.Reason, "accepts no more") || time.Until(s.NextProbe) < 50*time.Minute {
			t.Fatalf("%d attempts, %+v", n, s)
		}
		b.end()
		b = newBench(t, store, h) // it is stored
		after(50 * time.Minute)
		if got := len(e.all()); got != n {
			t.Fatalf("%d attempts after a restart, before the time", got-n)
		}
		after(15 * time.Minute)
		if got := len(e.all()); got != n+1 {
			t.Fatalf("%d attempts when the time had come, want one", got-n)
		}
		for range 3 { // however often
			after(time.Hour)
		}
		if failed := store.count(queue.Failed); failed > 0 {
			t.Fatalf("%d given up", failed)
		}
		for _, o := range store.recorded {
			if !o.Free {
				t.Fatalf("an attempt was spent: %+v", o)
			}
		}
		e.mu.Lock()
		e.most, e.took = 0, 100*time.Millisecond
		e.mu.Unlock()
		e.set(delivered)
		sent := len(e.all())
		after(time.Hour)
		if e.all()[sent+1].at.Sub(e.all()[sent].at) < e.took || store.count(queue.Success) != 20 {
			t.Errorf("%d delivered; the second went out beside the first", store.count(queue.Success))
		}
		b.end()
		if s := string(store.states["a"]); s != "{}" {
			t.Errorf("stored in the end: %s", s)
		}
	})
}

func TestThrottle_ADayAtMostAndNeverAtOnce(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		most  int // attempts in 25 hours
	}{{1000 * time.Hour, 3}, {0, 1600}} {
		bubble(t, func(t *testing.T) {
			e := &endpoint{answer: func(context.Context, send.Message) send.Result { return refusal(429, c.after) }}
			b := newBench(t, newModelStore(), hook("a", e))
			defer b.end()
			b.queue("a", 1)
			after(25 * time.Hour)
			if n := len(e.all()); n < 2 || n > c.most {
				t.Errorf("Retry-After %s: %d attempts in 25 hours", c.after, n)
			}
		})
	}
}

// The quota of before, and the refusals, are another endpoint's after a reload.
func TestThrottle_NewConfigurationAndResumeLetGo(t *testing.T) {
	for _, how := range []string{"reload", "resume"} {
		bubble(t, func(t *testing.T) {
			e := &endpoint{answer: func(context.Context, send.Message) send.Result { return refusal(429, time.Hour) }}
			b := newBench(t, newModelStore(), hook("a", e))
			defer b.end()
			b.queue("a", 20)
			after(time.Second)
			e.set(delivered)
			h := hook("a", e)
			h.Digest = "2"
			var err error
			if how == "reload" {
				err = b.Apply([]Webhook{h})
			} else {
				err = b.Resume(t.Context(), "a")
			}
			if err != nil {
				t.Fatal(err)
			}
			after(time.Second)
			if n := b.store.count(queue.Success); n != 20 {
				t.Errorf("%s: %d delivered, want 20", how, n)
			}
		})
	}
}

func TestThrottle_OrderStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &limited{limit: &fixed{most: 3, window: 10 * time.Second}, says: exactly, rand: rand.New(rand.NewPCG(1, 2))}
		var ids []string
		h := hook("a", senderFunc(func(ctx context.Context, m send.Message) send.Result {
			r := l.Send(ctx, m)
			if r.Class == send.Delivered {
				ids = append(ids, m.DeliveryID)
			}
			return r
		}))
		h.Ordered = true
		b := newBench(t, newModelStore(), h)
		defer b.end()
		want := b.queue("a", 20)
		after(2 * time.Minute)
		if !slices.Equal(ids, want) {
			t.Errorf("arrived as %v", ids)
		}
	})
}

type senderFunc func(context.Context, send.Message) send.Result

func (f senderFunc) Send(ctx context.Context, m send.Message) send.Result { return f(ctx, m) }
