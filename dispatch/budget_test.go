package dispatch

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestBudget_HoldsWhateverIsAskedOfIt(t *testing.T) {
	b := newBudget(largeBytes)
	type held struct {
		w *worker
		s share
	}
	var out []held
	var workers []*worker
	for range 20 {
		workers = append(workers, &worker{wake: make(chan struct{}, 1)})
	}
	for range 100_000 {
		w := workers[rand.IntN(len(workers))]
		switch n := rand.IntN(10); {
		case n < 5:
			size := 1 + rand.Int64N(8<<20)
			if s, ok := b.take(w, size, class{proven: rand.IntN(2) == 0, huge: size > hugeBody}); ok {
				out = append(out, held{w, s})
			}
		case n < 9 && len(out) > 0:
			i := rand.IntN(len(out))
			out[i].s.release(out[i].w)
			out = append(out[:i], out[i+1:]...)
		default:
			b.leave(w)
		}
		var used, unproven, huge int64
		for _, h := range out {
			switch {
			case h.s.huge:
				huge++
			case !h.s.proven:
				unproven += h.s.size
				fallthrough
			default:
				used += h.s.size
			}
		}
		if used != b.used || unproven != b.unproven || used > largeBytes || unproven > largeBytes/2 || huge > 1 {
			t.Fatalf("%d used (%d), %d by the unproven (%d), %d huge", b.used, used, b.unproven, unproven, huge)
		}
	}
	for _, h := range out {
		h.s.release(h.w)
	}
	if b.used != 0 || b.unproven != 0 || b.huge || len(b.held) != 0 {
		t.Errorf("%+v is left", b)
	}
}

func TestBudget_WithLittleMemoryFewerLargeEventsAreUnderWay(t *testing.T) {
	for small, want := range map[bool]int{false: 6, true: 3} {
		b, n := newBudgets(small), 0
		for range 10 {
			if _, ok := b.take(&worker{wake: make(chan struct{}, 1)}, 1<<20, true); ok {
				n++
			}
		}
		if n != want {
			t.Errorf("%d events of 1 MiB are under way, want %d (little memory: %t)", n, want, small)
		}
		unproven := newBudgets(small)
		if _, ok := unproven.take(&worker{wake: make(chan struct{}, 1)}, hugeBody, false); !ok {
			t.Errorf("the largest that does not go alone has no room (little memory: %t)", small)
		}
	}
}

func TestBudget_NobodyWaitsBehindOneThatMustLeaveRoomForIt(t *testing.T) {
	b := newBudget(100)
	some, next := &worker{wake: make(chan struct{}, 1)}, &worker{wake: make(chan struct{}, 1)}
	proven := class{proven: true}
	if _, ok := b.take(some, 40, proven); !ok {
		t.Fatal("no room in an empty budget")
	}
	if _, ok := b.take(some, 40, proven); ok {
		t.Fatal("more than half of what is free")
	}
	if _, ok := b.take(next, 40, proven); !ok {
		t.Error("the next one waits although there is room for it")
	}
}

func TestBudget_WhoHoldsSomethingDoesNotOvertakeWhoHoldsNothing(t *testing.T) {
	b := newBudget(100)
	small, large, next := &worker{wake: make(chan struct{}, 1)}, &worker{wake: make(chan struct{}, 1)}, &worker{wake: make(chan struct{}, 1)}
	proven := class{proven: true}
	b.take(small, 1, proven)
	s, _ := b.take(large, 60, proven)
	if _, ok := b.take(next, 50, proven); ok {
		t.Fatal("more than there is")
	}
	if _, ok := b.take(small, 1, proven); ok {
		t.Error("the room that another waits for is taken away bit by bit")
	}
	s.release(large)
	if _, ok := b.take(next, 50, proven); !ok {
		t.Error("the next one waits although there is room for it")
	}
	if _, ok := b.take(small, 1, proven); !ok {
		t.Error("nobody waits, and there is no room")
	}
}

func TestBudget_WhoWasNeverTriedDoesNotWaitForThoseThatHang(t *testing.T) {
	b := newBudget(smallOnes)
	var hanging []*worker
	for range 20 {
		hanging = append(hanging, &worker{wake: make(chan struct{}, 1)})
	}
	for range 8 {
		for _, w := range hanging {
			b.take(w, 1, class{})
		}
	}
	for i := range smallOnes / 4 {
		if _, ok := b.take(&worker{wake: make(chan struct{}, 1)}, 1, class{}); !ok {
			t.Fatalf("one that is tried for the first time, after %d others, waits (%d hang)", i, b.unproven)
		}
	}
}

func TestBudget_OneThatIsProvenNoMoreLetsThoseBehindItGo(t *testing.T) {
	b := newBudget(100)
	var workers []*worker
	for range 4 {
		workers = append(workers, &worker{wake: make(chan struct{}, 1)})
	}
	hanging, busy, first, second := workers[0], workers[1], workers[2], workers[3]
	b.take(hanging, 50, class{})
	s, _ := b.take(busy, 50, class{proven: true})
	b.take(first, 10, class{proven: true})
	b.take(second, 10, class{proven: true})
	s.release(busy)
	if _, ok := b.take(first, 10, class{}); ok {
		t.Fatal("more than half for those that have not proved to answer")
	}
	select {
	case <-second.wake:
	default:
		t.Error("nobody says to the second that it is its turn")
	}
}

// The receiver proved to answer, and hangs since.
func TestBudget_AWebhookOfHighConcurrencyThatHangsHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hanging := answering(delivered)
		healthy := answering(delivered)
		wide := hook("wide", hanging)
		wide.Concurrency = 2 * smallOnes
		b := newBench(t, newModelStore(), wide, hook("healthy", healthy))
		defer b.end()
		b.queue("wide", 1)
		after(time.Second)
		hanging.mu.Lock()
		hanging.answer = func(ctx context.Context, _ send.Message) send.Result {
			sleep(ctx, time.Minute)
			return send.Result{Class: send.Retry, Outage: true, Error: "timed out"}
		}
		hanging.mu.Unlock()
		b.queue("wide", 2*smallOnes)
		after(time.Second)
		b.queue("healthy", 50)
		after(10 * time.Second)
		if n := len(healthy.all()); n != 50 {
			t.Errorf("%d of 50 delivered beside the webhook that hangs", n)
		}
	})
}

func TestBudget_WebhooksThatHangWithLargeEventsStarveNoHealthyOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		store.size = 900_000
		hanging := &endpoint{answer: func(ctx context.Context, _ send.Message) send.Result {
			sleep(ctx, 10*time.Second)
			return send.Result{Class: send.Retry, Outage: true, Error: "timed out"}
		}}
		healthy := answering(delivered)
		hooks := []Webhook{hook("healthy", healthy)}
		for _, name := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			hooks = append(hooks, hook(name, hanging))
		}
		b := newBench(t, store, hooks...)
		began := time.Now()
		for _, h := range hooks {
			b.queue(h.Name, 16)
		}
		after(time.Hour)
		sent := healthy.all()
		if len(sent) != 16 {
			t.Fatalf("%d of 16 delivered", len(sent))
		}
		// It waits for room once, until it has proved to answer: three of the eleven go at a
		// time, it may be the last of them, and some have gone twice by then.
		if took := sent[15].at.Sub(began); took > time.Minute {
			t.Errorf("the healthy webhook's took %s", took)
		}
		hanging.mu.Lock()
		most := hanging.most
		hanging.mu.Unlock()
		if most*900_000 > largeBytes {
			t.Errorf("%d large bodies were under way at once", most)
		}
		tried := map[string]bool{}
		for _, s := range hanging.all() {
			tried[s.id] = true
		}
		if len(tried) < 100 {
			t.Errorf("%d of the hanging webhooks' 160 were tried within an hour", len(tried))
		}
		b.end()
	})
}

// One that is held back reads what is due anew for each attempt. It must not do so again and
// again while it waits for room.
func TestBudget_WhoWaitsForRoomLooksOnlyWhenThereMayBeSome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		store.size, store.mostLooks = 1<<20, 200
		hanging := &endpoint{answer: func(ctx context.Context, _ send.Message) send.Result {
			sleep(ctx, time.Minute)
			return send.Result{Class: send.Retry, Outage: true, Error: "timed out"}
		}}
		limited := hook("limited", answering(delivered))
		limited.RateLimit = 5
		b := newBench(t, store, hook("hanging", hanging), hook("too", hanging), limited)
		defer b.end()
		b.queue("hanging", 10)
		b.queue("too", 10)
		after(time.Second)
		ids := b.queue("limited", 10)
		after(time.Second)
		ids = append(ids, b.queue("limited", 1)...)
		after(30 * time.Second)
		store.mu.Lock()
		looks := store.looks
		store.mu.Unlock()
		if looks > 100 {
			t.Errorf("what is due was read %d times while there was no room", looks)
		}
		after(time.Hour)
		for _, id := range ids {
			if d, err := store.Get(id); err != nil || d.Status != queue.Success {
				t.Errorf("%s is %s: %v", id, d.Status, err)
			}
		}
	})
}
