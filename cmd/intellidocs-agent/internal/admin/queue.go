package admin

import (
	"context"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Queue is the part of the queue that people look into and change.
type Queue interface {
	lists
	changes
	// Stats are its size, and whether it takes events.
	Stats() queue.Stats
	// Counts are the deliveries by webhook and status.
	Counts() map[string]map[queue.Status]int64
	// OldestDue is when the webhook's oldest unfinished delivery became due; zero where none did.
	OldestDue(webhook string) time.Time
	// History is what a webhook's attempts came to over the span of an index.
	History(webhook string, span int) ([]queue.Bucket, error)
	// Agents are those that share the queue; none where it has one alone.
	Agents(ctx context.Context) ([]queue.Agent, error)
	// ForgetAgent has an agent that is gone for good no longer be shown.
	ForgetAgent(ctx context.Context, name string) error
}

// lists are what is in it, newest first.
type lists interface {
	List(ctx context.Context, f queue.Filter) (queue.Page, error)
	Count(ctx context.Context, f queue.Filter) (int, error)
	Find(ctx context.Context, typed string, most int) ([]string, error)
	Get(deliveryID string) (queue.Delivery, error)
	DeliveriesOf(eventID string) ([]queue.Delivery, error)
	Event(id string) (queue.Event, error)
	EventOf(deliveryID string) (queue.Event, error)
	Recent(ctx context.Context, limit int) ([]queue.Event, error)
	Rejected(ctx context.Context, f queue.RejectedFilter) (records []queue.Rejected, next string, err error)
	RejectedByID(id string) (queue.Rejected, error)
	Log(before uint64, limit int) ([]queue.LogEntry, error)
}

// changes are what people do to it.
type changes interface {
	Replay(ctx context.Context, by string, ids []string) (int, error)
	ReplayMatching(ctx context.Context, by string, f queue.Filter, progress func(done, total int)) (int, error)
	Move(ctx context.Context, from, to string) (int, error)
	Discard(ctx context.Context, by string, f queue.Filter) (int, error)
	DropRejected(ctx context.Context, ids ...string) error
}
