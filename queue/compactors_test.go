package queue

import (
	"context"
	"sync"
	"testing"
	"time"
)

// someEvents are a batch of n events from the first on.
func someEvents(first, n int) Batch {
	var b Batch
	for i := range n {
		b.Events = append(b.Events, event(first+i, "a", "b", "c"))
	}
	return b
}

// mayRest has them rest if nothing but the time since something was written speaks against it, and
// reports whether they do.
func mayRest(q *Queue) bool {
	c := &q.compactors
	c.mu.Lock()
	c.wrote = time.Time{}
	c.mu.Unlock()
	q.restCompactors()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resting
}

// TestCompactors_RestWhileNothingIsWritten writes many times what could be written without them,
// and has them rest whenever they may.
func TestCompactors_RestWhileNothingIsWritten(t *testing.T) {
	q := open(t, Options{Sizes: small})
	q.restCompactors()
	if q.compactors.begin(q.db); q.compactors.resting {
		t.Error("they rest while something is written")
	}
	q.compactors.end()
	const rounds = 100
	for i := range rounds {
		commit(t, q, someEvents(200*i, 200))
		if q.restCompactors(); q.compactors.resting {
			t.Fatal("they rest as soon as something was written")
		}
		for !mayRest(q) {
			time.Sleep(10 * time.Millisecond) // there is something to merge
		}
		for end := time.Now().Add(time.Minute); runs("(*levelsController).runCompactor"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("they are still there")
			}
		}
	}
	tables := 0
	for _, l := range q.db.Levels()[1:] {
		tables += l.NumTables
	}
	if tables == 0 {
		t.Error("nothing was merged meanwhile")
	}
	if n := len(due(t, q, "b", time.Now())); n != 100 {
		t.Errorf("%d of the first 100 deliveries are due", n)
	}
}

// TestCompactors_RestBesideEverythingThatNeedsThem looks for what the race detector finds, and for
// what stands still.
func TestCompactors_RestBesideEverythingThatNeedsThem(t *testing.T) {
	q := open(t, Options{Sizes: small, Retention: time.Nanosecond})
	ctx, cancel := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		for ctx.Err() == nil {
			mayRest(q)
			time.Sleep(time.Millisecond)
		}
	})
	beside.Go(func() {
		for ctx.Err() == nil {
			q.writer.deleted.Store(20_000) // have the upkeep flatten
			if err := q.Upkeep(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for i := range 40 {
		commit(t, q, someEvents(100*i, 100))
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	beside.Wait()
	for !mayRest(q) {
		time.Sleep(10 * time.Millisecond)
	}
}
