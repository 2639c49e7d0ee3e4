package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestApply_AllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		twice, nobody := hook("a", e), hook("nobody", nil)
		err := b.Apply([]Webhook{hook("new", e), twice, hook("a", e), nobody})
		for _, want := range []string{`"a": the name is used twice`, `"nobody": it has no sender`} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error that says %s", err, want)
			}
		}
		if got := b.Route("x", nil); len(got) != 1 || len(b.States()) != 1 {
			t.Errorf("a configuration with errors changed the webhooks: %v", got)
		}
		b.store.set(func() { b.store.failState = errDisk })
		if err := b.Apply([]Webhook{hook("new", e)}); err == nil || !strings.Contains(err.Error(), `"new"`) {
			t.Errorf("%v, want an error that names the webhook whose state cannot be read", err)
		}
		b.queue("a", 1)
		after(time.Second)
		if b.store.count(queue.Success) != 1 {
			t.Error("the webhook of before does not work any more")
		}
	})
}

func TestApply_RemovedAndDisabledParkAndGoOnWhenTheyReturn(t *testing.T) {
	for _, way := range []string{"removed", "disabled"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := answering(delivered)
				e.took = 10 * time.Second
				h := hook("a", e)
				h.Concurrency = 2
				b := newBench(t, newModelStore(), h)
				defer b.end()
				b.queue("a", 5)
				after(time.Second)
				var rest []Webhook
				if way == "disabled" {
					off := h
					off.Enabled, off.Digest = false, "2"
					rest = []Webhook{off}
				}
				if err := b.Apply(rest); err != nil {
					t.Fatal(err)
				}
				if way == "disabled" && b.stateOf(t, "a").State != Disabled {
					t.Errorf("state %s", b.stateOf(t, "a").State)
				}
				after(time.Second)
				// It returns while two are still under way: they must not go out twice.
				if err := b.Apply([]Webhook{h}); err != nil {
					t.Fatal(err)
				}
				after(time.Second)
				if n := len(e.all()); n != 2 {
					t.Fatalf("%d attempts, want the two under way", n)
				}
				if err := b.Apply(rest); err != nil {
					t.Fatal(err)
				}
				after(time.Hour)
				if n := b.store.count(queue.Success); n != 2 || len(e.all()) != 2 {
					t.Fatalf("%d delivered in %d attempts while away, want the 2 that were under way", n, len(e.all()))
				}
				if err := b.Apply([]Webhook{h}); err != nil {
					t.Fatal(err)
				}
				after(time.Hour)
				if n := b.store.count(queue.Success); n != 5 || len(e.all()) != 5 {
					t.Fatalf("%d delivered in %d attempts, want 5 in 5", n, len(e.all()))
				}
			})
		})
	}
}

func TestApply_ParkedIsQueuedForAndSendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		h := hook("a", e)
		parked := h
		parked.Parked = true
		b := newBench(t, newModelStore(), parked)
		defer b.end()
		if got := b.Route("x", nil); len(got) != 1 {
			t.Errorf("routed to %v", got)
		}
		b.queue("a", 2)
		after(time.Hour)
		if n := len(e.all()); n != 0 || b.stateOf(t, "a").State != Disabled {
			t.Errorf("%d attempts, state %s", n, b.stateOf(t, "a").State)
		}
		if err := b.Apply([]Webhook{h}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if n := b.store.count(queue.Success); n != 2 {
			t.Errorf("%d delivered", n)
		}
	})
}

func TestApply_UnchangedGoesOnUndisturbedChangedTakesEffect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, other := answering(delivered), answering(delivered)
		e.took = time.Second
		h := hook("a", e)
		h.Concurrency = 1
		b := newBench(t, newModelStore(), h)
		defer b.end()
		b.queue("a", 20)
		after(500 * time.Millisecond)
		same := h
		same.Sender = other // made again from the same configuration
		if err := b.Apply([]Webhook{same}); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if len(e.all()) != 6 || len(other.all()) != 0 {
			t.Fatalf("%d by the one of before, %d by the new one", len(e.all()), len(other.all()))
		}
		changed := same
		changed.Digest, changed.Concurrency = "2", 4
		other.took = time.Second
		if err := b.Apply([]Webhook{changed}); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		if b.store.count(queue.Success) != 20 || other.most != 4 {
			t.Fatalf("%d delivered, %d at once", b.store.count(queue.Success), other.most)
		}
	})
}

func TestPause_HoldsAcrossARestartUntilResumed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		b := newBench(t, store, hook("a", e))
		if err := b.Pause(t.Context(), "a", "maintenance"); err != nil {
			t.Fatal(err)
		}
		paused := time.Now()
		b.queue("a", 3)
		after(time.Hour)
		b.end()
		h := hook("a", e)
		h.Digest = "2" // a person's pause is not the configuration's to lift
		b = newBench(t, store, h)
		defer b.end()
		after(time.Hour)
		if s := b.stateOf(t, "a"); s.State != Paused || s.Reason != "maintenance" || !s.Since.Equal(paused) || len(e.all()) != 0 {
			t.Fatalf("after a restart: %+v, %d attempts", s, len(e.all()))
		}
		if err := b.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if n := store.count(queue.Success); n != 3 {
			t.Fatalf("%d delivered, want 3", n)
		}
	})
}

func TestPause_AnErrorChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, newModelStore(), hook("slack", answering(delivered)), hook("n8n", answering(delivered)))
		defer b.end()
		if err := b.Pause(t.Context(), "slak", ""); err == nil || !strings.Contains(err.Error(), `"slak"; the configured ones are n8n, slack`) {
			t.Errorf("unknown name: %v", err)
		}
		b.store.set(func() { b.store.failState = errDisk })
		if err := b.Pause(t.Context(), "slack", ""); err == nil || !strings.Contains(err.Error(), `"slack"`) {
			t.Errorf("store fails: %v", err)
		}
		if s := b.stateOf(t, "slack"); s.State != Healthy {
			t.Errorf("state %s", s.State)
		}
	})
}

func TestState_ARestartHidesNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newModelStore()
		store.failures = map[string]queue.Attempt{"a": {At: time.Now().Add(-time.Hour), Error: "HTTP 500"}}
		b := newBench(t, store, hook("a", answering(delivered)), hook("b", answering(delivered)))
		defer b.end()
		if s := b.stateOf(t, "a"); s.State != Retrying || s.Reason != "HTTP 500" || s.LastError != "HTTP 500" || !s.Since.Equal(s.LastFailure) || s.LastFailure.IsZero() {
			t.Errorf("%+v", s)
		}
		if s := b.stateOf(t, "b"); s.State != Healthy {
			t.Errorf("%+v", s)
		}
		b.queue("a", 1)
		after(time.Second)
		if s := b.stateOf(t, "a"); s.State != Healthy || s.LastSuccess.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

func TestState_CountsAndMeasures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := failing(1, serverError)
		e.took = 100 * time.Millisecond
		b := newBench(t, newModelStore(), hook("a", e))
		defer b.end()
		b.queue("a", 10)
		after(50 * time.Millisecond)
		if s := b.stateOf(t, "a"); s.InFlight != 8 {
			t.Errorf("%d in flight, want 8", s.InFlight)
		}
		after(time.Second)
		s := b.stateOf(t, "a")
		if s.PerMinute < 9 || s.P50 != 100*time.Millisecond || s.P99 != 100*time.Millisecond {
			t.Errorf("%v a minute, p50 %v, p99 %v", s.PerMinute, s.P50, s.P99)
		}
		if s.State != Healthy || s.LastSuccess.IsZero() || s.LastError != "HTTP 500" {
			t.Errorf("%+v", s)
		}
		after(2 * time.Hour)
		s = b.stateOf(t, "a")
		if s.PerMinute != 0 {
			t.Errorf("two hours later %v a minute", s.PerMinute)
		}
	})
}

func TestMetrics_TellStatesAndForgetRemovedWebhooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		d := New(Options{Store: newModelStore(), Registerer: reg})
		if err := d.Apply([]Webhook{hook("a", answering(delivered)), hook("b", answering(delivered))}); err != nil {
			t.Fatal(err)
		}
		if err := d.Pause(t.Context(), "b", ""); err != nil {
			t.Fatal(err)
		}
		w, _ := d.workerOf("a")
		v := w.decide(probe{}, queue.Delivery{}, delivered)
		d.metrics.observe(w.name, time.Now(), v)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP intellidocs_agent_delivery_attempts_total Attempts made, by what came of them.
# TYPE intellidocs_agent_delivery_attempts_total counter
intellidocs_agent_delivery_attempts_total{outcome="dead",webhook="a"} 0
intellidocs_agent_delivery_attempts_total{outcome="dead",webhook="b"} 0
intellidocs_agent_delivery_attempts_total{outcome="delivered",webhook="a"} 1
intellidocs_agent_delivery_attempts_total{outcome="delivered",webhook="b"} 0
intellidocs_agent_delivery_attempts_total{outcome="gone",webhook="a"} 0
intellidocs_agent_delivery_attempts_total{outcome="gone",webhook="b"} 0
intellidocs_agent_delivery_attempts_total{outcome="held",webhook="a"} 0
intellidocs_agent_delivery_attempts_total{outcome="held",webhook="b"} 0
intellidocs_agent_delivery_attempts_total{outcome="retry",webhook="a"} 0
intellidocs_agent_delivery_attempts_total{outcome="retry",webhook="b"} 0
# HELP intellidocs_agent_webhook_state 1 for the state that the webhook is in, 0 for the others.
# TYPE intellidocs_agent_webhook_state gauge
intellidocs_agent_webhook_state{state="disabled",webhook="a"} 0
intellidocs_agent_webhook_state{state="disabled",webhook="b"} 0
intellidocs_agent_webhook_state{state="healthy",webhook="a"} 1
intellidocs_agent_webhook_state{state="healthy",webhook="b"} 0
intellidocs_agent_webhook_state{state="held",webhook="a"} 0
intellidocs_agent_webhook_state{state="held",webhook="b"} 0
intellidocs_agent_webhook_state{state="paused",webhook="a"} 0
intellidocs_agent_webhook_state{state="paused",webhook="b"} 1
intellidocs_agent_webhook_state{state="retrying",webhook="a"} 0
intellidocs_agent_webhook_state{state="retrying",webhook="b"} 0
`), "intellidocs_agent_delivery_attempts_total", "intellidocs_agent_webhook_state"); err != nil {
			t.Error(err)
		}
		if err := d.Apply(nil); err != nil {
			t.Fatal(err)
		}
		d.metrics.observe(w.name, time.Now(), v) // of an attempt that ends after it
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			t.Errorf("%s has %d series of removed webhooks", f.GetName(), len(f.GetMetric()))
		}
	})
}
