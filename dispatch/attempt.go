package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Outcomes of an attempt, in the audit and in the metrics.
const (
	outcomeDelivered = "delivered"
	outcomeRetry     = "retry" // also where no retry is left
	outcomeDead      = "dead"
	outcomeGone      = "gone"
	outcomeHeld      = "held" // the attempt did not count
)

var outcomes = []string{outcomeDelivered, outcomeRetry, outcomeDead, outcomeGone, outcomeHeld}

// verdict is what an attempt's result means, for the store, the log and the metrics.
type verdict struct {
	queue.Outcome
	silent     bool // not worth recording: an offline machine is still offline
	opened     bool // the webhook is held from now on
	closed     bool // it was held until now
	paused     bool
	offline    bool      // the machine is found offline
	online     bool      // it is found online again
	since      time.Time // with online, when the network went
	recovered  int       // failures in a row that this success ends
	mention    bool      // a failure to log by itself
	unreported int       // failures that were not, to be summed up now
	// failingFrom, with recovered, is when they began.
	failingFrom time.Time
}

// deliver makes one attempt and hands over what came of it.
func (w *worker) deliver(l lives, a attempt) {
	d := a.d
	event, err := w.d.store.EventOf(d.ID)
	if err != nil {
		w.d.budget.give(w, a.share)
		w.unreadable(l, d, err)
		return
	}
	r := a.sender.Send(l.send, send.Message{
		DeliveryID: d.ID,
		EventID:    event.ID,
		EventType:  event.Type,
		Attempt:    d.Attempts + 1,
		TraceID:    event.TraceID,
		Body:       event.Body,
	})
	event.Body = nil
	w.d.budget.give(w, a.share)
	if r.Class == send.Stopped {
		w.d.log.Debug("attempt stopped; it will be made again", w.attrs(d)...)
		w.finish(d.ID)
		return
	}
	v := w.settle(a.trial, d, r, rand.Float64())
	if v.silent {
		w.report(d, v)
		w.finish(d.ID)
		return
	}
	w.d.recorder.in <- settled{w: w, d: d, readAt: event.ReadAt, v: v}
}

// unreadable fails a delivery whose event is damaged or no longer there; any other error
// of the store is left to pass.
func (w *worker) unreadable(l lives, d queue.Delivery, err error) {
	if !errors.Is(err, queue.ErrDamaged) && !errors.Is(err, queue.ErrNotFound) {
		w.mu.Lock()
		first := w.tally.unread.failed(time.Now())
		wait := w.tally.unread.delay
		w.mu.Unlock()
		if first {
			w.d.log.Error("cannot read an event that is due; trying again", append(w.attrs(d), "error", err)...)
		}
		// Kept claimed meanwhile, so that it is not tried in a loop.
		sleep(l.claim, wait)
		w.finish(d.ID)
		return
	}
	r := send.Result{Class: send.Dead, At: time.Now(), Error: fmt.Sprintf("the event cannot be read from the queue: %v", err)}
	w.d.recorder.in <- settled{w: w, d: d, v: w.settle(trial{}, d, r, 0)}
}

// settle decides what a result means. jitter is random, 0 to 1.
func (w *worker) settle(t trial, d queue.Delivery, r send.Result, jitter float64) verdict {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := verdict{Outcome: queue.Outcome{DeliveryID: d.ID, URL: r.URL, Attempt: newAttempt(d, r)}}
	if r.Class != send.Offline && w.offline.is() {
		v.online, v.since = true, w.offline.since
		w.offline = offline{}
	}
	switch r.Class {
	case send.Delivered:
		w.settleDelivered(&v)
	case send.Offline:
		v.Attempt.Outcome, v.Status, v.Free, v.Due = outcomeHeld, queue.Retrying, true, cmp.Or(d.NextAttemptAt, now)
		v.offline = w.offline.met(now, t.offline)
		v.silent = t.offline
		return v // nothing is known about the endpoint
	case send.Dead:
		v.Attempt.Outcome, v.Status = outcomeDead, queue.Failed
	case send.Gone:
		v.Attempt.Outcome, v.Status = outcomeGone, queue.Failed
		if w.paused == nil && t.digest == w.cfg.Digest {
			w.paused = &pause{Reason: "the endpoint answered 410 Gone", Since: now, Digest: w.cfg.Digest, Gone: true}
			w.dirty, v.paused = true, true
		}
	default:
		w.settleFailed(&v, t, d, r, jitter, now)
	}
	w.tally.count(now, &v, r)
	return v
}

func (w *worker) settleDelivered(v *verdict) {
	v.Attempt.Outcome, v.Status = outcomeDelivered, queue.Success
	if w.breaker.succeeded(w.cfg.Concurrency) {
		v.closed, w.dirty = true, true
	}
}

func (w *worker) settleFailed(v *verdict, t trial, d queue.Delivery, r send.Result, jitter float64, now time.Time) {
	held := w.breaker.open
	if t.digest == w.cfg.Digest { // else it says nothing about the endpoint there is now
		if r.Outage {
			v.opened = w.breaker.failed(now, w.cfg.BreakerFailures)
		} else {
			w.breaker.answered(w.cfg.Concurrency)
		}
		if held && t.probe {
			w.breaker.schedule(now)
		}
		w.dirty = w.dirty || v.opened || held && t.probe
	}
	spent := d.Spent + 1
	switch {
	case held:
		// Its due time stays, and so its place among those that wait.
		v.Attempt.Outcome, v.Status, v.Free = outcomeHeld, queue.Retrying, true
		v.Due = latest(cmp.Or(d.NextAttemptAt, now), r.RetryAfter)
		if limit := now.Add(retryAfterMax); v.Due.After(limit) {
			v.Due = limit
		}
	case spent > w.cfg.MaxRetries:
		v.Attempt.Outcome, v.Status = outcomeRetry, queue.Failed
	default:
		v.Attempt.Outcome, v.Status = outcomeRetry, queue.Retrying
		v.Due = w.cfg.retryAt(now, spent, jitter, r.RetryAfter)
	}
}

func newAttempt(d queue.Delivery, r send.Result) queue.Attempt {
	return queue.Attempt{
		N: d.Attempts + 1, At: r.At, Took: r.Took, Status: r.Status, Response: r.Response, Error: r.Error,
		Remote: r.Remote, DNS: r.DNS, Connect: r.Connect, TLS: r.TLS, FirstByte: r.FirstByte,
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
