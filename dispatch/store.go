package dispatch

import (
	"context"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Store is what the dispatcher needs of the queue. The dispatcher is the sole claimant of the
// webhooks that are its own, so what is in flight is known in memory only: a delivery whose
// outcome was not recorded is still due.
type Store interface {
	// Own tells the server which webhooks are its own until ctx ends, which is once nothing is
	// under way any more.
	Own(ctx context.Context, s queue.Server) error
	// Agents returns the agents that share the store; none where it has one alone.
	Agents(ctx context.Context) ([]queue.Agent, error)
	// Due returns deliveries of the webhook that are due at now in order of their due
	// time, at most limit, leaving out those that skip reports true for; and when the next
	// one after them is due (zero: none waits).
	Due(webhook string, now time.Time, limit int, skip func(id string) bool) ([]queue.Delivery, time.Time, error)
	// Head returns the webhook's oldest unfinished delivery, due or not, in the order the
	// events were read: what an ordered webhook sends next.
	Head(webhook string) (queue.Delivery, bool, error)
	// Get returns a delivery.
	Get(deliveryID string) (queue.Delivery, error)
	// EventOf returns the event a delivery belongs to, with its body.
	EventOf(deliveryID string) (queue.Event, error)
	// Record makes the outcomes durable, all or none. With an error it may still read them. A
	// *queue.NotOwner means that they are durable, and that those webhooks are others' now.
	Record(ctx context.Context, outcomes ...queue.Outcome) error
	// LastFailed returns the webhook's latest failed attempt, where none succeeded after it.
	LastFailed(ctx context.Context, webhook string) (queue.Attempt, bool, error)
	// State and SetState keep what the webhook's server must know after a restart: that it is
	// held. The epoch is that of its Holding.
	State(webhook string) ([]byte, error)
	SetState(ctx context.Context, webhook string, epoch int64, state []byte) error
	// Pause and SetPause keep why somebody holds its deliveries back; any agent may. Nil: not.
	Pause(webhook string) ([]byte, error)
	SetPause(ctx context.Context, webhook string, pause []byte) error
}
