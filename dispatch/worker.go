package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// contexts are how long each kind of work may take, from the shortest to the longest.
type contexts struct{ claim, send, record context.Context }

// maxSleep bounds how long a worker relies on its timer: due times are by the wall
// clock, which may be set, and timers stand still while the machine sleeps.
const maxSleep = time.Minute

// readAhead is how many deliveries a worker claims before there is a slot for them, so
// that a slot need not wait for the store.
const readAhead = 32

// worker serves one webhook. Its goroutine alone claims, and decides what may be attempted.
// Attempts are made by senders, goroutines that take the next claimed delivery themselves
// as long as nothing is wrong. A claimed delivery is ready, then under way, and then waits
// for its outcome to be durable.
type worker struct {
	d     *Dispatcher
	name  string
	wake  chan struct{}
	sends sync.WaitGroup

	// Of the worker's goroutine alone. Nothing leaves claimed during a call of Store.Due:
	// it may have read a delivery before the outcome of its attempt was recorded.
	claimed map[string]bool
	reading backoff
	writing backoff

	persisting sync.Mutex // one SetState at a time; taken before mu

	mu      sync.Mutex       // what follows; never held over I/O
	ready   []queue.Delivery // claimed, not begun
	done    []string         // claimed ones that are so no longer
	removed bool             // not configured any more
	gate
}

func newWorker(d *Dispatcher, cfg Webhook, state []byte) *worker {
	w := &worker{
		d:       d,
		name:    cfg.Name,
		wake:    make(chan struct{}, 1),
		claimed: map[string]bool{},
	}
	if err := w.restore(state, time.Now()); err != nil {
		d.log.Error("cannot read whether the webhook was paused or held; it starts as neither", "webhook", cfg.Name, "error", err)
	}
	w.configure(cfg)
	return w
}

// configure hands the worker its webhook's configuration, the first or a new one.
func (w *worker) configure(cfg Webhook) {
	defer w.poke()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = false
	w.d.metrics.begin(w.name)
	if lifted := w.gate.configure(cfg, time.Now()); lifted != nil {
		w.d.log.Info("webhook resumed: its configuration has changed", "webhook", w.name, "reason", lifted.Reason)
	}
}

func (w *worker) remove() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active, w.removed = false, true
	w.d.metrics.forget(w.name)
	w.poke()
}

// poke makes the worker look at what must be done.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run claims what is due until contexts.claim ends or the webhook is gone, and returns when
// all attempts have ended.
func (w *worker) run(c contexts) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c.claim.Err() == nil {
		w.release()
		persistAt := w.persistChanges(c.record)
		if len(w.claimed) == 0 && w.d.retire(w) {
			break
		}
		if at := earliest(w.claim(c), persistAt); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(min(time.Until(at), maxSleep))
		}
		select {
		case <-c.claim.Done():
		case <-w.wake:
		case <-timer.C:
		}
	}
	w.d.budget.leave(w)
	w.sends.Wait()
	w.writing.succeeded() // there will be no later try to wait for
	w.persistChanges(c.record)
}

// gone reports whether nothing is left to do: the webhook was removed, and what is to be
// known of it is stored.
func (w *worker) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed && !w.dirty
}

// release forgets the claimed ones that are so no longer.
func (w *worker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.done {
		delete(w.claimed, id)
	}
	w.done = w.done[:0]
}

func (w *worker) plan(now time.Time) plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.plan(now, len(w.claimed)-len(w.ready), w.reading.until)
}

// claim starts attempts for what is due, as far as may be, and says when to look again
// (zero: when poked).
func (w *worker) claim(c contexts) time.Time {
	for c.claim.Err() == nil {
		now := time.Now()
		p := w.plan(now)
		if !p.ahead {
			w.unclaim()
			if p.n == 0 {
				w.d.budget.leave(w)
				return p.at
			}
		}
		left, room := w.beginReady(c, p, now, p.n)
		if !room {
			return time.Time{} // poked when there is
		}
		want := left
		if p.ahead {
			want = w.want(left)
		}
		if want == 0 {
			return time.Time{}
		}
		deliveries, next, err := w.due(p, want, now)
		if err != nil {
			if w.reading.failed(now) {
				w.d.log.Error("cannot read what is due; trying again", "webhook", w.name, "error", err)
			}
			return w.reading.until
		}
		w.reading.succeeded()
		w.claimAll(deliveries)
		if _, room := w.beginReady(c, p, now, left); !room {
			return time.Time{}
		}
		if len(deliveries) < want {
			if len(deliveries) == 0 {
				w.d.budget.leave(w)
			}
			if !next.IsZero() && !next.After(now) {
				next = now.Add(100 * time.Millisecond) // became due meanwhile, or is claimed
			}
			return next
		}
	}
	return time.Time{}
}

// want is how many to claim where left may be attempted at once.
func (w *worker) want(left int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.ready); n < readAhead/2 {
		return left + readAhead - n
	}
	return 0
}

func (w *worker) claimAll(deliveries []queue.Delivery) {
	for i := range deliveries {
		w.claimed[deliveries[i].ID] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = append(w.ready, deliveries...)
}

// unclaim lets go of what was claimed ahead.
func (w *worker) unclaim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ready) == 0 {
		return
	}
	for i := range w.ready {
		delete(w.claimed, w.ready[i].ID)
	}
	w.ready = nil
	w.poke() // it may have been all that kept a removed webhook's worker
}

// due reads at most n deliveries to attempt, and when the next one is due.
func (w *worker) due(p plan, n int, now time.Time) ([]queue.Delivery, time.Time, error) {
	w.d.claims <- struct{}{}
	defer func() { <-w.d.claims }()
	early := append(slices.Clip(p.hurried), p.burned...) // need not be due
	if p.ordered {
		head, ok, err := w.d.store.Head(w.name)
		switch {
		case err != nil || !ok:
			return nil, time.Time{}, err
		case head.NextAttemptAt.After(now) && !slices.Contains(early, head.ID):
			return nil, head.NextAttemptAt, nil
		}
		return []queue.Delivery{head}, time.Time{}, nil
	}
	skip := func(id string) bool { return w.claimed[id] || p.probed[id] }
	for {
		found, err := w.hurry(p.hurried, n, skip)
		if err != nil || len(found) == n {
			return found, now, err
		}
		due, next, err := w.d.store.Due(w.name, now, n-len(found), func(id string) bool { return skip(id) || slices.Contains(p.hurried, id) })
		if found = append(found, due...); err == nil && len(found) == 0 {
			found, err = w.hurry(p.burned, n, skip)
		}
		if err != nil || len(found) > 0 || len(p.probed) == 0 {
			return found, next, err
		}
		// Each was a probe before: begin again with the first.
		p.probed = nil
		w.mu.Lock()
		clear(w.breaker.probed)
		w.mu.Unlock()
	}
}

// hurry reads at most n of the deliveries that need not wait for their own due time.
func (w *worker) hurry(ids []string, n int, skip func(id string) bool) ([]queue.Delivery, error) {
	var found []queue.Delivery
	for _, id := range ids {
		if len(found) == n {
			break
		}
		if skip(id) {
			continue
		}
		d, err := w.d.store.Get(id)
		switch {
		case err == nil && !d.NextAttemptAt.IsZero() && d.Webhook == w.name:
			found = append(found, d)
		case err == nil, errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrDamaged):
			w.mu.Lock()
			w.hurried = slices.DeleteFunc(slices.Clone(w.hurried), func(h string) bool { return h == id })
			w.mu.Unlock()
		default:
			return nil, err
		}
	}
	return found, nil
}

// attempt is one that may be made now.
type attempt struct {
	probe
	d      queue.Delivery
	sender Sender
	share  share
}

// beginReady starts attempts for at most n of the ready ones and returns how many fewer it
// were, and whether there was room for the next one.
func (w *worker) beginReady(c contexts, p plan, now time.Time, n int) (left int, room bool) {
	for ; n > 0; n-- {
		w.mu.Lock()
		if len(w.ready) == 0 {
			w.mu.Unlock()
			return n, true
		}
		size, proven := int64(w.ready[0].Size), w.proven()
		w.mu.Unlock()
		// A sender may take one meanwhile.
		s, ok := w.d.budget.take(w, size, proven)
		if !ok {
			return n, false
		}
		w.mu.Lock()
		if len(w.ready) == 0 || int64(w.ready[0].Size) > size {
			w.mu.Unlock()
			s.give(w)
			continue
		}
		a := w.begin(p.probe, s, now)
		w.mu.Unlock()
		w.sends.Go(func() { w.send(c, a) })
	}
	return 0, true
}

// proven reports whether the webhook answered well the last time. w.mu is held.
func (w *worker) proven() bool { return w.stats.failures == 0 && !w.stats.lastSuccess.IsZero() }

// begin takes the first of those that are ready. w.mu is held.
func (w *worker) begin(p probe, s share, now time.Time) attempt {
	a := attempt{probe: p, d: w.ready[0], sender: w.cfg.Sender, share: s}
	w.ready = w.ready[1:]
	w.began(p, a.d.ID, now)
	a.digest = w.cfg.Digest
	return a
}

// send makes attempts, one after another as long as nothing is wrong.
func (w *worker) send(c contexts, a attempt) {
	for more := true; more; {
		w.deliver(c, a)
		a, more = w.another(c)
	}
	w.poke()
}

// another ends an attempt, and takes the next one where nothing is wrong: a sender that
// goes on spares the worker's waking.
func (w *worker) another(c contexts) (attempt, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.inFlight--
	if len(w.ready) == 0 || w.ready[0].Size > smallBody || c.claim.Err() != nil || w.dirty || !w.unhindered() || w.stats.inFlight >= w.cfg.Concurrency {
		return attempt{}, false
	}
	s, ok := w.d.budget.take(w, int64(w.ready[0].Size), w.proven())
	if !ok {
		return attempt{}, false // others' turn
	}
	if len(w.ready) == readAhead/2 {
		w.poke()
	}
	return w.begin(probe{}, s, time.Now()), true
}

// finish says that a claimed delivery may be claimed again, if it is still due.
func (w *worker) finish(id string) {
	w.mu.Lock()
	w.done = append(w.done, id)
	w.mu.Unlock()
	w.poke()
}

// backoff spaces out what keeps failing. The zero value is ready.
type backoff struct {
	delay time.Duration
	until time.Time
}

// failed says whether it is the first failure in a row.
func (b *backoff) failed(now time.Time) bool {
	first := b.delay == 0
	b.delay = min(max(2*b.delay, 100*time.Millisecond), 30*time.Second)
	b.until = now.Add(b.delay)
	return first
}

func (b *backoff) succeeded() { *b = backoff{} }

// earliest leaves out zero times.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
