package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How often each part of the upkeep is done.
const (
	spaceEvery = time.Second
	tidyEvery  = 5 * time.Minute

	// memoryBusy is how often the memory is looked at while the database is read or
	// written, and for linger after that, since a compaction follows and reads hundreds of
	// megabytes a second; memoryCalm is how often at other times.
	memoryBusy = 20 * time.Millisecond
	memoryCalm = 500 * time.Millisecond
	linger     = 2 * time.Second
)

// Run keeps the queue in order until ctx ends: retention, giving space back, watching
// the disk, and giving memory back.
func (q *Queue) Run(ctx context.Context) error {
	var memory sync.WaitGroup
	defer memory.Wait()
	memory.Go(func() { q.keepSmall(ctx) })
	space, tidy := time.NewTicker(spaceEvery), time.NewTicker(tidyEvery)
	defer space.Stop()
	defer tidy.Stop()
	failing := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-space.C:
			q.space.measure(q)
			err = q.keepBallast()
			if err == nil && q.pressed() {
				err = q.Upkeep(ctx)
			}
		case <-tidy.C:
			err = q.Upkeep(ctx)
		}
		if err != nil && ctx.Err() == nil && err.Error() != failing {
			failing = err.Error()
			q.log.Warn("the queue's upkeep failed; it is tried again", "error", err)
		} else if err == nil {
			failing = ""
		}
	}
}

// keepSmall gives memory back until ctx ends.
func (q *Queue) keepSmall(ctx context.Context) {
	var p pager
	var busy time.Time
	next := time.NewTimer(memoryCalm)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if p.pageOut(q.dbDir()) || q.touched.Swap(false) {
			busy = time.Now()
		}
		if time.Since(busy) < linger {
			next.Reset(memoryBusy)
		} else {
			next.Reset(memoryCalm)
		}
	}
}

// pressed tells whether the queue is close to its bound: then history is the first to go.
func (q *Queue) pressed() bool {
	maxSize, _, _ := q.limits.get()
	return maxSize > 0 && q.space.taken() > maxSize-maxSize/10
}

// Upkeep sees to what a clock that was set back has put off, does a round of retention
// and gives the space back.
func (q *Queue) Upkeep(ctx context.Context) error {
	q.tidy.mu.Lock()
	defer q.tidy.mu.Unlock()
	maxSize, retention, window := q.limits.get()
	now := q.now()
	if err := q.recall(ctx); err != nil {
		return err
	}
	if retention > 0 {
		if _, err := q.retain(ctx, now.Add(-retention), -1); err != nil {
			return err
		}
		if err := q.retainRejected(ctx, now.Add(-retention)); err != nil {
			return err
		}
	}
	if err := q.expireIDs(ctx, now.Add(-window)); err != nil {
		return err
	}
	err := q.reclaim(ctx)
	q.space.measure(q)
	if !q.pressed() {
		q.tidy.short = false
	}
	// Nearly full of finished deliveries: a shorter history is better than standing still.
	for err == nil && q.pressed() && ctx.Err() == nil {
		before := q.space.taken()
		n, shortenErr := q.retain(ctx, now, 20_000)
		if shortenErr != nil || n == 0 {
			return shortenErr
		}
		if !q.tidy.short {
			q.log.Warn("the history of finished deliveries is cut short as long as the queue is close to [state] max_size", "max_size", maxSize)
		}
		q.tidy.short = true
		err = q.reclaim(ctx)
		q.space.measure(q)
		if q.space.taken() >= before {
			break
		}
	}
	return err
}

// reclaim gives back what deleted entries took. Badger counts what a value log could give
// back only when tables are compacted, so collecting, flattening and collecting again
// finds what once does not.
func (q *Queue) reclaim(ctx context.Context) error {
	if err := q.collect(ctx); err != nil {
		return err
	}
	const worthwhile = 10_000
	deleted := q.deleted.Load()
	if deleted == 0 || deleted < worthwhile && !q.pressed() {
		return nil
	}
	q.deleted.Add(-deleted)
	if err := q.flush(ctx); err != nil {
		return err
	}
	if err := q.db.Flatten(2); err != nil {
		return err
	}
	return q.collect(ctx)
}

// flush writes what is in memory to tables: only then can compaction tell the value log
// what was deleted. Badger does so when a prefix that holds something is dropped, so one
// is made for it. Badger refuses writes meanwhile, hence alone.
func (q *Queue) flush(ctx context.Context) error {
	return q.hand(ctx, &request{done: make(chan error, 1), alone: func() error {
		marker := []byte{kindFlush}
		err := q.db.Update(func(txn *badger.Txn) error { return txn.Set(marker, nil) })
		if err == nil {
			err = q.db.DropPrefix(marker)
		}
		return err
	}})
}

func (q *Queue) collect(ctx context.Context) error {
	for ctx.Err() == nil {
		q.touched.Store(true)
		switch err := q.db.RunValueLogGC(0.5); {
		case err == nil:
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		default:
			return err
		}
	}
	return ctx.Err()
}
