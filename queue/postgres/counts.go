package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// readCounts returns how many deliveries there are of each kind, and the totals.
func readCounts(ctx context.Context, tx pgx.Tx) (map[counted]int64, error) {
	rows, err := tx.Query(ctx, sqlCounts)
	if err != nil {
		return nil, err
	}
	counts := map[counted]int64{}
	var c counted
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&c.webhook, &c.status, &c.typ, &n}, func() error { counts[c] = n; return nil })
	return counts, err
}

// Counts are the deliveries of each webhook by status: while the database is away the latest that
// were read.
func (q *Queue) Counts() map[string]map[queue.Status]int64 {
	var counts map[counted]int64
	err := q.read(context.Background(), func(ctx context.Context, tx pgx.Tx) (err error) {
		counts, err = readCounts(ctx, tx)
		return err
	})
	q.size.mu.Lock()
	defer q.size.mu.Unlock()
	if err == nil {
		q.size.counts = counts
	}
	out := map[string]map[queue.Status]int64{}
	for c, n := range q.size.counts {
		if c.webhook == "" {
			continue
		}
		if out[c.webhook] == nil {
			out[c.webhook] = map[queue.Status]int64{}
		}
		out[c.webhook][c.status] += n
	}
	return out
}

// size is about what is kept takes, as it was measured last.
type size struct {
	mu       sync.Mutex
	measured time.Time
	running  chan struct{} // closed when the measuring under way ends; nil: none is
	bytes    int64
	rejected int64
	engine   string
	err      error     // of the last measuring
	full     error     // the database's disk is, as it last said
	fullAt   time.Time // when
	counts   map[counted]int64
}

// refused takes in that the database has no room on its disk.
func (s *size) refused(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.fullAt = err, time.Now()
}

// How old Stats may be, and how often it is looked whether there is room again. A commit waits a moment
// for what is measured meanwhile, and for all of it where what is known is old.
const (
	remeasure = time.Second
	roomWait  = 100 * time.Millisecond
	oldAfter  = 5 * time.Second
)

// Stats are at most a second old. Bytes is what is kept takes, with its indexes: files of the
// database do not get smaller when something is deleted in them. There is no DiskFree: the disk is
// the database server's.
func (q *Queue) Stats() queue.Stats {
	q.refresh(2 * measureTimeout)
	return q.latestStats()
}

// refresh measures anew where the last time was long ago. One does it for all who ask meanwhile;
// nobody waits longer than limit.
func (q *Queue) refresh(limit time.Duration) {
	s := &q.size
	s.mu.Lock()
	if time.Since(s.measured) < remeasure {
		s.mu.Unlock()
		return
	}
	running := s.running
	if running == nil {
		running = make(chan struct{})
		s.running = running
		go func() {
			q.measure()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.running = nil
			close(running)
		}()
	}
	s.mu.Unlock()
	select {
	case <-running:
	case <-time.After(limit):
	}
}

// refreshSoon does not wait long for a database that is slow to tell, but where what is known is old.
func (q *Queue) refreshSoon() {
	q.size.mu.Lock()
	limit := roomWait
	if time.Since(q.size.measured) > oldAfter {
		limit = 2 * measureTimeout
	}
	q.size.mu.Unlock()
	q.refresh(limit)
}

// latestStats are Stats as they were measured last.
func (q *Queue) latestStats() queue.Stats {
	limit, _, _ := q.limits.Get()
	s := &q.size
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := queue.Stats{Bytes: s.bytes, DiskFree: -1, Rejected: s.rejected, Engine: s.engine}
	if s.err != nil {
		stats.Away = s.err.Error()
	}
	switch {
	case s.full != nil:
		stats.Full, stats.Reason = true, s.full.Error()
	case limit > 0 && s.bytes >= limit:
		stats.Full, stats.Reason = true, fmt.Sprintf("the queue holds %d bytes, and [state] max_size is %d", s.bytes, limit)
	}
	return stats
}

// measureTimeout is how long whoever asks how things are waits for a database that does not answer.
const measureTimeout = 2 * time.Second

var errSilent = fmt.Errorf("it has not answered for %s", measureTimeout)

// measure reads what Stats tells, with a lane of its own: how things are does not depend on who looks at
// deliveries.
func (q *Queue) measure() {
	var bytes, rejected int64
	var engine string
	ctx, cancel := context.WithTimeoutCause(context.Background(), measureTimeout, errSilent)
	defer cancel()
	err := q.readIn(ctx, q.gauge, func(ctx context.Context, tx pgx.Tx) error {
		var version, standbys string
		if err := tx.QueryRow(ctx, sqlTotals).Scan(&bytes, &rejected, &version, &standbys); err != nil {
			return err
		}
		engine = describe(tx.Conn().Config().Host, version, standbys)
		return nil
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s := &q.size
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measured, s.err = time.Now(), err
	if err == nil {
		s.bytes, s.rejected, s.engine = bytes, rejected, engine
	}
	if time.Since(s.fullAt) > 2*remeasure {
		s.full = nil // it is tried again
	}
}

// describe says to people what keeps the queue.
func describe(host, version, standbys string) string {
	version, _, _ = strings.Cut(version, " ")
	text := "PostgreSQL " + version + " at " + host
	if strings.TrimSpace(standbys) == "" {
		return text + ", without a synchronous standby"
	}
	return text + ", synchronous standbys: " + standbys
}

// room waits until there is room.
func (q *Queue) room(ctx context.Context) error {
	for {
		if limit, _, _ := q.limits.Get(); limit == 0 {
			return nil
		}
		if q.refreshSoon(); !q.latestStats().Full {
			return nil
		}
		if err := sleep(ctx, q.ctx, remeasure/4); err != nil {
			return err
		}
	}
}

// Alive returns an error while the database does not answer.
func (q *Queue) Alive() error {
	q.Stats()
	q.size.mu.Lock()
	defer q.size.mu.Unlock()
	return q.size.err
}
