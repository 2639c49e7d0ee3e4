package dispatch

import (
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

// outcome is what an attempt's result means, for the store, the log and the metrics.
type outcome struct {
	queue.Outcome
	silent     bool // not worth recording: an offline machine is still offline
	opened     bool // the webhook is held from now on
	closed     bool // it was held until now
	heldSince  time.Time
	paused     bool
	throttled  bool      // its endpoint takes no more until …, which must be logged
	until      time.Time // with throttled
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
func (w *worker) deliver(c contexts, a attempt) {
	d := a.d
	event, err := w.d.store.EventOf(d.ID)
	if err != nil {
		a.share.give(w)
		w.unreadable(c, d, err)
		return
	}
	defer a.share.give(w) // also once the outcome waits with others to be durable
	r := a.sender.Send(c.send, send.Message{
		DeliveryID: d.ID,
		EventID:    event.ID,
		EventType:  event.Type,
		Attempt:    d.Attempts + 1,
		TraceID:    event.TraceID,
		Body:       event.Body,
	})
	event.Body = nil
	if r.Class == send.Stopped {
		w.d.log.Debug("attempt stopped; it will be made again", w.attrs(d)...)
		w.finish(d.ID)
		return
	}
	v := w.decide(a.probe, d, r)
	if v.silent {
		w.report(d, v)
		w.finish(d.ID)
		return
	}
	w.d.recorder.in <- unrecorded{w: w, d: d, readAt: event.ReadAt, v: v}
}

// unreadable fails a delivery whose event is damaged or no longer there; any other error
// of the store is left to pass.
func (w *worker) unreadable(c contexts, d queue.Delivery, err error) {
	if !errors.Is(err, queue.ErrDamaged) && !errors.Is(err, queue.ErrNotFound) {
		w.mu.Lock()
		first := w.stats.unread.failed(time.Now())
		wait := w.stats.unread.delay
		w.mu.Unlock()
		if first {
			w.d.log.Error("cannot read an event that is due; trying again", append(w.attrs(d), "error", err)...)
		}
		// Kept claimed meanwhile, so that it is not tried in a loop.
		sleep(c.claim, wait)
		w.finish(d.ID)
		return
	}
	r := send.Result{Class: send.Dead, At: time.Now(), Error: fmt.Sprintf("the event cannot be read from the queue: %v", err)}
	w.d.recorder.in <- unrecorded{w: w, d: d, v: w.decide(probe{}, d, r)}
}

func (w *worker) decide(p probe, d queue.Delivery, r send.Result) outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.decide(p, d, r, rand.Float64())
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
