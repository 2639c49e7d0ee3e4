package queue

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How often each part of the upkeep is done.
const (
	spaceEvery  = time.Second
	memoryEvery = 5 * time.Second
	tidyEvery   = 5 * time.Minute
)

// Run keeps the queue in order until ctx ends: retention, giving space back, watching
// the disk, and giving memory back.
func (q *Queue) Run(ctx context.Context) error {
	space, memory, tidy := time.NewTicker(spaceEvery), time.NewTicker(memoryEvery), time.NewTicker(tidyEvery)
	defer space.Stop()
	defer memory.Stop()
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
		case <-memory.C:
			pageOut(q.dbDir())
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

// pressed tells whether the queue is close to its bound: then history is the first to go.
func (q *Queue) pressed() bool {
	maxSize, _, _ := q.limits.get()
	q.space.mu.Lock()
	defer q.space.mu.Unlock()
	return maxSize > 0 && q.space.bytes > maxSize-maxSize/10
}

// Upkeep does a round of retention and gives the space back.
func (q *Queue) Upkeep(ctx context.Context) error {
	maxSize, retention, window := q.limits.get()
	now := q.now()
	removed := 0
	if retention > 0 {
		n, err := q.retain(ctx, now.Add(-retention), -1)
		if removed += n; err != nil {
			return err
		}
	}
	if err := q.expireIDs(ctx, now.Add(-window)); err != nil {
		return err
	}
	err := q.reclaim(removed)
	q.space.measure(q)
	// Nearly full of finished deliveries: a shorter history is better than standing still.
	for err == nil && q.pressed() && ctx.Err() == nil {
		before := q.space.bytes
		n, shortenErr := q.retain(ctx, now, 20_000)
		if shortenErr != nil || n == 0 {
			return shortenErr
		}
		q.log.Warn("the history of finished deliveries is cut short: the queue is close to [state] max_size", "events", n, "max_size", maxSize)
		err = q.reclaim(n)
		q.space.measure(q)
		if q.space.bytes >= before {
			break
		}
	}
	return err
}

// retain deletes events older than a moment, oldest first, whose deliveries are all
// finished and were so before it, and rejected records as old; at most limit events,
// where that is not negative.
func (q *Queue) retain(ctx context.Context, before time.Time, limit int) (int, error) {
	removed := 0
	from := []byte{kindEvent}
	for ctx.Err() == nil && removed != limit {
		var old []uint64
		var last []byte
		err := q.view(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindEvent}})
			defer it.Close()
			for it.Seek(from); it.Valid() && len(old) < 200; it.Next() {
				last = it.Item().KeyCopy(last)
				seq := seqOf(last[1:])
				if seq >= nanos(before) {
					last = nil
					return nil
				}
				if q.settled(txn, seq, before) {
					old = append(old, seq)
				}
			}
			if !it.Valid() {
				last = nil
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		if limit >= 0 {
			old = old[:min(len(old), limit-removed)]
		}
		for _, seq := range old {
			if err := q.do(ctx, 200, func(r *round) error { return r.forget(seq) }); err != nil {
				return removed, err
			}
			removed++
		}
		if last == nil {
			break
		}
		from = append(bytes.Clone(last), 0)
	}
	return removed, errors.Join(ctx.Err(), q.retainRejected(ctx, before))
}

// settled tells whether an event's deliveries are all finished, and were before a moment.
func (q *Queue) settled(txn *badger.Txn, seq uint64, before time.Time) bool {
	e, err := loadEvent(txn, seq)
	if err != nil {
		return false
	}
	for i := range e.Webhooks {
		d, err := q.load(txn, ref{seq, uint16(i)})
		if err != nil || !d.finished() || !d.CompletedAt.Before(before) {
			return false
		}
	}
	return true
}

// forget deletes an event with its deliveries. Its id stays known for the dedup window.
func (r *round) forget(seq uint64) error {
	e, err := loadEvent(r.txn, seq)
	if err != nil {
		return err
	}
	for i := range e.Webhooks {
		at := ref{seq, uint16(i)}
		d, err := r.q.load(r.txn, at)
		if err != nil {
			return err
		}
		if !d.finished() {
			return nil // replayed meanwhile
		}
		if err := errors.Join(r.index(at, d.combo(), combo{}), r.delete(deliveryKey(at))); err != nil {
			return err
		}
	}
	return errors.Join(r.delete(eventKey(seq)), r.set(expiryKey(seq, e.ID), nil))
}

func (q *Queue) retainRejected(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		ids := q.firstKeys([]byte{kindRejected}, nanos(before), func(key []byte) string { return rejectedID(seqOf(key[1:])) })
		if len(ids) == 0 {
			return nil
		}
		if err := q.DropRejected(ctx, ids...); err != nil {
			return err
		}
	}
	return nil
}

// expireIDs forgets the ids of events that are gone and older than the dedup window.
func (q *Queue) expireIDs(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		keys := q.firstKeys([]byte{kindExpiry}, nanos(before), func(key []byte) string { return string(key) })
		if len(keys) == 0 {
			return nil
		}
		err := q.do(ctx, 2*len(keys), func(r *round) error {
			for _, key := range keys {
				id, seq := key[9:], seqOf([]byte(key[1:9]))
				// A later event of the same id has its own claim to it.
				if known, err := get(r.txn, dedupKey(id), "the id of an event"); err == nil && seqOf(known) == seq {
					if err := r.delete(dedupKey(id)); err != nil {
						return err
					}
				}
				if err := r.delete([]byte(key)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// firstKeys gives up to 500 keys of a kind whose seq lies below a bound.
func (q *Queue) firstKeys(kind []byte, below uint64, as func(key []byte) string) []string {
	var out []string
	_ = q.view(func(txn *badger.Txn) error { // nothing found is nothing to do; writing tells of errors
		it := txn.NewIterator(badger.IteratorOptions{Prefix: kind})
		defer it.Close()
		for it.Rewind(); it.Valid() && len(out) < 500; it.Next() {
			if key := it.Item().KeyCopy(nil); seqOf(key[1:9]) < below {
				out = append(out, as(key))
				continue
			}
			break
		}
		return nil
	})
	return out
}

// reclaim gives back what deleted entries took. Badger counts what a value log could give
// back only when tables are compacted, so collecting, flattening and collecting again
// finds what once does not.
func (q *Queue) reclaim(removed int) error {
	if err := q.collect(); err != nil {
		return err
	}
	if removed < 1000 {
		return nil
	}
	if err := q.db.Flatten(2); err != nil {
		return err
	}
	return q.collect()
}

func (q *Queue) collect() error {
	for {
		switch err := q.db.RunValueLogGC(0.5); {
		case err == nil:
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		default:
			return err
		}
	}
}
