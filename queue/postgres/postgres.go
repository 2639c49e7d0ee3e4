// Package postgres is the queue of several agents: what package queue promises, in a PostgreSQL
// database that they share. Each webhook is served by one of them at a time, who has its lease
// (own.go); everybody reads, commits what he has read, and looks at all of it.
//
// Whatever belongs together is one transaction. Times are the database's: an agent's clock
// decides nothing. DESIGN.md tells the rest.
package postgres

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Options are what Open needs.
type Options struct {
	URL     string // of the database; a secret
	Agent   string // this agent's lasting name, unique in the fleet
	Version string // the program's, for people
	// Lease is how long an agent that is silent keeps its webhooks, 10 s where it is 0. Their own
	// timeout is added to it before another agent takes them.
	Lease time.Duration
	// Replication is "check" or "trust", which is to take for safe what one server alone has.
	Replication string

	Retention   time.Duration // of finished deliveries and rejected records; 0: forever
	DedupWindow time.Duration // how long an event's id is remembered; 0: as long as the event is kept
	MaxSize     int64         // bytes of what is kept past which Commit waits; 0: no bound

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: none
	// Webhooks names those that the metrics have although nothing was queued for them, and whose
	// history is kept; nil: none.
	Webhooks func() []string
	// Notify is told of which webhooks something is due, or was paused or resumed elsewhere; it
	// must not block.
	Notify func(webhooks []string)
	// Moved is told of a source whose stored cursor is not the one this agent knows, as after a
	// failover that lost the latest; it must not block. nil: its next Commit says so.
	Moved func(source string)
	// Now replaces the database's clock for all but leases, in tests; nil: it does not.
	Now func() time.Time
}

// Queue is safe for concurrent use. See package queue for what its methods mean.
type Queue struct {
	opts     Options
	log      *slog.Logger
	instance string
	pool     pool
	process  string // this one; another of the same name is another
	secrets  []string
	pooled   atomic.Bool  // there is a pgbouncer between, by the latest connection
	keeper   atomic.Int64 // until when this agent does the upkeep, in Unix nanoseconds

	// What may be done at one time: one thing of each kind, and one that claims.
	intake, outcomes, people, gauge, entries lane

	limits    *queue.Limits
	size      size
	shorten   shorten
	recent    recent
	claimedAt atomic.Pointer[clock]
	places    places
	held      holdings
	known     generations
	notices   notices
	metrics   *metrics
	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	children  sync.WaitGroup
}

// SetLimits changes the limits of Options.
func (q *Queue) SetLimits(maxSize int64, retention, dedupWindow time.Duration) {
	q.limits.SetLimits(maxSize, retention, dedupWindow)
}

// Open connects to the database and brings its schema to this version, where it is older. A
// newer one is refused with queue.ErrNewer.
func Open(ctx context.Context, o Options) (*Queue, error) {
	o.withDefaults()
	q := &Queue{
		opts: o, log: o.Logger, process: rand.Text(), pool: newPool(),
		intake: newLane(), outcomes: newLane(), people: newLane(), gauge: newLane(), entries: newLane(),
		limits: queue.NewLimits(o.MaxSize, o.Retention, o.DedupWindow),
	}
	if err := q.connect(ctx); err != nil {
		return nil, err
	}
	q.ctx, q.stop = context.WithCancel(context.Background())
	q.notices.changed = make(chan struct{}, 1)
	q.children.Go(func() { q.sendNotices(q.ctx) })
	q.metrics = newMetrics(q)
	return q, nil
}

func (o *Options) withDefaults() {
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.Replication == "" {
		o.Replication = "check"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Webhooks == nil {
		o.Webhooks = func() []string { return nil }
	}
	if o.Notify == nil {
		o.Notify = func([]string) {}
	}
	if o.Moved == nil {
		o.Moved = func(string) {}
	}
}

// Close ends the connections. Calls that wait get an error.
func (q *Queue) Close() error {
	if q.ctx.Err() != nil {
		return nil
	}
	q.metrics.unregister()
	q.stop()
	q.children.Wait()
	q.pool.close()
	return nil
}

// Failed is closed when the queue has failed for good, which a database that others run never has.
func (q *Queue) Failed() <-chan struct{} { return nil }

// clock is a moment as both clocks tell it.
type clock struct{ database, local time.Time }

// latestClock is that of the latest claim; false where it is old, since clocks do not run alike.
func (q *Queue) latestClock() (clock, bool) {
	if q.opts.Now != nil {
		return q.at(time.Time{}), true
	}
	known := q.claimedAt.Load()
	if known == nil || time.Since(known.local) > time.Second {
		return clock{}, false
	}
	return *known, true
}

// at is the moment of a clock_timestamp() that has just been read.
func (q *Queue) at(database time.Time) clock {
	if q.opts.Now != nil {
		now := q.opts.Now()
		return clock{now, now}
	}
	return clock{database, time.Now()}
}

// here returns this agent's clock.
func (q *Queue) here() time.Time {
	if q.opts.Now != nil {
		return q.opts.Now()
	}
	return time.Now()
}

// theirs is a time of the agent's clock by the database's; zero stays zero.
func (c clock) theirs(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return c.database.Add(t.Sub(c.local))
}

// ours is a time of the database's clock by the agent's; zero stays zero.
func (c clock) ours(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return c.local.Add(t.Sub(c.database))
}
