package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// attempt is one that may be made now.
type attempt struct {
	probe
	d     queue.Delivery
	to    Sender
	share share
}

// sender makes attempts for a worker, one after another, in a goroutine of its own. It ends
// when the worker must decide what comes next.
type sender struct {
	w *worker
	contexts
	attempt
}

func (s *sender) run() {
	for more := true; more; {
		s.deliver()
		s.attempt, more = s.w.another(s.claim)
	}
	s.w.poke()
}

// deliver makes the attempt and hands over what came of it.
func (s *sender) deliver() {
	w, d := s.w, s.d
	event, err := w.d.store.EventOf(d.ID)
	if err != nil {
		s.share.release(w)
		s.unreadable(err)
		return
	}
	if !w.mayBegin(s.epoch) {
		s.share.release(w)
		w.d.log.Debug("attempt not begun: the webhook is another agent's", attrs(d)...)
		w.complete(d.ID)
		return
	}
	defer s.share.release(w) // also once the outcome waits with others to be durable
	r := s.to.Send(s.send, send.Message{
		DeliveryID: d.ID,
		EventID:    event.ID,
		EventType:  event.Type,
		Attempt:    d.Attempts + 1,
		TraceID:    event.TraceID,
		Body:       event.Body,
	})
	event.Body = nil
	if r.Class == send.Stopped {
		w.d.log.Debug("attempt stopped; it will be made again", attrs(d)...)
		w.complete(d.ID)
		return
	}
	v := w.decide(s.probe, d, r)
	if v.silent {
		w.report.attempted(d, v)
		w.complete(d.ID)
		return
	}
	w.d.recorder.take(&unrecorded{w: w, d: d, event: event, v: v, alone: s.alone})
}

// unreadable fails a delivery whose event is damaged or no longer there; any other error
// of the store is left to pass.
func (s *sender) unreadable(err error) {
	w, d := s.w, s.d
	if !errors.Is(err, queue.ErrDamaged) && !errors.Is(err, queue.ErrNotFound) {
		w.mu.Lock()
		first := w.stats.unread.failed(time.Now())
		wait := w.stats.unread.delay
		w.mu.Unlock()
		if first {
			w.d.log.Error("cannot read the event of a due delivery; trying again", append(attrs(d), "error", err)...)
		}
		// Kept claimed meanwhile, so that it is not tried in a loop.
		sleep(s.claim, wait)
		w.complete(d.ID)
		return
	}
	r := send.Result{Class: send.Dead, At: time.Now(), Error: fmt.Sprintf("the event cannot be read from the queue: %v", err)}
	w.d.recorder.take(&unrecorded{w: w, d: d, v: w.decide(probe{epoch: s.epoch}, d, r), alone: s.alone})
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
