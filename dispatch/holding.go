package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// lease is an agent's right to serve a webhook, as the store told it. The zero value is none.
type lease struct {
	epoch int64 // of the holding, also once it is over; 0: there was none yet
	held  bool
	until time.Time // with its monotonic reading; zero: for ever
	pause []byte    // as it was last told
}

// valid reports whether a request may begin. The monotonic clock stands still while the machine
// sleeps, and the wall clock may be set back: both must say so.
func (l *lease) valid(now time.Time) bool {
	return l.held && (l.until.IsZero() || now.Before(l.until) && now.Round(0).Before(l.until.Round(0)))
}

// stored is what the store was last seen to have about a webhook.
type stored struct{ state, pause []byte }

// ownServer is the dispatcher as the store has it that says which webhooks are its own.
type ownServer struct{ d *Dispatcher }

// run has the store say so until ctx ends.
func (s ownServer) run(ctx context.Context) error {
	return s.d.store.Own(ctx, queue.Server{Webhooks: s.webhooks, Changed: s.d.changed, Hold: s.hold, Busy: s.busy, Status: s.status})
}

// webhooks are those that this agent can serve.
func (s ownServer) webhooks() []queue.Served {
	var all []queue.Served
	for _, w := range s.d.inOrder() {
		w.mu.Lock()
		if w.active {
			all = append(all, queue.Served{Webhook: w.name, Timeout: w.cfg.Timeout})
		}
		w.mu.Unlock()
	}
	return all
}

// inOrder are the configured webhooks' workers.
func (d *Dispatcher) inOrder() []*worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	workers := make([]*worker, 0, len(d.order))
	for _, name := range d.order {
		workers = append(workers, d.workers[name])
	}
	return workers
}

// hold takes in what this agent serves from now on, and until when.
func (s ownServer) hold(all []queue.Holding) {
	s.d.mu.Lock()
	workers := s.d.workers
	s.d.mu.Unlock()
	for name, w := range workers {
		if i := slices.IndexFunc(all, func(h queue.Holding) bool { return h.Webhook == name }); i >= 0 {
			w.hold(all[i])
		} else {
			w.release(whichever)
		}
	}
}

func (s ownServer) busy(webhook string) bool {
	s.d.mu.Lock()
	w := s.d.workers[webhook]
	s.d.mu.Unlock()
	return w != nil && w.busy()
}

// status is what other agents are told of this one.
func (s ownServer) status() queue.AgentStatus {
	st := queue.AgentStatus{Webhooks: map[string]json.RawMessage{}}
	for _, w := range s.d.inOrder() {
		if state, held := w.state(); held {
			st.Webhooks[w.name] = marshal(state)
		}
	}
	return st
}

// hold makes the webhook this agent's, or extends that.
func (w *worker) hold(h queue.Holding) {
	defer w.poke()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.removed {
		return
	}
	known := stored{h.State, h.Pause}
	// Nobody can have changed what this agent alone has served, nor what it has just read.
	if taken := h.Epoch != w.lease.epoch; taken && (w.lease.epoch != 0 || !w.stored.equal(known)) {
		w.claims.discard() // others may have sent them since
		w.report.restored(w.gate.restart(known, now))
	}
	if h.Epoch != w.lease.epoch && !h.Until.IsZero() {
		w.limiter.AllowN(now, w.limiter.Burst()) // whoever had it before may have used all of it
	}
	w.lookAtPause = w.lookAtPause || w.lease.held && h.Epoch == w.lease.epoch && !bytes.Equal(h.Pause, w.lease.pause)
	w.pauseDirty, w.lifted = w.pauseDirty || w.lifted, false
	w.lease = lease{epoch: h.Epoch, held: true, until: h.Until, pause: h.Pause}
}

func (s stored) equal(o stored) bool {
	return bytes.Equal(s.state, o.state) && bytes.Equal(s.pause, o.pause)
}

// whichever is no epoch: it stands for that of any holding.
const whichever = 0

// release says that the webhook is not this agent's any more, unless it was taken again since the
// holding of an epoch.
func (w *worker) release(epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lease.held && (epoch == whichever || w.lease.epoch == epoch) {
		w.lease.held = false
		w.claims.discard()
		w.poke()
	}
}

// mayBegin reports whether a request may begin under the holding of an epoch.
func (w *worker) mayBegin(epoch int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lease.epoch == epoch && w.lease.valid(time.Now())
}

// busy reports whether anything is under way, or not in the store yet, that the next to serve
// the webhook must wait for.
func (w *worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claims.underWay() > 0 || w.dirty || w.pauseDirty
}

// obey takes in a pause, or the end of one, that another agent has stored.
func (w *worker) obey() {
	w.mu.Lock()
	look := w.lookAtPause
	w.mu.Unlock()
	if !look {
		return
	}
	w.persisting.Lock()
	defer w.persisting.Unlock()
	text, err := w.d.store.Pause(w.name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.pauseDirty {
		return // this agent's own comes after it; or the next beat
	}
	w.lookAtPause = false
	if bytes.Equal(text, w.stored.pause) {
		return
	}
	w.stored.pause = text
	p, err := decodePause(text)
	if err != nil {
		w.d.log.Error("cannot read why the webhook was paused; it is served", "webhook", w.name, "error", err)
	}
	if p = p.inForce(); p != nil {
		w.paused = p
		w.d.log.Info("webhook paused: its deliveries wait until it is resumed", "webhook", w.name, "reason", p.Reason)
		return
	}
	w.letGo()
	w.dirty = true
	w.d.log.Info("webhook resumed", "webhook", w.name)
}

// othersState is how a webhook is doing that another agent serves, by what that one said; known is
// how it is as this agent knows it, which counts while the other has not said anything since it was
// paused or resumed here.
func othersState(w *worker, known State, agents []queue.Agent) State {
	w.mu.Lock()
	wished := w.wished
	w.mu.Unlock()
	for i := range agents {
		a := &agents[i]
		var s State
		if !a.Live || !slices.Contains(a.Webhooks, w.name) || json.Unmarshal(a.Status.Webhooks[w.name], &s) != nil {
			continue
		}
		if a.Seen.Before(wished) {
			s = known
		}
		s.Webhook, s.Agent = w.name, a.Name
		return s
	}
	return known
}
