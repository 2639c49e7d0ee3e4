package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How often each part of the upkeep is done.
const (
	spaceEvery  = time.Second
	upkeepEvery = 5 * time.Minute

	// memoryBusy is how often the memory is looked at while the database is read or
	// written, and for linger after that, since a compaction follows and reads hundreds of
	// megabytes a second; memoryCalm is how often at other times.
	memoryBusy = 20 * time.Millisecond
	memoryCalm = 500 * time.Millisecond
	linger     = 2 * time.Second
)

// maintenance keeps the queue in order: retention, reclaiming disk space and memory,
// watching the disk. What it remembers is where to continue, so that it neither passes
// what it deleted before, nor everything that is old and not finished, each time.
type maintenance struct {
	*store
	writer *writer
	disk   *disk
	limits *Limits
	log    *slog.Logger
	small  bool // Options.SmallMemory
	// webhooks names the configured ones.
	webhooks func() []string

	mu        sync.Mutex
	low       map[byte][]byte // below it there is nothing of a kind
	shortened bool            // the history is being cut short, and that was logged
	// rejectedDropped counts what shrinkRejected deleted.
	rejectedDropped atomic.Int64
	resume          []byte // the event that the next round of retention begins with; nil: the lowest
}

// run works until ctx ends.
func (m *maintenance) run(ctx context.Context) error {
	var memory sync.WaitGroup
	defer memory.Wait()
	memory.Go(func() { m.keepSmall(ctx) })
	space, upkeep := time.NewTicker(spaceEvery), time.NewTicker(upkeepEvery)
	defer space.Stop()
	defer upkeep.Stop()
	failing := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-space.C:
			m.disk.measure()
			err = m.disk.keepBallast()
			if err == nil && m.disk.pressed() {
				err = m.upkeep(ctx)
			}
		case <-upkeep.C:
			err = m.upkeep(ctx)
		}
		if err != nil && ctx.Err() == nil && err.Error() != failing {
			failing = err.Error()
			m.log.Warn("the queue's upkeep failed; it is tried again", "error", err)
		} else if err == nil {
			failing = ""
		}
	}
}

// keepSmall returns memory to the system until ctx ends.
func (m *maintenance) keepSmall(ctx context.Context) {
	p := pager{dir: m.dir, small: m.small}
	var busy time.Time
	p.advise()
	next := time.NewTimer(memoryCalm)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		m.restCompactors()
		touched := m.touched.Swap(false)
		if !touched && time.Since(busy) >= linger {
			next.Reset(memoryCalm)
			continue
		}
		p.advise()
		m.freeTableBuilder()
		if p.pageOut() || touched {
			busy = time.Now()
		}
		next.Reset(memoryBusy)
	}
}

// upkeep corrects what a clock that was set back has put off, does a round of retention
// and reclaims the space.
func (m *maintenance) upkeep(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maxSize, retention, window := m.limits.Get()
	now := m.now()
	if err := m.undoSkew(ctx); err != nil {
		return err
	}
	if retention > 0 {
		if _, err := m.retain(ctx, now.Add(-retention), -1); err != nil {
			return err
		}
		if err := m.retainRejected(ctx, now.Add(-retention)); err != nil {
			return err
		}
	}
	if err := m.expireIDs(ctx, now.Add(-window)); err != nil {
		return err
	}
	if err := m.forgetHistory(ctx); err != nil {
		return err
	}
	err := m.reclaim(ctx)
	m.disk.measure()
	if !m.disk.pressed() {
		m.shortened = false
	}
	if err == nil && m.disk.pressed() {
		var dropped int
		if dropped, err = m.shrinkRejected(ctx, maxSize/rejectedShare); dropped > 0 {
			err = m.reclaim(ctx)
			m.disk.measure()
		}
	}
	// Nearly full of finished deliveries: a shorter history is better than standing still.
	for err == nil && m.disk.pressed() && ctx.Err() == nil {
		before := m.disk.taken()
		n, shortenErr := m.retain(ctx, now, 20_000)
		if shortenErr != nil || n == 0 {
			return shortenErr
		}
		if !m.shortened {
			m.log.Warn("the history of finished deliveries is cut short as long as the queue is close to [state] max_size", "max_size", maxSize)
		}
		m.shortened = true
		err = m.reclaim(ctx)
		m.disk.measure()
		if m.disk.taken() >= before {
			break
		}
	}
	return err
}

// reclaim frees what deleted entries took. Badger counts what a value log could free
// only when tables are compacted, so collecting, flattening and collecting again
// finds what once does not.
func (m *maintenance) reclaim(ctx context.Context) error {
	m.compactors.begin(m.db)
	defer m.compactors.end()
	if err := m.collect(ctx); err != nil {
		return err
	}
	const worthwhile = 10_000
	deleted := m.writer.deleted.Load()
	if deleted == 0 || deleted < worthwhile && !m.disk.pressed() {
		return nil
	}
	m.writer.deleted.Add(-deleted)
	if err := m.flush(ctx); err != nil {
		return err
	}
	if err := m.db.Flatten(2); err != nil {
		return m.failing("compact", err)
	}
	return m.collect(ctx)
}

// flush writes what is in memory to tables: only then can compaction tell the value log
// what was deleted. Badger does so when a prefix that holds something is dropped, so one
// is made for it. Badger refuses writes meanwhile, hence exclusively.
func (m *maintenance) flush(ctx context.Context) error {
	return m.writer.exclusive(ctx, func() error {
		marker := []byte{kindFlush}
		err := m.db.Update(func(txn *badger.Txn) error {
			return errors.Join(txn.Set(marker, nil), txn.Set(metaFlush, nil))
		})
		if err == nil {
			err = m.db.DropPrefix(marker)
		}
		return m.failing("write a table in", err)
	})
}

func (m *maintenance) collect(ctx context.Context) error {
	for ctx.Err() == nil {
		m.touched.Store(true)
		switch err := m.db.RunValueLogGC(0.5); {
		case err == nil:
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		default:
			return m.failing("rewrite a value log in", err)
		}
	}
	return ctx.Err()
}

// failing ends the queue where err is a system call's: the database may be half written.
func (m *maintenance) failing(doing string, err error) error {
	if err != nil && (isSystem(err) || systemText(err)) {
		return m.failure.set(doing, err)
	}
	return err
}
