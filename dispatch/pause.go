package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// pause is why a webhook's deliveries are held back until somebody resumes it, as the store
// keeps it for whoever serves the webhook.
type pause struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Gone: a 410 caused it, at the configuration of this Digest; another one lifts it.
	Gone   bool   `json:"gone,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Resumed: it is none. Somebody has resumed the webhook, who could not close the breaker
	// since another agent serves it.
	Resumed time.Time `json:"resumed,omitzero"`
}

// saved is what must survive a restart about a webhook besides its pause, as Store keeps it.
type saved struct {
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

// restore takes over what SetState and SetPause stored. What cannot be read counts as nothing
// stored: deliveries that go out are better than ones that wait for no known reason.
func (g *gate) restore(known stored, now time.Time) error {
	g.stored = known
	p, errPause := decodePause(known.pause)
	g.paused = p.inForce()
	var s saved
	if len(known.state) > 0 {
		if err := json.Unmarshal(known.state, &s); err != nil {
			return errors.Join(errPause, err)
		}
	}
	if p != nil && s.Held != nil && p.Resumed.After(s.Held.Since) {
		s.Held = nil // its server ended before it knew
	}
	if p != nil && s.Throttled != nil && p.Resumed.After(s.Throttled.Since) {
		s.Throttled = nil
	}
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
	return errPause
}

func decodePause(stored []byte) (*pause, error) {
	if len(stored) == 0 {
		return nil, nil
	}
	p := &pause{}
	if err := json.Unmarshal(stored, p); err != nil {
		return nil, err
	}
	return p, nil
}

// lifts reports whether a configuration ends it: where it is another one than that which met a
// 410, and was loaded after it. Else agents with an old and a new one would undo each other's.
func (p *pause) lifts(cfg *Webhook) bool {
	return p != nil && p.Digest != "" && p.Digest != cfg.Digest && (cfg.Loaded.IsZero() || cfg.Loaded.After(p.Since))
}

// inForce is the pause, nil where there is none.
func (p *pause) inForce() *pause {
	if p == nil || !p.Resumed.IsZero() {
		return nil
	}
	return p
}

// encode returns what is stored of a pause: nil of none.
func (p *pause) encode() []byte {
	if p == nil {
		return nil
	}
	return marshal(p)
}

// encode returns the state that restore reads.
func encode(b *breaker, t *throttle, digest string) []byte {
	var s saved
	if b.open {
		s.Held = &held{Since: b.since, Failures: b.failures, Delay: b.delay, ProbeAt: b.probeAt, Digest: digest, Burned: b.burned}
	}
	if t.lasts(t.latest) {
		s.Throttled = &throttled{Since: t.since, Until: t.until, Reason: t.reason, Digest: digest}
	}
	return marshal(s)
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("dispatch: encode a webhook's state: %v", err)) // plain fields: cannot be
	}
	return text
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
	pauseDirty, dirty := w.pauseDirty, w.dirty
	paused, state := w.paused.encode(), []byte(nil)
	if dirty {
		state = encode(&w.breaker, &w.throttle, w.cfg.Digest)
	}
	epoch := w.lease.epoch
	w.pauseDirty, w.dirty = false, false
	w.mu.Unlock()

	var err error
	if pauseDirty {
		if err = w.d.store.SetPause(ctx, w.name, paused); err == nil {
			pauseDirty = false
			w.mu.Lock()
			w.stored.pause = paused
			w.mu.Unlock()
		}
	}
	if dirty && err == nil {
		err = w.d.store.SetState(ctx, w.name, epoch, state)
		if errors.Is(err, queue.ErrNotOwner) { // what is so, whoever serves it sees for itself
			w.release(epoch)
			err = nil
		}
		dirty = err != nil
	}
	if err == nil {
		w.writing.succeeded()
		return time.Time{}
	}
	w.mu.Lock()
	w.pauseDirty, w.dirty = w.pauseDirty || pauseDirty, w.dirty || dirty
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
	if p != nil && w.paused != nil && !w.paused.Gone {
		p.Since = w.paused.Since // paused again: for another reason, not since now
	}
	cleared := encode(&breaker{}, &throttle{}, w.cfg.Digest)
	epoch := w.lease.epoch
	w.mu.Unlock()

	action, err, wish := "pause", error(nil), p
	if p == nil {
		action = "resume"
		err = w.d.store.SetState(ctx, w.name, epoch, cleared)
		if errors.Is(err, queue.ErrNotOwner) {
			wish, err = &pause{Resumed: time.Now()}, nil // for the agent that serves it
		}
	}
	text := wish.encode()
	if err == nil {
		err = w.d.store.SetPause(ctx, w.name, text)
	}
	if err != nil {
		w.mu.Lock()
		w.dirty = true // half of it may be stored
		w.mu.Unlock()
		w.poke()
		return fmt.Errorf("%s webhook %q: store it: %w", action, w.name, err)
	}

	w.mu.Lock()
	w.stored.pause, w.lookAtPause, w.lifted, w.wished = text, false, false, time.Now()
	if p == nil {
		w.letGo()
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
