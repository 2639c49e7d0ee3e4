package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// TestRandom_WhateverHappensEveryDeliveryEndsAsItShould lets endpoints, the store, the
// configuration and the agent itself misbehave at random for a day, then all be well.
func TestRandom_WhateverHappensEveryDeliveryEndsAsItShould(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { misbehave(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func misbehave(t *testing.T, rng *rand.Rand) {
	store := newModelStore()
	u := &unruly{t: t, store: store, rng: rand.New(rand.NewPCG(rng.Uint64(), 0)), under: map[string]bool{}}
	h := hook("a", u)
	h.Ordered = rng.IntN(3) == 0
	h.Concurrency = 1 + rng.IntN(8)
	h.BreakerFailures = rng.IntN(6)
	h.RateLimit = float64(rng.IntN(2) * 50)
	h.RetryJitter = 0.1
	u.ordered = h.Ordered

	b := newBench(t, store, h)
	for range 100 {
		switch rng.IntN(8) {
		case 0:
			b.end()
			b = newBench(t, store, h)
		case 1:
			_ = b.Pause(t.Context(), "a", "test") // fails where the store does
		case 2:
			_ = b.Resume(t.Context(), "a")
		case 3:
			store.set(func() { store.failRecord = []error{nil, errDisk}[rng.IntN(2)] })
		case 4:
			h.Digest = fmt.Sprint(rng.Uint64())
			if err := b.Apply([]Webhook{h}[:rng.IntN(2)]); err != nil {
				t.Error(err)
			}
		default:
			b.queue("a", rng.IntN(10))
		}
		after(time.Duration(rng.Int64N(int64(30 * time.Minute))))
	}

	u.calm()
	store.set(func() { store.failRecord = nil })
	if err := b.Apply([]Webhook{h}); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	after(26 * time.Hour) // Retry-After may have put off by a day
	b.end()
	for _, d := range store.deliveries {
		switch {
		case d.Status == queue.Success && d.Spent <= h.MaxRetries+1:
		case d.Status == queue.Failed && (d.Spent == h.MaxRetries+1 || d.Error == gone.Error || d.Error == forbidden.Error):
		default:
			t.Errorf("%s ended %s after %d attempts, %d of them spent: %s", d.ID, d.Status, d.Attempts, d.Spent, d.Error)
		}
	}
	if len(store.deliveries) > 0 && store.count(queue.Success) == 0 {
		t.Error("none was delivered")
	}
}

// unruly is a Sender that answers at random, and watches what it is sent.
type unruly struct {
	t       *testing.T
	store   *modelStore
	ordered bool

	rng    *rand.Rand // guarded by store.mu, as the rest
	under  map[string]bool
	isCalm bool
}

func (u *unruly) calm() { u.store.set(func() { u.isCalm = true }) }

func (u *unruly) Send(ctx context.Context, m send.Message) send.Result {
	var r send.Result
	var took time.Duration
	u.store.set(func() {
		d := u.store.find(m.DeliveryID)
		switch {
		case u.under[m.DeliveryID]:
			u.t.Errorf("%s is sent twice at once", m.DeliveryID)
		case d.NextAttemptAt.IsZero():
			u.t.Errorf("%s is sent although it is %s", m.DeliveryID, d.Status)
		case d.NextAttemptAt.After(time.Now()) && d.Attempts == 0:
			u.t.Errorf("%s is sent %s before it is due", m.DeliveryID, time.Until(d.NextAttemptAt))
		case u.ordered && len(u.under) > 0:
			u.t.Errorf("%s is sent beside another", m.DeliveryID)
		case u.ordered && u.store.unfinished("a")[0].ID != m.DeliveryID:
			u.t.Errorf("%s is sent before its turn", m.DeliveryID)
		}
		u.under[m.DeliveryID] = true
		r = delivered
		if u.isCalm {
			return
		}
		took = time.Duration(u.rng.Int64N(int64(20 * time.Second)))
		r = []send.Result{delivered, delivered, serverError, serverError, serverError, notFound, forbidden, noNetwork, gone, tooMany}[u.rng.IntN(10)]
		if r.Class == send.Throttled && u.rng.IntN(4) > 0 {
			r.RetryAfter = time.Now().Add(time.Duration(u.rng.Int64N(int64(30 * time.Hour))))
		}
	})
	at := time.Now()
	sleep(ctx, took)
	u.store.set(func() { delete(u.under, m.DeliveryID) })
	if ctx.Err() != nil {
		return send.Result{Class: send.Stopped}
	}
	r.At, r.Took = at, time.Since(at)
	return r
}
