package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// heldBench has webhook a held with n deliveries waiting; the endpoint still fails.
func heldBench(t *testing.T, e *endpoint, n int) *bench {
	t.Helper()
	h := hook("a", e)
	h.BreakerFailures, h.RetryDelay = 20, time.Second
	b := newBench(t, newModelStore(), h)
	b.queue("a", n)
	after(time.Millisecond)
	if s := b.stateOf(t, "a"); s.State != Held {
		t.Fatalf("after %d failures %s, want held", len(e.all()), s.State)
	}
	return b
}

func TestBreaker_HoldsAfterFailuresInARowAndProbes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := heldBench(t, e, 100)
		defer b.end()
		before := len(e.all())
		if before < 20 || before >= 20+8 {
			t.Fatalf("%d attempts before it was held, want 20 and those under way", before)
		}
		opened := time.Now().Add(-time.Millisecond)
		after(65 * time.Minute)
		var at []time.Duration
		for _, s := range e.all()[before:] {
			at = append(at, s.at.Sub(opened).Round(time.Second))
		}
		want := []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second, 63 * time.Second, 127 * time.Second, 255 * time.Second, 511 * time.Second, 1023 * time.Second, 1623 * time.Second}
		if len(at) < len(want) || !slices.Equal(at[:len(want)], want) {
			t.Fatalf("probes at %v, want %v … every 10m", at, want)
		}
		if len(at) != 14 {
			t.Errorf("%d probes in 65m, want 14: %v", len(at), at)
		}
		if n := b.store.count(queue.Failed); n != 0 {
			t.Errorf("%d given up while held", n)
		}
		for _, o := range b.store.recorded[28:] {
			if !o.Free {
				t.Fatalf("a probe was spent: %+v", o)
			}
		}
		if b.store.stateSets > 17 {
			t.Errorf("%d state writes for one outage with 14 probes", b.store.stateSets)
		}
		if n := strings.Count(b.log.String(), "webhook held"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
	})
}

func TestBreaker_SuccessDrainsInDueOrderWithoutAHerd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := heldBench(t, e, 100)
		defer b.end()
		before := len(e.all())
		e.mu.Lock()
		e.took = time.Second
		e.most = 0
		e.mu.Unlock()
		e.set(delivered)
		after(time.Second + 500*time.Millisecond) // the probe is under way
		if n := len(e.all()) - before; n != 1 {
			t.Fatalf("%d attempts while held, want the probe alone", n)
		}
		var steps []int
		for range 4 {
			n := len(e.all())
			after(time.Second)
			steps = append(steps, len(e.all())-n)
		}
		if want := []int{1, 2, 4, 8}; !slices.Equal(steps, want) {
			t.Errorf("attempts a round trip after the outage %v, want %v", steps, want)
		}
		after(time.Minute)
		if n := b.store.count(queue.Success); n != 100 {
			t.Fatalf("%d delivered, want 100", n)
		}
		// Those never tried were due first, in their order; those tried came due later.
		untried := slices.DeleteFunc(e.all()[before:], func(s sending) bool { return s.attempt > 1 })
		for i, s := range untried { // those under way at once may pass each other
			want := 100 - len(untried) + i + 1
			if got, _ := strconv.Atoi(s.id[len("dlv_"):]); got < want-8 || got > want+8 {
				t.Fatalf("%s went out as number %d: not in due order", s.id, want)
			}
		}
		if e.most > 8 {
			t.Errorf("%d at once", e.most)
		}
		if !strings.Contains(b.log.String(), "webhook recovered") {
			t.Error("the recovery is not logged")
		}
	})
}

func TestBreaker_SurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := heldBench(t, e, 100)
		after(40 * time.Second) // five probes failed; the next is due 32s after the last
		b.end()
		n := len(e.all())
		h := hook("a", e)
		h.BreakerFailures = 20
		b = newBench(t, b.store, h)
		defer b.end()
		after(20 * time.Second)
		if got := len(e.all()); got != n || b.stateOf(t, "a").State != Held {
			t.Fatalf("%d attempts after a restart, state %s", got-n, b.stateOf(t, "a").State)
		}
		after(10 * time.Second)
		if got := len(e.all()); got != n+1 {
			t.Fatalf("%d probes, want the one that was due", got-n)
		}
	})
}

func TestBreaker_OneEventTheReceiverChokesOnDoesNotHoldTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		poison := "dlv_029"
		down := true
		e := &endpoint{}
		e.answer = func(_ context.Context, m send.Message) send.Result {
			e.mu.Lock()
			defer e.mu.Unlock()
			if down || m.DeliveryID == poison {
				return serverError
			}
			return delivered
		}
		b := heldBench(t, e, 100)
		defer b.end()
		e.mu.Lock()
		down = false
		e.mu.Unlock()
		after(time.Hour)
		if n := b.store.count(queue.Success); n != 99 {
			t.Fatalf("%d delivered, want all but one", n)
		}
		if d := b.store.get(poison); d.Status != queue.Failed {
			t.Errorf("the one it chokes on is %s, want failed", d.Status)
		}
	})
}

func TestBreaker_AnswersThatAreNoOutageDoNotOpenIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := hook("a", answering(notFound))
		h.BreakerFailures = 2
		off := hook("off", answering(serverError))
		b := newBench(t, newModelStore(), h, off)
		defer b.end()
		b.queue("a", 50)
		b.queue("off", 50)
		after(time.Hour)
		if n := b.store.count(queue.Failed); n != 100 {
			t.Fatalf("%d given up, want 100", n)
		}
		if s := b.stateOf(t, "a"); s.State != Retrying || s.Failures != 200 || s.Reason != "HTTP 404" {
			t.Errorf("state %s (%s), %d failures", s.State, s.Reason, s.Failures)
		}
	})
}

func TestBreaker_NewConfigurationIsProbedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := heldBench(t, e, 100)
		defer b.end()
		after(20 * time.Minute)
		fixed := answering(delivered)
		h := hook("a", fixed)
		h.Digest = "2"
		if err := b.Apply([]Webhook{h}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if n := b.store.count(queue.Success); n != 100 {
			t.Fatalf("%d delivered, want 100", n)
		}
	})
}

func TestBreaker_ResumeCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := heldBench(t, e, 100)
		defer b.end()
		e.set(delivered)
		if err := b.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		if n := b.store.count(queue.Success); n != 100 {
			t.Fatalf("%d delivered, want 100", n)
		}
		if s := string(b.store.states["a"]); s != "{}" {
			t.Errorf("stored state %s", s)
		}
	})
}

func TestOrdered_AFailingHeadHoldsTheRestAndLetsThemGoWhenGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &endpoint{answer: func(_ context.Context, m send.Message) send.Result {
			if m.DeliveryID == "dlv_002" {
				return notFound
			}
			return delivered
		}}
		store := newModelStore()
		h := hook("a", e)
		h.Ordered = true
		b := newBench(t, store, h)
		b.queue("a", 5)
		after(2 * time.Minute)
		if got := fmt.Sprint(e.ids()); got != "[dlv_001 dlv_002 dlv_002]" {
			t.Fatalf("sent %s while the head fails", got)
		}
		b.end()
		b = newBench(t, store, h) // the order holds across a restart
		defer b.end()
		after(time.Hour)
		want := "[dlv_001 dlv_002 dlv_002 dlv_002 dlv_002 dlv_003 dlv_004 dlv_005]"
		if got := fmt.Sprint(e.ids()); got != want {
			t.Fatalf("sent %s, want %s", got, want)
		}
		store.set(func() { // replayed: it is the oldest again
			d := store.find("dlv_002")
			d.Status, d.Spent, d.NextAttemptAt = queue.Pending, 0, time.Now()
		})
		e.set(delivered)
		b.queue("a", 1)
		after(time.Second)
		if got := e.ids(); !slices.Equal(got[len(got)-2:], []string{"dlv_002", "dlv_006"}) || e.most != 1 {
			t.Fatalf("sent %v, at most %d at once", got, e.most)
		}
	})
}

func TestLog_RepeatedFailuresAreSummedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		h := hook("a", e)
		h.MaxRetries, h.RetryDelay, h.RetryMaxDelay = 10000, time.Second, time.Second
		b := newBench(t, newModelStore(), h)
		defer b.end()
		b.queue("a", 1)
		after(10 * time.Minute)
		e.set(delivered)
		after(time.Minute)
		log := b.log.String()
		if n := strings.Count(log, "will be retried"); n != mentionFirst {
			t.Errorf("%d failures logged each, want %d", n, mentionFirst)
		}
		if n := strings.Count(log, "more failures"); n < 9 || n > 10 {
			t.Errorf("%d summaries in 10 minutes", n)
		}
		if !strings.Contains(log, `msg="webhook recovered" webhook=a failures=60`) {
			t.Errorf("no count in the recovery:\n%s", log)
		}
	})
}
