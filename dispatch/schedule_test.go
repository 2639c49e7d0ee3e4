package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

func offsets(sent []sending) []time.Duration {
	var all []time.Duration
	for _, s := range sent {
		all = append(all, s.at.Sub(sent[0].at))
	}
	return all
}

func wantOffsets(t *testing.T, sent []sending, want ...time.Duration) {
	t.Helper()
	got := offsets(sent)
	if len(got) != len(want) {
		t.Fatalf("attempts at %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("attempts at %v, want %v", got, want)
		}
		if sent[i].attempt != i+1 {
			t.Fatalf("attempt %d is numbered %d", i+1, sent[i].attempt)
		}
	}
}

func TestRetry_ThreeFailuresAreTriedAtTheDocumentedTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := failing(3, serverError)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		id := b.queue("a", 1)[0]
		after(gatherFor)
		if d := b.store.get(id); d.Status != queue.Retrying || !d.NextAttemptAt.Equal(time.Now().Add(time.Minute-gatherFor)) {
			t.Fatalf("after the first attempt: %s, due %s", d.Status, d.NextAttemptAt)
		}
		after(time.Hour)
		wantOffsets(t, e.all(), 0, time.Minute, 3*time.Minute, 7*time.Minute)
		if d := b.store.get(id); d.Status != queue.Success || d.Attempts != 4 {
			t.Fatalf("in the end: %s after %d attempts", d.Status, d.Attempts)
		}
	})
}

func TestRetry_GivenUpAfterMaxRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(serverError)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		id := b.queue("a", 1)[0]
		after(24 * time.Hour)
		if d := b.store.get(id); d.Status != queue.Failed || len(e.all()) != 4 {
			t.Fatalf("%s after %d attempts, want failed after 4", d.Status, len(e.all()))
		}
		if log := b.log.String(); strings.Count(log, "level=WARN") != 3 || strings.Count(log, "level=ERROR") != 1 {
			t.Fatalf("want 3 warnings and 1 error:\n%s", log)
		}
	})
}

func TestRetry_RestartKeepsDueTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := failing(3, serverError)
		store := newModelStore()
		b := newBench(t, store, hook("a", e))
		b.queue("a", 1)
		after(time.Minute + 10*time.Second)
		b.end()
		after(30 * time.Second)
		b = newBench(t, store, hook("a", e))
		defer b.end()
		after(time.Hour)
		wantOffsets(t, e.all(), 0, time.Minute, 3*time.Minute, 7*time.Minute)
	})
}

func TestRetryAt(t *testing.T) {
	now := time.Date(2025, 11, 14, 15, 0, 0, 0, time.UTC)
	w := Webhook{RetryDelay: time.Minute, RetryMaxDelay: 10 * time.Minute, RetryJitter: 0.1}
	for _, c := range []struct {
		name   string
		k      int
		jitter float64
		want   time.Duration
	}{
		{"first", 1, 0, time.Minute},
		{"doubles", 3, 0, 4 * time.Minute},
		{"is capped", 9, 0, 10 * time.Minute},
		{"is capped however often", 5000, 0, 10 * time.Minute},
		{"jitter is added", 1, 0.5, 63 * time.Second},
		{"jitter is at most its fraction, on top of the cap too", 9, 1, 11 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := w.retryAt(now, c.k, c.jitter).Sub(now); got != c.want {
				t.Errorf("due in %v, want %v", got, c.want)
			}
		})
	}
	absurd := Webhook{RetryDelay: 1 << 62, RetryJitter: 1}
	if due := absurd.retryAt(now, 60, 1); !due.After(now) {
		t.Errorf("an absurd delay makes it %s, in the past", due)
	}
}

func TestDead_FailsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(forbidden)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		id := b.queue("a", 1)[0]
		after(time.Hour)
		if d := b.store.get(id); d.Status != queue.Failed || len(e.all()) != 1 || d.Error != forbidden.Error {
			t.Fatalf("%s after %d attempts: %s", d.Status, len(e.all()), d.Error)
		}
	})
}

func TestGone_FailsPausesAndLiftsWithTheConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(gone)
		store := newModelStore()
		h := hook("a", e)
		h.Concurrency = 1
		b := newBench(t, store, h)
		ids := b.queue("a", 3)
		after(time.Hour)
		if got := e.ids(); len(got) != 1 {
			t.Fatalf("sent %v after a 410, want one", got)
		}
		if d := store.get(ids[0]); d.Status != queue.Failed {
			t.Fatalf("the delivery is %s", d.Status)
		}
		b.end()

		b = newBench(t, store, h) // restarted: still paused
		after(time.Hour)
		if s := b.stateOf(t, "a"); s.State != Paused || !strings.Contains(s.Reason, "410") || len(e.all()) != 1 {
			t.Fatalf("after a restart %s (%s), %d attempts", s.State, s.Reason, len(e.all()))
		}
		b.end()

		h.Digest = "2" // changed while the agent was down
		e.set(delivered)
		b = newBench(t, store, h)
		defer b.end()
		after(time.Second)
		if store.count(queue.Success) != 2 {
			t.Fatalf("after a new configuration %d delivered, want 2", store.count(queue.Success))
		}
	})
}

func TestGone_ResumeLifts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(gone)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		b.queue("a", 1)
		after(time.Second)
		e.set(delivered)
		b.queue("a", 2)
		if err := b.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if n := b.store.count(queue.Success); n != 2 {
			t.Fatalf("%d delivered, want 2", n)
		}
	})
}

func TestOffline_WaitsWithoutSpendingAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(noNetwork)
		h := hook("a", e)
		h.BreakerFailures = 2
		b := newBench(t, newModelStore(), h)
		defer b.end()
		b.queue("a", 20)
		after(time.Hour)
		if n := len(e.all()); n > 8+4+2*60+5 {
			t.Errorf("%d attempts in an hour offline", n)
		}
		if s := b.stateOf(t, "a"); s.State != Held || !strings.Contains(s.Reason, "no network") {
			t.Errorf("state %s (%s)", s.State, s.Reason)
		}
		if n := strings.Count(b.log.String(), "this machine has no network"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		e.set(delivered)
		after(offlineMax)
		if n := b.store.count(queue.Success); n != 20 {
			t.Fatalf("%d delivered within %s of being online, want 20", n, offlineMax)
		}
		for _, o := range b.store.recorded {
			if o.Status == queue.Retrying && !o.Free {
				t.Fatalf("an offline attempt was spent: %+v", o)
			}
		}
		if s := b.stateOf(t, "a"); s.State != Healthy {
			t.Errorf("state %s", s.State)
		}
	})
}

func TestStop_WithinGraceIsFinishedAfterItIsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		quick, slow := answering(delivered), answering(delivered)
		quick.took, slow.took = 5*time.Second, time.Minute
		store := newModelStore()
		b := newBench(t, store, hook("quick", quick), hook("slow", slow))
		q, s := b.queue("quick", 9), b.queue("slow", 1)
		after(time.Second)
		began := time.Now()
		b.end()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("Run ended %s after its context, want the grace of 10s", took)
		}
		if d := store.get(q[0]); d.Status != queue.Success {
			t.Errorf("within the grace period: %s", d.Status)
		}
		if d := store.get(q[8]); d.Status != queue.Pending || len(quick.all()) != 8 {
			t.Errorf("claimed after the end: %s", d.Status)
		}
		if d := store.get(s[0]); d.Status != queue.Pending || d.Attempts != 0 {
			t.Errorf("cancelled: %s, %d attempts", d.Status, d.Attempts)
		}
	})
}

func TestRecord_FailingStoreIsTriedAndNothingSentTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		b.store.set(func() { b.store.failRecord = errDisk })
		id := b.queue("a", 1)[0]
		after(time.Hour)
		b.store.set(func() { b.store.failRecord = nil })
		after(time.Minute)
		if d := b.store.get(id); d.Status != queue.Success || len(e.all()) != 1 {
			t.Fatalf("%s, sent %d times", d.Status, len(e.all()))
		}
		if n := strings.Count(b.log.String(), "cannot record"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
	})
}

func TestRecord_FailingStoreDoesNotStopTheStopping(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		b := newBench(t, store, hook("a", answering(delivered)))
		store.set(func() { store.failRecord = errDisk })
		id := b.queue("a", 1)[0]
		after(time.Second)
		b.end()
		if d := store.get(id); d.Status != queue.Pending {
			t.Fatalf("the delivery is %s, want it due again", d.Status)
		}
		if !strings.Contains(b.log.String(), "outcome not recorded") {
			t.Error("not logged")
		}
	})
}

func TestEvent_DamagedFailsAnyOtherErrorPasses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		ids := store.add("a", 3)
		store.eventErr[ids[0]] = fmt.Errorf("%w: it does not match its checksum", queue.ErrDamaged)
		store.eventErr[ids[1]] = errDisk
		b := newBench(t, store, hook("a", e))
		defer b.end()
		after(time.Minute)
		if d := store.get(ids[0]); d.Status != queue.Failed || !strings.Contains(d.Error, "cannot be read from the queue") {
			t.Errorf("damaged: %s (%s)", d.Status, d.Error)
		}
		if d := store.get(ids[1]); d.Status != queue.Pending || d.Attempts != 0 {
			t.Errorf("unreadable for now: %s", d.Status)
		}
		if d := store.get(ids[2]); d.Status != queue.Success {
			t.Errorf("the one behind: %s", d.Status)
		}
		store.set(func() { delete(store.eventErr, ids[1]) })
		after(time.Minute)
		if d := store.get(ids[1]); d.Status != queue.Success {
			t.Errorf("readable again: %s", d.Status)
		}
	})
}

func TestDue_FailingStoreIsAskedAgainWithoutSpinning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		store.failRead = errDisk
		b := newBench(t, store, hook("a", answering(delivered)))
		defer b.end()
		b.queue("a", 1)
		after(time.Hour)
		if n := strings.Count(b.log.String(), "cannot read the due deliveries"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		store.set(func() { store.failRead = nil })
		after(time.Minute)
		if n := store.count(queue.Success); n != 1 {
			t.Fatalf("%d delivered, want 1", n)
		}
	})
}

func TestConcurrency_IsBoundedAndOneWebhookNeverDelaysAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hanging := &endpoint{answer: func(ctx context.Context, _ send.Message) send.Result {
			<-ctx.Done()
			return send.Result{Class: send.Stopped}
		}}
		dead, healthy := answering(serverError), answering(delivered)
		h := hook("healthy", healthy)
		h.Concurrency = 3
		healthy.took = time.Second
		b := newBench(t, newModelStore(), hook("hanging", hanging), hook("dead", dead), h)
		defer b.end()
		b.queue("hanging", 100)
		b.queue("dead", 100)
		b.queue("healthy", 30)
		after(10*time.Second + gatherFor)
		if n := b.store.count(queue.Success); n != 30 || healthy.most != 3 {
			t.Errorf("the healthy one had %d of 30 after 10s, at most %d at once", n, healthy.most)
		}
		if hanging.most != 8 {
			t.Errorf("%d at once hang, want 8", hanging.most)
		}
	})
}

func TestRateLimit_SpacesAttemptsEvenly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		h := hook("a", e)
		h.RateLimit = 2
		b := newBench(t, newModelStore(), h)
		defer b.end()
		b.queue("a", 11)
		after(5*time.Second + 100*time.Millisecond)
		got := offsets(e.all())
		if len(got) != 11 {
			t.Fatalf("%d attempts within 5s at 2/s, want 11: %v", len(got), got)
		}
		for i := 1; i < len(got); i++ {
			if gap := got[i] - got[i-1]; gap < 499*time.Millisecond {
				t.Fatalf("attempts %v: a gap of %v at 2/s", got, gap)
			}
		}
	})
}
