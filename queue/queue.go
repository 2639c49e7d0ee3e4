// Package queue is the agent's memory and the only owner of durable state: events,
// deliveries with the moment they are due, read positions, rejected records, and what is
// known about webhooks, in one Badger database.
//
// Whatever belongs together is one transaction with a synced write: an event is there
// with its deliveries and the position it was read at, or not at all. One goroutine
// writes; it gathers what waits into one transaction, since a sync costs the same for one
// write as for hundreds.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What can be wrong, for errors.Is.
var (
	ErrNotFound = errors.New("there is no such thing in the queue")
	ErrLocked   = errors.New("the state directory is in use by another process")
	ErrNewer    = errors.New("the state directory was written by a newer version")
	ErrFull     = errors.New("the disk is full")
	ErrDamaged  = errors.New("the queue is damaged")
	ErrClosed   = errors.New("the queue is closed")
)

// format is the layout's version. A queue of a higher one is refused.
const format = 1

// Options are what Open needs; zero values are the defaults of agent.toml where there are such.
type Options struct {
	Dir         string
	MaxSize     int64         // bytes on the disk past which Commit waits; 0: no bound
	Retention   time.Duration // of finished deliveries and rejected records; 0: forever
	DedupWindow time.Duration // how long an event's id is remembered; 0: as long as the event is kept
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // nil: none
	Now         func() time.Time      // nil: time.Now
	// Webhooks names those that the metrics have although nothing was queued for them, and
	// whose history is kept; nil: none.
	Webhooks func() []string
	// Notify is told which webhooks have something due; it must not block.
	Notify func(webhooks []string)

	// Moving: the queue is opened to be moved to another engine, which may have begun.
	Moving bool
	// SmallMemory: there is little for the pages of files, as in a small container. Nothing is read
	// ahead of the logs then.
	SmallMemory bool

	Sizes Sizes // zero: the usual
}

// Sizes are how many bytes of the database's files are written before it turns to the next.
// Tests have small ones, so that every kind of step is met.
type Sizes struct{ Memtable, ValueLog int64 }

func usualSizes(maxSize int64) Sizes {
	return Sizes{Memtable: 4 << 20, ValueLog: valueLogSize(maxSize)}
}

// Queue is safe for concurrent use. It is joined of parts that share the open database (store)
// and the one goroutine that changes it (writer): reader looks, intake takes in, changes are
// what people ask for, maintenance keeps it small.
type Queue struct {
	reader
	intake
	changes
	writer      *writer
	maintenance *maintenance
	disk        *disk
	limits      *Limits

	closing    sync.Once
	closeErr   error
	unregister func()
}

// SetLimits changes the limits of Options.
func (q *Queue) SetLimits(maxSize int64, retention, dedupWindow time.Duration) {
	q.limits.SetLimits(maxSize, retention, dedupWindow)
}

// Run keeps the queue in order until ctx ends: retention, reclaiming space and memory,
// watching the disk.
//
// It returns an ErrDisk at once when a write or a sync fails, and then the process must end.
func (q *Queue) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- q.maintenance.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-q.failure.failed: // what maintenance does may be stuck in Badger for good
		keepFailure(q.disk.dir, q.failure.err(), q.now())
		return q.failure.err()
	}
}

// Failed is closed when a write or a sync has failed; see ErrDisk. Reads may not return from
// then on, since Badger has them wait for the commit that failed.
func (q *Queue) Failed() <-chan struct{} { return q.failure.failed }

// stuckAfter is how long a commit may take: a disk may be slow, and a restart makes it slower.
const stuckAfter = time.Minute

// Alive returns an error while the queue cannot take anything durably: its disk has failed,
// or a commit has not ended for a minute. One that waits for room is alive.
func (q *Queue) Alive() error {
	if err := q.failure.err(); err != nil {
		return err
	}
	if since := q.writer.since.Load(); since != 0 {
		if took := time.Since(time.Unix(0, since)); took > stuckAfter {
			return fmt.Errorf("a write to the queue has not ended for %s: the disk does not answer", took.Round(time.Second))
		}
	}
	return nil
}

// Upkeep does at once what Run does every five minutes.
func (q *Queue) Upkeep(ctx context.Context) error { return q.maintenance.upkeep(ctx) }

// Close stops the writer after what it has begun and closes the database. Calls that
// wait get ErrClosed.
func (q *Queue) Close() error {
	q.closing.Do(func() {
		q.unregister()
		close(q.writer.quit)
		select {
		case <-q.writer.done:
		case <-q.failure.failed:
		}
		if q.failure.err() != nil {
			return // closing would write; the lock goes with the process
		}
		q.maintenance.mu.Lock() // a round of upkeep ends first
		defer q.maintenance.mu.Unlock()
		q.closeErr = q.failure.during(q.close)
		if q.failure.outputs.putAside() {
			q.closeErr = q.failure.set("compact tables in", errNoTable)
		}
		switch {
		case q.closeErr == nil:
			q.closeErr = markClosed(q.disk.dir)
		case errors.Is(q.closeErr, ErrDisk):
			keepFailure(q.disk.dir, q.closeErr, q.now())
		}
	})
	return q.closeErr
}
