package postgres_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// logReader commits a log's numbered events, as the agent does: after an error the same ones again, and where the
// cursor was moved those that follow the stored one.
type logReader struct {
	q      *postgres.Queue
	source string
	acked  atomic.Int64 // how many are said to be durable
	back   atomic.Int64 // by how many the cursor was ever behind that
}

const perBatch = 16

func (l *logReader) read(ctx context.Context, t *testing.T, until int) {
	next, gen := l.resume(ctx, t)
	for next < until && ctx.Err() == nil {
		b := queue.Batch{Source: l.source, Gen: gen, Cursor: strconv.AppendInt(nil, int64(next+perBatch), 10)}
		for n := next; n < next+perBatch; n++ {
			b.Events = append(b.Events, numbered(n, "a"))
		}
		done, err := l.q.Commit(ctx, b)
		switch {
		case err == nil:
			next, gen = next+perBatch, done.Gen
			l.acked.Store(int64(next))
		case errors.Is(err, queue.ErrMoved):
			next, gen = l.resume(ctx, t)
		case ctx.Err() == nil:
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// resume returns where the stored cursor is.
func (l *logReader) resume(ctx context.Context, t *testing.T) (next int, gen int64) {
	for {
		cursor, gen, err := l.q.Cursor(l.source)
		if err == nil {
			if len(cursor) > 0 {
				if next, err = strconv.Atoi(string(cursor)); err != nil {
					t.Error(err)
				}
			}
			l.back.Store(max(l.back.Load(), l.acked.Load()-int64(next)))
			return next, gen
		}
		if ctx.Err() != nil {
			return 0, 0
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *logReader) await(t *testing.T, n int64) {
	t.Helper()
	eventually(t, "so many events to be durable", func() bool { return l.acked.Load() >= n })
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// stored asks the database itself.
func stored[T any](t *testing.T, url, sql string, args ...any) (v T) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// once fails the test unless the database has each of the first n events, and each once, with its delivery.
func once(t *testing.T, url string, n int) {
	t.Helper()
	for sql, want := range map[string]int{
		"SELECT count(*) FROM agent.event":                                     n,
		"SELECT count(DISTINCT id) FROM agent.event":                           n,
		"SELECT count(*) FROM agent.due":                                       n,
		"SELECT coalesce(sum(n), 0) FROM agent.delta WHERE status = 'pending'": n,
	} {
		if got := stored[int](t, url, sql); got != want {
			t.Errorf("%s: %d, not %d", sql, got, want)
		}
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = numbered(i).ID
	}
	if got := stored[int](t, url, "SELECT count(*) FROM agent.event WHERE id = ANY($1)", ids); got != n {
		t.Errorf("%d of %d events are there", got, n)
	}
}

// underFault reads a log of 480 events; when a part of them is durable the fault happens.
func underFault(t *testing.T, c *pgtest.Replicas, replication string, fault func(l *logReader)) *logReader {
	t.Helper()
	q := openAt(t, postgres.Options{URL: c.URL(), Replication: replication})
	l := &logReader{q: q, source: "agent-0:/log"}
	const events = 480
	read := make(chan struct{})
	go func() {
		defer close(read)
		l.read(t.Context(), t, events)
	}()
	l.await(t, 160)
	fault(l)
	l.await(t, events)
	<-read
	once(t, c.URL(), events)
	return l
}

func TestPromise_QuorumLosesNothingWithTheLeaderAndItsDisk(t *testing.T) {
	c := pgtest.Cluster(t, pgtest.Quorum)
	l := underFault(t, c, "check", func(l *logReader) {
		c.Standbys()[0].Link.Hold() // one of them is behind
		l.await(t, l.acked.Load()+5*perBatch)
		c.Primary().Kill()
		c.Primary().RemoveData()
		c.Failover()
	})
	if back := l.back.Load(); back > 0 {
		t.Errorf("%d acknowledged events were lost", back)
	}
}

// TestPromise_WhatAnAsynchronousFailoverLosesIsReadAgain: the cursor is lost with the events, and tells.
func TestPromise_WhatAnAsynchronousFailoverLosesIsReadAgain(t *testing.T) {
	c := pgtest.Cluster(t, pgtest.Asynchronous)
	l := underFault(t, c, "trust", func(l *logReader) {
		c.HoldStandbys()
		l.await(t, l.acked.Load()+5*perBatch)
		c.Primary().Kill()
		c.Primary().RemoveData()
		c.Failover()
	})
	if back := l.back.Load(); back < 3*perBatch {
		t.Errorf("only %d acknowledged events were lost: this test shows nothing", back)
	}
}

func TestPromise_PowerCut(t *testing.T) {
	c := pgtest.ClusterOnDisks(t, pgtest.Quorum)
	if back := underFault(t, c, "check", func(*logReader) { c.PowerCut() }).back.Load(); back > 0 {
		t.Errorf("%d acknowledged events were lost", back)
	}
}
