package queue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// maxLooked is how many events a round of retention looks at.
const maxLooked = 100_000

func (m *maintenance) from(kind byte) []byte {
	if k := m.low[kind]; k != nil {
		return k
	}
	return []byte{kind}
}

func (m *maintenance) set(kind byte, key []byte) {
	if m.low == nil {
		m.low = map[byte][]byte{}
	}
	m.low[kind] = key
}

// expired is an event that can go, and what deleting it takes.
type expired struct {
	seq  uint64
	cost cost
}

// retain deletes events older than a moment, oldest first, whose deliveries are all
// finished and were so before it; at most limit of them, where that is not negative.
// Having looked at enough it leaves the rest to the next round.
func (m *maintenance) retain(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	from, lowest := m.resume, m.resume == nil
	if lowest {
		from = m.from(kindEvent)
	}
	for looked := 0; ctx.Err() == nil && looked < maxLooked && removed != limit; {
		l, err := m.scanOld(from, before, 200)
		if err != nil {
			return removed, err
		}
		if limit >= 0 && len(l.old) > limit-removed {
			l = l.first(limit - removed)
		}
		n, stays, err := m.forgetAll(ctx, l.old)
		if removed += n; err != nil {
			return removed, err
		}
		if stays != nil && (l.unfinished == nil || bytes.Compare(stays, l.unfinished) < 0) {
			l.unfinished = stays
		}
		looked += l.looked
		if lowest {
			m.set(kindEvent, l.kept(l.next))
			lowest = l.unfinished == nil
		}
		from, m.resume = l.next, l.next
		if l.last {
			m.resume = nil
			break
		}
	}
	return removed, ctx.Err()
}

// oldScan is what a stretch of the events, oldest first, was found to hold.
type oldScan struct {
	old        []expired
	looked     int
	unfinished []byte // the first that stays, nil for none
	next       []byte // where to continue
	last       bool   // what comes next is too young
}

func (l oldScan) kept(otherwise []byte) []byte {
	if l.unfinished != nil {
		return l.unfinished
	}
	return otherwise
}

// first is the part up to and without the expired event n.
func (l oldScan) first(n int) oldScan {
	cut := eventKey(l.old[n].seq)
	l.old, l.next, l.last = l.old[:n], cut, false
	if l.unfinished != nil && bytes.Compare(l.unfinished, cut) > 0 {
		l.unfinished = nil
	}
	return l
}

// scanOld classifies n events from a key on. A seq orders events; it is their time too, but for
// those that were numbered after the clock had been ahead, which are not skipped as young.
func (m *maintenance) scanOld(from []byte, before time.Time, n int) (oldScan, error) {
	l := oldScan{next: from, last: true}
	now := nanos(m.now())
	err := m.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindEvent}})
		defer it.Close()
		for it.Seek(from); it.Valid(); {
			key := it.Item().KeyCopy(nil)
			if l.looked == n {
				l.next, l.last = key, false
				return nil
			}
			seq := seqOf(key[1:])
			young := seq >= nanos(before) && seq <= now
			if c, ok := m.finishedBefore(txn, seq, before); ok && !young {
				l.old = append(l.old, expired{seq, c})
			} else if l.unfinished == nil {
				l.unfinished = key
			}
			if young {
				it.Seek(eventKey(now + 1))
				continue
			}
			l.looked++
			l.next = append(bytes.Clone(key), 0)
			it.Next()
		}
		return nil
	})
	return l, err
}

// finishedBefore reports whether an event's deliveries are all finished, and were before a moment.
func (m *maintenance) finishedBefore(txn *badger.Txn, seq uint64, before time.Time) (cost, bool) {
	e, err := loadMeta(txn, seq)
	if err != nil || !e.queued(seq).Before(before) {
		return cost{}, false // what is damaged stays to be seen
	}
	for i := range e.Webhooks {
		d, err := m.load(txn, ref{seq, uint16(i)})
		if err != nil || !d.Finished() || !d.CompletedAt.Before(before) {
			return cost{}, false
		}
	}
	return cost{2, 200}.plus(changeCost(len(e.Webhooks))), true
}

// forgetAll deletes events and returns how many, and the key of the first that stays, nil for
// none: one that was replayed meanwhile.
func (m *maintenance) forgetAll(ctx context.Context, old []expired) (removed int, stays []byte, err error) {
	for len(old) > 0 {
		n, c := 1, old[0].cost
		for n < len(old) && c.plus(old[n].cost).fits(m.writer.room) {
			c = c.plus(old[n].cost)
			n++
		}
		part, gone := old[:n], 0
		var replayed []byte
		err := m.writer.submit(ctx, c, func(w *writeTxn) error {
			gone, replayed = 0, nil
			for _, s := range part {
				ok, err := w.forget(s.seq)
				switch {
				case err != nil:
					return err
				case ok:
					gone++
				case replayed == nil:
					replayed = eventKey(s.seq)
				}
			}
			return nil
		})
		if err != nil {
			return removed, stays, err
		}
		removed += gone
		if stays == nil {
			stays = replayed
		}
		// What is forgotten late leaves an id older than those that expired before it.
		if key := expiryKey(part[0].seq, ""); bytes.Compare(key, m.from(kindExpiry)) < 0 {
			m.set(kindExpiry, key)
		}
		old = old[n:]
	}
	return removed, stays, nil
}

// forget deletes an event with its deliveries, unless one was replayed meanwhile. Its id
// stays known for the dedup window.
func (w *writeTxn) forget(seq uint64) (bool, error) {
	e, err := loadMeta(w.txn, seq)
	if err != nil {
		return false, err
	}
	at := ref{seq: seq}
	var ds []*Delivery
	for i := range e.Webhooks {
		at.idx = uint16(i)
		d, err := w.wr.loadWith(w.txn, at, e)
		if err != nil || !d.Finished() {
			return false, err
		}
		ds = append(ds, d)
	}
	for i, d := range ds {
		at.idx = uint16(i)
		if err := errors.Join(w.index(at, d.indexed(), indexKey{}), w.delete(deliveryKey(at))); err != nil {
			return false, err
		}
	}
	return true, errors.Join(w.delete(eventKey(seq)), w.set(expiryKey(seq, e.ID), nil))
}

func (m *maintenance) retainRejected(ctx context.Context, before time.Time) error {
	return m.eachOld(ctx, kindRejected, before, func(keys [][]byte) error {
		ids := make([]string, len(keys))
		for i, key := range keys {
			ids[i] = rejectedID(seqOf(key[1:]))
		}
		return m.writer.dropRejected(ctx, ids)
	})
}

// rejectedShare is which part of [state] max_size rejected records may take once the queue is close
// to that: they must not stop the reading. What they take is what was read of them, at most
// 64 KiB each.
const rejectedShare = 10

// shrinkRejected deletes the oldest rejected records beyond their share of the queue's bound.
func (m *maintenance) shrinkRejected(ctx context.Context, share int64) (dropped int, err error) {
	var ids []string
	err = m.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindRejected}, Reverse: true})
		defer it.Close()
		for it.Seek(after([]byte{kindRejected})); it.Valid(); it.Next() {
			if share -= it.Item().EstimatedSize(); share < 0 {
				ids = append(ids, rejectedID(seqOf(it.Item().Key()[1:])))
			}
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	slices.Reverse(ids) // the oldest first
	if err := m.writer.dropRejected(ctx, ids); err != nil {
		return 0, err
	}
	m.rejectedDropped.Add(int64(len(ids)))
	m.log.Warn("the oldest rejected records were dropped: together they took more than a tenth of [state] max_size", "records", len(ids))
	return len(ids), nil
}

// expireIDs forgets the ids of events that are gone and older than the dedup window.
func (m *maintenance) expireIDs(ctx context.Context, before time.Time) error {
	return m.eachOld(ctx, kindExpiry, before, func(keys [][]byte) error {
		return m.writer.submit(ctx, cost{2 * len(keys), 150 * int64(len(keys))}, func(w *writeTxn) error {
			for _, key := range keys {
				id, seq := string(key[9:]), seqOf(key[1:9])
				// A later event of the same id has its own claim to it.
				if known, err := get(w.txn, dedupKey(id), "the id of an event"); err == nil && seqOf(known) == seq {
					if err := w.delete(dedupKey(id)); err != nil {
						return err
					}
				}
				if err := w.delete(key); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// eachOld passes the keys of a kind whose seq is before a moment, in parts, to f, which
// deletes them.
func (m *maintenance) eachOld(ctx context.Context, kind byte, before time.Time, f func(keys [][]byte) error) error {
	for ctx.Err() == nil {
		var keys [][]byte
		from := m.from(kind)
		err := m.view(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
			defer it.Close()
			for it.Seek(from); it.Valid() && len(keys) < 500; it.Next() {
				key := it.Item().KeyCopy(nil)
				if seqOf(key[1:9]) >= nanos(before) {
					from = key
					return nil
				}
				keys = append(keys, key)
				from = append(bytes.Clone(key), 0)
			}
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := f(keys); err != nil {
			return err
		}
		m.set(kind, from)
	}
	return ctx.Err()
}
