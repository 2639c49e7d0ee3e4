package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

var (
	// ErrUnreplicated: the database acknowledges what only one server has, and Options.Replication is "check".
	ErrUnreplicated = errors.New("the queue's database does not replicate synchronously")
	// errAgain: another agent has changed what this transaction has read; it is done again.
	errAgain = errors.New("another agent was faster")
)

// unknownFor is how long Commit tries to find out what became of a commit.
const unknownFor = time.Minute

// maxBatch is how many events one transaction takes; of a larger batch the cursor is in the last.
const maxBatch = 4096

// Commit makes a batch durable: its events with a delivery for each webhook that wants them,
// its rejected records, and its source's cursor. While the queue is full it waits for room.
//
// An error means that the cursor has not moved. Where the database did not say what became of a
// commit, Commit asks for as long as a minute; after that the next Commit, or queue.ErrMoved, tells.
// A batch of more than 4,096 events is written in parts, the cursor with the last.
func (q *Queue) Commit(ctx context.Context, b queue.Batch) (queue.Committed, error) {
	var total queue.Committed
	for {
		part := b
		last := len(b.Events) <= maxBatch
		if !last {
			part.Events, part.Rejected, part.Cursor = b.Events[:maxBatch], nil, nil
		}
		done, err := q.commitPart(ctx, &enqueue{q: q, b: part, tries: map[int64]queue.Committed{}, mine: map[claim]bool{}})
		if err != nil {
			return queue.Committed{}, err
		}
		total.Queued = append(total.Queued, done.Queued...)
		total.Conflicts = append(total.Conflicts, done.Conflicts...)
		total.Duplicates += done.Duplicates
		total.Deliveries += done.Deliveries
		total.Gen = done.Gen
		if last {
			return total, nil
		}
		b.Events = b.Events[maxBatch:]
	}
}

func (q *Queue) commitPart(ctx context.Context, e *enqueue) (queue.Committed, error) {
	var unknown time.Time // since when
	began := time.Now()
	for try := 0; ; try++ {
		if len(e.b.Events)+len(e.b.Rejected) > 0 {
			if err := q.room(ctx); err != nil {
				return queue.Committed{}, err
			}
		}
		err := q.write(ctx, q.intake, e.transaction)
		if errors.Is(err, errUnknown) {
			q.metrics.unreplicated.Inc()
			q.log.Warn("the database did not say whether it has committed; asking", "source", e.b.Source, "error", err)
			if e.unknown = true; unknown.IsZero() {
				unknown = time.Now()
			}
		}
		moved := errors.Is(err, queue.ErrMoved)
		switch {
		case err == nil:
			q.metrics.commits.Observe(time.Since(began).Seconds())
			q.committed(e)
			return e.done, nil
		case ctx.Err() != nil || q.ctx.Err() != nil, moved && unknown.IsZero():
			return queue.Committed{}, err
		case sqlState(err) == diskFull:
			q.size.refused(err)
		case !unknown.IsZero() && time.Since(unknown) < unknownFor && !moved:
		case unknown.IsZero() && try < maxTries && transient(err):
			continue
		default:
			return queue.Committed{}, err
		}
		if err := sleep(ctx, q.ctx, min(time.Second, 50*time.Millisecond<<min(try, 5))); err != nil {
			return queue.Committed{}, err
		}
	}
}

// maxTries is how often a transaction is done again that others have kept from being committed.
const maxTries = 20

const diskFull = "53100"

// transient: done again it can succeed.
func transient(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "23505": // serialization, deadlock, a key that another agent has just used
		return true
	}
	return errors.Is(err, errAgain)
}

func sleep(ctx, queueCtx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-queueCtx.Done():
		return queue.ErrClosed
	}
}

// committed is what follows a commit in this agent.
func (q *Queue) committed(e *enqueue) {
	if e.b.Cursor != nil {
		q.known.set(text(e.b.Source), e.done.Gen)
	}
	first := map[string]bool{}
	for i, webhook := range e.rows.dueWebhooks {
		if !first[webhook] {
			first[webhook] = true
			q.places.added(webhook, ref{e.rows.dueSeqs[i], e.rows.dueIdx[i]}, e.rows.dueAt[i])
		}
	}
	q.notify(slices.Sorted(maps.Keys(e.webhooks)))
}
