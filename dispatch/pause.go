package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// pause is why a webhook's deliveries are held back until somebody resumes it.
type pause struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Gone: a 410 caused it, at the configuration of this Digest; another one lifts it.
	Gone   bool   `json:"gone,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// saved is what must survive a restart about a webhook, as Store keeps it.
type saved struct {
	Paused    *pause     `json:"paused,omitempty"`
	Held      *held      `json:"held,omitempty"`
	Throttled *throttled `json:"throttled,omitempty"`
}

// held is an open breaker.
type held struct {
	Since    time.Time     `json:"since"`
	Failures int           `json:"failures"`
	Delay    time.Duration `json:"delay"`
	ProbeAt  time.Time     `json:"probe_at"`
	// Digest is of the configuration it was held with; another one is probed at once.
	Digest string `json:"digest,omitempty"`
	// Burned are deliveries whose attempts the outage used up.
	Burned []string `json:"burned,omitempty"`
}

// throttled is an endpoint that takes no more for a while.
type throttled struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	Digest string    `json:"digest,omitempty"` // of the configuration it was met with
}

// restore takes over what SetState stored. What cannot be read counts as nothing stored:
// deliveries that go out are better than ones that wait for no known reason.
func (g *gate) restore(state []byte, now time.Time) error {
	if len(state) == 0 {
		return nil
	}
	var s saved
	if err := json.Unmarshal(state, &s); err != nil {
		return err
	}
	g.paused = s.Paused
	if t := s.Throttled; t != nil {
		g.cfg.Digest = t.Digest
		// No later than any is: the clock may have been set back since.
		g.throttle = throttle{since: t.Since, latest: t.Since, until: earliest(t.Until, now.Add(throttleMax)), reason: t.Reason, serial: true, stored: true}
		// Of one that still lasts people hear at the start, if they have not before.
		g.throttle.announced = g.throttle.long() || g.throttle.until.After(now)
	}
	if h := s.Held; h != nil {
		g.cfg.Digest = h.Digest
		g.breaker = breaker{
			// No later than any probe is: the clock may have been set back since.
			failures: h.Failures, open: true, since: h.Since, probeAt: earliest(h.ProbeAt, now.Add(probeMax)),
			delay: min(max(h.Delay, probeFirst), probeMax), probed: map[string]bool{},
			burned: h.Burned[:min(len(h.Burned), burnedMax)],
		}
	}
	return nil
}

// encode returns what restore reads.
func encode(p *pause, b *breaker, t *throttle, digest string) []byte {
	s := saved{Paused: p}
	if b.open {
		s.Held = &held{Since: b.since, Failures: b.failures, Delay: b.delay, ProbeAt: b.probeAt, Digest: digest, Burned: b.burned}
	}
	if t.lasts(t.latest) {
		s.Throttled = &throttled{Since: t.since, Until: t.until, Reason: t.reason, Digest: digest}
	}
	state, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("dispatch: encode a webhook's state: %v", err)) // plain fields: cannot be
	}
	return state
}

// persistChanges stores pause and breaker where they changed, and says when to try again
// if that failed. The breaker changes twice for an outage and once for each probe, which
// bounds the writes.
func (w *worker) persistChanges(ctx context.Context) time.Time {
	now := time.Now()
	if now.Before(w.writing.until) {
		return w.writing.until
	}
	w.persisting.Lock()
	defer w.persisting.Unlock()
	w.mu.Lock()
	if !w.dirty {
		w.mu.Unlock()
		return time.Time{}
	}
	w.dirty = false
	state := encode(w.paused, &w.breaker, &w.throttle, w.cfg.Digest)
	w.mu.Unlock()

	err := w.d.store.SetState(ctx, w.name, state)
	if err == nil {
		w.writing.succeeded()
		return time.Time{}
	}
	w.mu.Lock()
	w.dirty = true
	w.mu.Unlock()
	if w.writing.failed(now) {
		w.d.log.Error("cannot store whether the webhook is paused or held; trying until it succeeds", "webhook", w.name, "error", err)
	}
	return w.writing.until
}

// setPause pauses, or with nil resumes and closes the breaker: durably first, then in effect.
func (w *worker) setPause(ctx context.Context, p *pause) error {
	w.persisting.Lock()
	defer w.persisting.Unlock()
	w.mu.Lock()
	b, t := w.breaker, w.throttle
	if p == nil {
		b, t = breaker{}, throttle{}
	} else if w.paused != nil && !w.paused.Gone {
		p.Since = w.paused.Since // paused again: for another reason, not since now
	}
	state := encode(p, &b, &t, w.cfg.Digest)
	w.mu.Unlock()

	if err := w.d.store.SetState(ctx, w.name, state); err != nil {
		action := "pause"
		if p == nil {
			action = "resume"
		}
		return fmt.Errorf("%s webhook %q: store it: %w", action, w.name, err)
	}

	w.mu.Lock()
	if p == nil && (w.breaker.open || w.paused != nil) {
		w.reopen()
	}
	if p == nil {
		w.offline, w.throttle = offline{}, throttle{}
	}
	w.paused = p
	w.mu.Unlock()
	if p != nil {
		w.d.log.Info("webhook paused: its deliveries wait until it is resumed", "webhook", w.name, "reason", p.Reason)
	} else {
		w.d.log.Info("webhook resumed", "webhook", w.name)
	}
	w.poke()
	return nil
}
