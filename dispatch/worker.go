package dispatch

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// lives are how long each kind of work may go on, from the shortest to the longest.
type lives struct{ claim, send, record context.Context }

// lookAgain bounds how long a worker relies on its timer: due times are by the wall
// clock, which may be set, and timers stand still while the machine sleeps.
const lookAgain = time.Minute

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

	mu      sync.Mutex // what follows; never held over I/O
	cfg     Webhook
	ready   []queue.Delivery // claimed, not begun
	active  bool             // configured, enabled and not parked
	removed bool             // not configured any more
	limiter *rate.Limiter
	done    []string // claimed ones that are so no longer
	breaker breaker
	offline offline
	paused  *pause
	dirty   bool // paused or breaker changed and that is not stored yet
	tally   tally
}

func newWorker(d *Dispatcher, cfg Webhook, state []byte) *worker {
	w := &worker{
		d:       d,
		name:    cfg.Name,
		wake:    make(chan struct{}, 1),
		claimed: map[string]bool{},
	}
	w.restore(state)
	w.configure(cfg)
	return w
}

// configure gives the worker its webhook's configuration, the first or a new one.
func (w *worker) configure(cfg Webhook) {
	defer w.poke()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active, w.removed = cfg.Enabled && !cfg.Parked, false
	w.d.metrics.begin(w.name)
	if cfg.Digest != "" && cfg.Digest == w.cfg.Digest && w.cfg.Sender != nil {
		return
	}
	if w.limiter == nil || w.cfg.RateLimit != cfg.RateLimit {
		w.limiter = newLimiter(cfg.RateLimit)
	}
	if w.paused != nil && w.paused.Digest != "" && w.paused.Digest != cfg.Digest {
		w.d.log.Info("webhook resumed: its configuration has changed", "webhook", w.name, "reason", w.paused.Reason)
		w.paused, w.dirty = nil, true
	}
	switch {
	case !w.breaker.open:
	case cfg.BreakerFailures == 0: // nothing is to hold it any more
		w.breaker.close()
		w.dirty = true
	case w.cfg.Digest != cfg.Digest:
		w.breaker.probeAt, w.breaker.delay = now, probeFirst // it may have been mended
	}
	w.cfg = cfg
}

// newLimiter lets through perSecond attempts, evenly: no more at once than a tenth of a
// second's.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
}

func (w *worker) remove() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active, w.removed = false, true
	w.d.metrics.forget(w.name)
	w.poke()
}

// poke makes the worker look at what is to be done.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run claims what is due until lives.claim ends or the webhook is gone, and returns when
// all attempts have ended.
func (w *worker) run(l lives) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.claim.Err() == nil {
		w.release()
		persistAt := w.persistChanges(l.record)
		if len(w.claimed) == 0 && w.d.retire(w) {
			break
		}
		if at := earliest(w.claim(l), persistAt); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(min(time.Until(at), lookAgain))
		}
		select {
		case <-l.claim.Done():
		case <-w.wake:
		case <-timer.C:
		}
	}
	w.d.budget.leave(w)
	w.sends.Wait()
	w.writing.succeeded() // there will be no later try to wait for
	w.persistChanges(l.record)
}

// gone tells whether nothing is left to do: the webhook was removed, and what is to be
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

// plan is what may be attempted now.
type plan struct {
	n  int       // how many
	at time.Time // when to look again; zero: when poked
	// ahead: nothing is wrong, and more may be claimed than attempted.
	ahead bool
	trial
	ordered bool
	probed  map[string]bool
}

// trial says why an attempt is made although others wait, and by which configuration.
type trial struct {
	probe, offline bool
	digest         string
}

// unhindered reports whether nothing bounds the attempts but concurrency. w.mu is held.
func (w *worker) unhindered() bool {
	return w.active && w.paused == nil && !w.breaker.open && w.breaker.ramp == 0 && !w.offline.is() &&
		!w.cfg.Ordered && w.limiter.Limit() == rate.Inf
}

func (w *worker) plan(now time.Time) plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.active || w.paused != nil {
		return plan{}
	}
	p := plan{ahead: w.unhindered(), ordered: w.cfg.Ordered, trial: trial{probe: w.breaker.open, offline: w.offline.is()}}
	limit, busy := w.breaker.limit(w.cfg.Concurrency), w.tally.inFlight
	if p.ordered || p.offline || p.probe {
		// What comes next depends on the outcome, which must be in the store.
		limit, busy = 1, len(w.claimed)-len(w.ready)
	}
	free := limit - busy
	gate := w.reading.until
	if p.probe {
		gate = latest(gate, w.breaker.probeAt)
		p.probed = maps.Clone(w.breaker.probed)
	}
	if p.offline {
		gate = latest(gate, w.offline.retry)
	}
	if gate.After(now) {
		return plan{at: gate}
	}
	if perSecond := w.limiter.Limit(); perSecond != rate.Inf && free > 0 {
		tokens := w.limiter.TokensAt(now)
		if tokens < 1 {
			wait := time.Duration((1 - tokens) / float64(perSecond) * float64(time.Second))
			return plan{at: now.Add(max(wait, time.Millisecond))}
		}
		free = min(free, int(tokens))
	}
	p.n = max(free, 0)
	return p
}

// claim starts attempts for what is due, as far as may be, and says when to look again
// (zero: when poked).
func (w *worker) claim(l lives) time.Time {
	for l.claim.Err() == nil {
		now := time.Now()
		p := w.plan(now)
		if !p.ahead {
			w.unclaim()
			if p.n == 0 {
				w.d.budget.leave(w)
				return p.at
			}
		}
		left, room := w.beginReady(l, p, now, p.n)
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
		if _, room := w.beginReady(l, p, now, left); !room {
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
	if p.ordered {
		head, ok, err := w.d.store.Head(w.name)
		switch {
		case err != nil || !ok:
			return nil, time.Time{}, err
		case head.NextAttemptAt.After(now):
			return nil, head.NextAttemptAt, nil
		}
		return []queue.Delivery{head}, time.Time{}, nil
	}
	deliveries, next, err := w.d.store.Due(w.name, now, n, func(id string) bool {
		return w.claimed[id] || p.probed[id]
	})
	if err != nil || len(deliveries) > 0 || len(p.probed) == 0 {
		return deliveries, next, err
	}
	// Each was a probe before: begin again with the first.
	w.mu.Lock()
	clear(w.breaker.probed)
	w.mu.Unlock()
	return w.d.store.Due(w.name, now, n, func(id string) bool { return w.claimed[id] })
}

// attempt is one that may be made now.
type attempt struct {
	trial
	d      queue.Delivery
	sender Sender
	share  share // of the budget
}

// beginReady starts attempts for at most n of the ready ones and returns how many fewer it
// were, and whether there was room for the next one.
func (w *worker) beginReady(l lives, p plan, now time.Time, n int) (left int, room bool) {
	for ; n > 0; n-- {
		w.mu.Lock()
		if len(w.ready) == 0 {
			w.mu.Unlock()
			return n, true
		}
		size, proven := int64(w.ready[0].Size), w.tally.failures == 0 && !w.tally.lastSuccess.IsZero()
		w.mu.Unlock()
		// Of what is small a sender may take one meanwhile.
		s, ok := w.d.budget.take(w, size, proven)
		if !ok {
			return n, false
		}
		w.mu.Lock()
		if len(w.ready) == 0 || int64(w.ready[0].Size) > size {
			w.mu.Unlock()
			w.d.budget.give(w, s)
			continue
		}
		a := w.begin(p.trial, s, now)
		w.mu.Unlock()
		w.sends.Go(func() { w.send(l, a) })
	}
	return 0, true
}

// begin takes the first of those that are ready. w.mu is held.
func (w *worker) begin(t trial, s share, now time.Time) attempt {
	a := attempt{trial: t, d: w.ready[0], sender: w.cfg.Sender, share: s}
	w.ready = w.ready[1:]
	w.limiter.AllowN(now, 1)
	if t.probe && w.breaker.open {
		w.breaker.markProbe(a.d.ID)
	}
	a.digest = w.cfg.Digest
	w.tally.inFlight++
	return a
}

// send makes attempts, one after another as long as nothing is wrong.
func (w *worker) send(l lives, a attempt) {
	for more := true; more; {
		w.deliver(l, a)
		a, more = w.another(l)
	}
	w.poke()
}

// another ends an attempt, and takes the next one where nothing is wrong: a sender that
// goes on spares the worker's waking.
func (w *worker) another(l lives) (attempt, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.inFlight--
	if len(w.ready) == 0 || w.ready[0].Size > smallBody || l.claim.Err() != nil || w.dirty || !w.unhindered() || w.tally.inFlight >= w.cfg.Concurrency {
		return attempt{}, false
	}
	if len(w.ready) == readAhead/2 {
		w.poke()
	}
	return w.begin(trial{}, share{}, time.Time{}), true
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
