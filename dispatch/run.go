package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run delivers until ctx ends, or the store ceases to tell what this agent serves. Then nothing
// further is claimed; attempts under way have the grace period to finish and are cancelled after
// it, which is not an attempt. Run returns when all goroutines are done.
func (d *Dispatcher) Run(ctx context.Context) error {
	detached := context.WithoutCancel(ctx)
	claiming, stopClaiming := context.WithCancelCause(ctx)
	defer stopClaiming(nil)
	sending, stopSending := context.WithCancel(detached)
	defer stopSending()
	recording, stopRecording := context.WithCancel(detached)
	defer stopRecording()
	owning, stopOwning := context.WithCancel(detached)
	defer stopOwning()
	life := contexts{claim: claiming, send: sending, record: recording}
	var running, recorder, owner sync.WaitGroup

	d.mu.Lock()
	if d.start != nil {
		d.mu.Unlock()
		return errors.New("dispatch: Run was called twice")
	}
	d.start = func(w *worker) { running.Go(func() { w.run(life) }) }
	for _, w := range d.workers {
		d.start(w)
	}
	d.mu.Unlock()
	recorder.Go(func() { d.recorder.run(recording) })
	owner.Go(func() {
		if err := (ownServer{d}).run(owning); err != nil {
			stopClaiming(fmt.Errorf("learn which webhooks to serve: %w", err))
		}
	})

	<-claiming.Done()
	// An Apply that comes too late must not start a worker that nobody joins.
	d.mu.Lock()
	d.start = func(*worker) {}
	d.mu.Unlock()

	defer time.AfterFunc(d.grace, stopSending).Stop()
	defer time.AfterFunc(d.grace+recordGrace, stopRecording).Stop()
	running.Wait()
	close(d.recorder.in)
	recorder.Wait()
	stopOwning() // others may serve what this agent did
	owner.Wait()
	if ctx.Err() == nil {
		return context.Cause(claiming)
	}
	return nil
}
