// Package queuetest has the tests that every engine of the queue must pass: a model of what the
// queue promises, and what the model is too coarse for.
package queuetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Engine is an open queue, as the program uses it.
type Engine interface {
	Commit(ctx context.Context, b queue.Batch) (queue.Committed, error)
	Cursor(source string) ([]byte, int64, error)
	Due(webhook string, now time.Time, limit int, skip func(id string) bool) ([]queue.Delivery, time.Time, error)
	Head(webhook string) (queue.Delivery, bool, error)
	OldestDue(webhook string) time.Time
	EventOf(deliveryID string) (queue.Event, error)
	Record(ctx context.Context, outcomes ...queue.Outcome) error
	State(webhook string) ([]byte, error)
	SetState(ctx context.Context, webhook string, epoch int64, state []byte) error
	Pause(webhook string) ([]byte, error)
	SetPause(ctx context.Context, webhook string, pause []byte) error
	Get(id string) (queue.Delivery, error)
	List(ctx context.Context, f queue.Filter) (queue.Page, error)
	Count(ctx context.Context, f queue.Filter) (int, error)
	Counts() map[string]map[queue.Status]int64
	Stats() queue.Stats
	Event(id string) (queue.Event, error)
	DeliveriesOf(eventID string) ([]queue.Delivery, error)
	Recent(ctx context.Context, limit int) ([]queue.Event, error)
	Find(ctx context.Context, typed string, most int) ([]string, error)
	Replay(ctx context.Context, by string, ids []string) (int, error)
	ReplayMatching(ctx context.Context, by string, f queue.Filter, progress func(done, total int)) (int, error)
	Move(ctx context.Context, from, to string) (int, error)
	Discard(ctx context.Context, by string, f queue.Filter) (int, error)
	Rejected(ctx context.Context, f queue.RejectedFilter) ([]queue.Rejected, string, error)
	RejectedByID(id string) (queue.Rejected, error)
	DropRejected(ctx context.Context, ids ...string) error
	History(webhook string, span int) ([]queue.Bucket, error)
	LastFailed(ctx context.Context, webhook string) (queue.Attempt, bool, error)
	AppendLog(ctx context.Context, entries ...*queue.LogEntry) error
	Log(before uint64, limit int) ([]queue.LogEntry, error)
	Upkeep(ctx context.Context) error
	Close() error
}

// Options are how a test wants its queue.
type Options struct {
	Retention, DedupWindow time.Duration
	Now                    func() time.Time
	Webhooks               []string // that this agent serves
}

// Store is where a queue is kept. Open opens it, again once it was closed, serving the webhooks
// of the options; epoch is that of each.
type Store interface {
	Open(t testing.TB, o Options) (e Engine, epoch func(webhook string) int64)
}

// Event is a small event with a number.
func Event(n int, webhooks ...string) queue.NewEvent {
	return queue.NewEvent{
		Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", n), Type: "scan_completed", Source: "log", Path: "/log", Offset: int64(n), Body: fmt.Appendf(nil, `{"n": %d}`, n)},
		Webhooks: webhooks,
	}
}
