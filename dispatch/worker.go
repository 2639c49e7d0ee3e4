package dispatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// contexts are how long each kind of work may take, from the shortest to the longest.
type contexts struct{ claim, send, record context.Context }

// maxSleep bounds how long a worker relies on its timer: due times are by the wall
// clock, which may be set, and timers stand still while the machine sleeps.
const maxSleep = time.Minute

// worker serves one webhook. Its goroutine alone claims deliveries, as many as its gate lets
// through, and starts a sender for each. A sender makes attempts, and as long as nothing is
// wrong takes the next claimed delivery by itself. The recorder makes the outcomes durable,
// after which a delivery that is still due may be claimed again.
type worker struct {
	d      *Dispatcher
	name   string
	wake   chan struct{}
	sends  sync.WaitGroup
	claims *claims
	report reporter

	// Of the worker's goroutine alone.
	reading backoff
	writing backoff

	persisting sync.Mutex // one SetState at a time; taken before mu

	// mu guards what follows and is never held over I/O. Claims are taken under it too, with
	// the gate told of each, so that what it plans is right.
	mu      sync.Mutex
	removed bool // not configured any more
	gate
}

func newWorker(d *Dispatcher, cfg Webhook, known stored) *worker {
	w := &worker{
		d:      d,
		name:   cfg.Name,
		wake:   make(chan struct{}, 1),
		claims: newClaims(),
		report: reporter{webhook: cfg.Name, log: d.log, notice: d.notice},
	}
	w.report.restored(nil, w.restore(known, time.Now()))
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
	w.report.restored(w.gate.configure(cfg, time.Now()), nil)
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
		w.claims.release()
		w.obey()
		persistAt := w.persistChanges(c.record)
		if w.claims.empty() && w.d.retire(w) {
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

// gone reports whether nothing is left to do: the webhook was removed, and what must be
// known of it is stored.
func (w *worker) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed && !w.dirty && !w.pauseDirty
}

func (w *worker) planned(now time.Time) plan {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.planned(now, w.claims.unfinished(), w.reading.until)
}

// claim starts attempts for what is due, as far as may be, and says when to look again
// (zero: when poked).
func (w *worker) claim(c contexts) time.Time {
	for c.claim.Err() == nil {
		now := time.Now()
		p := w.planned(now)
		if !p.ahead {
			some := w.claims.putBack()
			if p.n == 0 {
				if some {
					w.poke() // they may have been all that kept a removed webhook's worker
				}
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
			want = 0
			ahead := int(w.d.ahead.Load())
			if ready, _ := w.claims.waiting(); ready < ahead/2 {
				want = left + ahead - ready
			}
		}
		if want == 0 {
			return time.Time{}
		}
		deliveries, next, err := w.due(p, want, now)
		if err != nil {
			if w.reading.failed(now) {
				w.d.log.Error("cannot read the due deliveries; trying again", "webhook", w.name, "error", err)
			}
			return w.reading.until
		}
		w.reading.succeeded()
		if !w.add(deliveries, p.epoch) {
			continue
		}
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

// add takes over deliveries that were read under the holding of an epoch. If that is over, another
// agent may have sent them since.
func (w *worker) add(deliveries []queue.Delivery, epoch int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.lease.held || w.lease.epoch != epoch {
		return false
	}
	w.claims.add(deliveries)
	return true
}

// due reads at most n deliveries to attempt, and when the next one is due.
func (w *worker) due(p plan, n int, now time.Time) ([]queue.Delivery, time.Time, error) {
	w.d.reads <- struct{}{}
	defer func() { <-w.d.reads }()
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
	skip := func(id string) bool { return w.claims.has(id) || p.probed[id] }
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

// beginReady starts attempts for at most n of the ready ones and returns how many fewer it
// were, and whether there was room for the next one.
func (w *worker) beginReady(c contexts, p plan, now time.Time, n int) (left int, room bool) {
	for ; n > 0; n-- {
		ready, size := w.claims.waiting()
		if ready == 0 {
			return n, true
		}
		w.mu.Lock()
		proven := w.proven()
		w.mu.Unlock()
		s, ok := w.d.budget.take(w, int64(size), proven)
		if !ok {
			return n, false
		}
		w.mu.Lock()
		a, ok := w.begin(p.probe, s, size, now)
		w.mu.Unlock()
		if !ok { // a sender has taken it
			s.release(w)
			continue
		}
		w.sends.Go((&sender{w: w, contexts: c, attempt: a}).run)
	}
	return 0, true
}

// proven reports whether the webhook answered well the last time. w.mu is held.
func (w *worker) proven() bool { return w.stats.failures == 0 && !w.stats.lastSuccess.IsZero() }

// begin takes the first of those that are ready, if its event is no larger than maxSize.
// w.mu is held.
func (w *worker) begin(p probe, s share, maxSize int, now time.Time) (attempt, bool) {
	d, ok := w.claims.take(maxSize)
	if !ok {
		return attempt{}, false
	}
	w.began(p, d.ID, now)
	p.digest, p.epoch = w.cfg.Digest, w.lease.epoch
	return attempt{probe: p, d: d, to: w.cfg.Sender, share: s}, true
}

// another ends an attempt, and begins the next one where nothing is wrong: a sender that
// continues spares the worker's waking.
func (w *worker) another(claiming context.Context) (attempt, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.inFlight--
	ready, size := w.claims.waiting()
	if ready == 0 || size > smallBody || claiming.Err() != nil || w.dirty || w.pauseDirty || !w.unhindered(time.Now()) || w.stats.inFlight >= w.cfg.Concurrency {
		return attempt{}, false
	}
	s, ok := w.d.budget.take(w, int64(size), w.proven())
	if !ok {
		return attempt{}, false // others' turn
	}
	if ready == int(w.d.ahead.Load())/2 {
		w.poke()
	}
	a, ok := w.begin(probe{}, s, smallBody, time.Now())
	if !ok { // the worker has put it back
		s.release(w)
	}
	return a, ok
}

// complete says that a claimed delivery may be claimed again, if it is still due.
func (w *worker) complete(id string) {
	w.claims.complete(id)
	w.poke()
}

func (w *worker) decide(p probe, d queue.Delivery, r send.Result) outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.decide(p, d, r, rand.Float64())
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
