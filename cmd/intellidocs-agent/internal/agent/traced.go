package agent

import (
	"context"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/otlp"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// traced is the queue as those use it who commit events: what is new of them begins a trace.
type traced struct {
	store
	telemetry *otlp.Exporter // nil: nobody asks for traces
}

// Commit implements ingest.Committer.
func (q traced) Commit(ctx context.Context, b queue.Batch) (queue.Committed, error) {
	began := time.Now()
	done, err := q.store.Commit(ctx, b)
	if q.telemetry == nil || err != nil {
		return done, err
	}
	committed := time.Now()
	fresh := make(map[string]bool, len(done.Queued))
	for _, id := range done.Queued {
		fresh[id] = true
	}
	for i := range b.Events {
		e := b.Events[i]
		if !fresh[e.ID] && fresh[e.PayloadID] { // its own ID was taken
			e.ID = e.PayloadID
			e.TraceID = queue.TraceOf(e.ID)
		}
		if fresh[e.ID] {
			delete(fresh, e.ID)
			q.telemetry.Queued(&e, began, committed)
		}
	}
	return done, err
}
