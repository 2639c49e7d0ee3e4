package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// How many outcomes may wait to be durable. A kill repeats their attempts, so at most
// these and those of one call of Store.Record, besides the attempts that are under way.
const (
	maxUnrecorded  = 256
	maxRecordBatch = 200
)

// gatherFor is how long an outcome waits for others. A sync costs about as much as ten deliveries do
// besides, and nobody waits for most outcomes to be durable.
const gatherFor = 2 * time.Millisecond

// unrecorded is an attempt whose outcome is decided. Its delivery stays claimed until that is
// durable.
type unrecorded struct {
	w     *worker
	d     queue.Delivery
	event queue.Event // without its body; empty where it cannot be read
	v     outcome
	alone bool  // the webhook's next attempt waits until it is durable
	err   error // of the last try to record it
}

// recorder makes outcomes durable. An attempt's slot is free once its response is in: what
// comes in while a call of Store.Record is under way, and within gatherFor, goes together into
// the next one, so that a sync is not paid for by each.
type recorder struct {
	d      *Dispatcher
	in     chan *unrecorded
	hurry  chan struct{} // somebody waits for an outcome that is in
	failed []*unrecorded // could not be recorded yet
	retry  backoff
	// batch and outcomes are those of the call of Store.Record under way, kept for the next one.
	batch    []*unrecorded
	outcomes []queue.Outcome
}

func newRecorder(d *Dispatcher) *recorder {
	return &recorder{d: d, in: make(chan *unrecorded, maxUnrecorded), hurry: make(chan struct{}, 1)}
}

// take is handed an outcome. It blocks while too many wait.
func (r *recorder) take(s *unrecorded) {
	r.in <- s
	if s.alone {
		select {
		case r.hurry <- struct{}{}:
		default:
		}
	}
}

// run ends once in is closed and empty. After ctx has ended, what cannot be recorded at
// once is given up: it will be sent again.
func (r *recorder) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ended, closed := ctx.Done(), false
	for !closed || len(r.failed) > 0 {
		in, retry := r.in, timer.C
		if closed || len(r.failed) >= maxRecordBatch {
			in = nil // the store must take these first
		}
		if len(r.failed) == 0 {
			retry = nil
		} else {
			timer.Reset(time.Until(r.retry.until))
		}
		select {
		case s, ok := <-in:
			if closed = !ok; ok {
				r.record(ctx, r.gather(s))
				clear(r.batch)
			}
		case <-retry:
			r.again(ctx)
		case <-ended:
			ended = nil
		}
		if ctx.Err() != nil {
			r.again(ctx)
			r.giveUp()
		}
	}
}

// gather takes what else comes in until somebody waits for one of them.
func (r *recorder) gather(first *unrecorded) []*unrecorded {
	r.batch = append(r.batch[:0], first)
	if !first.alone {
		// Awake once for all of them.
		wait := time.NewTimer(gatherFor)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.hurry:
		}
	}
	for len(r.batch) < maxRecordBatch {
		select {
		case s, ok := <-r.in:
			if !ok {
				return r.batch
			}
			r.batch = append(r.batch, s)
		default:
			return r.batch
		}
	}
	return r.batch
}

// record makes outcomes durable, all that can be: one that the store refuses does not
// keep the others back.
func (r *recorder) record(ctx context.Context, batch []*unrecorded) {
	r.outcomes = r.outcomes[:0]
	for _, s := range batch {
		r.outcomes = append(r.outcomes, s.v.Outcome)
	}
	err := r.d.store.Record(ctx, r.outcomes...)
	var late *queue.NotOwner
	if errors.As(err, &late) {
		r.late(batch, late.Webhooks)
		err = nil
	}
	if err == nil {
		clear(r.outcomes) // the texts of responses
	} else {
		r.outcomes = nil // the store may still be at them
	}
	switch {
	case err == nil:
		r.retry.succeeded()
		r.recorded(batch)
	case len(batch) > 1:
		half := len(batch) / 2
		r.record(ctx, batch[:half])
		r.record(ctx, batch[half:])
	default:
		r.keep(batch[0], err)
	}
}

// late stops the serving of webhooks of which the store says that they are others'. The outcomes
// are recorded.
func (r *recorder) late(batch []*unrecorded, webhooks []string) {
	for _, s := range batch {
		if slices.Contains(webhooks, s.w.name) {
			s.w.release(s.v.Epoch)
		}
	}
}

func (r *recorder) keep(s *unrecorded, err error) {
	if now := time.Now(); !r.retry.until.After(now) && r.retry.failed(now) {
		r.d.log.Error("cannot record an outcome; trying until it succeeds",
			"webhook", s.w.name, "delivery_id", s.d.ID, "outcome", s.v.Attempt.Outcome, "error", err)
	}
	s.err = err
	r.failed = append(r.failed, s)
}

// again tries what failed before.
func (r *recorder) again(ctx context.Context) {
	if failed := r.failed; len(failed) > 0 {
		r.failed = nil
		r.record(ctx, failed)
	}
}

func (r *recorder) giveUp() {
	for _, s := range r.failed {
		r.d.log.Error("outcome not recorded; the delivery will be sent again after a restart",
			"webhook", s.w.name, "delivery_id", s.d.ID, "outcome", s.v.Attempt.Outcome, "error", s.err)
		s.w.complete(s.d.ID)
	}
	r.failed = nil
}

// recorded is what follows once outcomes are durable.
func (r *recorder) recorded(batch []*unrecorded) {
	for _, s := range batch {
		r.d.metrics.observe(s.w.name, s.event.ReadAt, s.v)
		if r.d.traced != nil {
			r.d.traced(s.d, s.event.TraceID, s.v.Outcome)
		}
		s.w.report.attempted(s.d, s.v)
		s.w.complete(s.d.ID)
	}
}
