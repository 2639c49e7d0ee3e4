package queue

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// tidy is where the upkeep goes on, so that it neither passes what it deleted before,
// nor everything that is old and not finished, each time.
type tidy struct {
	mu    sync.Mutex
	low   map[byte][]byte // below it there is nothing of a kind
	short bool            // the history is being cut short, and that was logged
	at    []byte          // the event that the next round of retention begins with; nil: the lowest
}

// maxLooked is how many events a round of retention looks at.
const maxLooked = 100_000

func (t *tidy) from(kind byte) []byte {
	if k := t.low[kind]; k != nil {
		return k
	}
	return []byte{kind}
}

func (t *tidy) set(kind byte, key []byte) {
	if t.low == nil {
		t.low = map[byte][]byte{}
	}
	t.low[kind] = key
}

// settled is an event that can go, and what deleting it takes.
type settled struct {
	seq  uint64
	cost cost
}

// retain deletes events older than a moment, oldest first, whose deliveries are all
// finished and were so before it; at most limit of them, where that is not negative.
// Having looked at enough it leaves the rest to the next round.
func (q *Queue) retain(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	from, lowest := q.tidy.at, q.tidy.at == nil
	if lowest {
		from = q.tidy.from(kindEvent)
	}
	for looked := 0; ctx.Err() == nil && looked < maxLooked && removed != limit; {
		l, err := q.look(from, before, 200)
		if err != nil {
			return removed, err
		}
		if limit >= 0 && len(l.old) > limit-removed {
			l = l.first(limit - removed)
		}
		n, stays, err := q.forgetAll(ctx, l.old)
		if removed += n; err != nil {
			return removed, err
		}
		if stays != nil && (l.unsettled == nil || bytes.Compare(stays, l.unsettled) < 0) {
			l.unsettled = stays
		}
		looked += l.looked
		if lowest {
			q.tidy.set(kindEvent, l.kept(l.next))
			lowest = l.unsettled == nil
		}
		from, q.tidy.at = l.next, l.next
		if l.last {
			q.tidy.at = nil
			break
		}
	}
	return removed, ctx.Err()
}

// look is what a part of the events, oldest first, is found to be.
type look struct {
	old       []settled
	looked    int
	unsettled []byte // the first that stays, nil for none
	next      []byte // where to go on
	last      bool   // what comes next is too young
}

func (l look) kept(otherwise []byte) []byte {
	if l.unsettled != nil {
		return l.unsettled
	}
	return otherwise
}

// first is the part up to and without the settled event n.
func (l look) first(n int) look {
	cut := eventKey(l.old[n].seq)
	l.old, l.next, l.last = l.old[:n], cut, false
	if l.unsettled != nil && bytes.Compare(l.unsettled, cut) > 0 {
		l.unsettled = nil
	}
	return l
}

// look tells of n events from a key on. A seq orders events; it is their time too, but for
// those that were numbered after the clock had been ahead, which are not skipped as young.
func (q *Queue) look(from []byte, before time.Time, n int) (look, error) {
	l := look{next: from, last: true}
	now := nanos(q.now())
	err := q.view(func(txn *badger.Txn) error {
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
			if c, ok := q.settled(txn, seq, before); ok && !young {
				l.old = append(l.old, settled{seq, c})
			} else if l.unsettled == nil {
				l.unsettled = key
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

// settled tells whether an event's deliveries are all finished, and were before a moment.
func (q *Queue) settled(txn *badger.Txn, seq uint64, before time.Time) (cost, bool) {
	e, err := loadEvent(txn, seq)
	if err != nil || !e.queued(seq).Before(before) {
		return cost{}, false // what is damaged stays to be seen
	}
	for i := range e.Webhooks {
		d, err := q.load(txn, ref{seq, uint16(i)})
		if err != nil || !d.finished() || !d.CompletedAt.Before(before) {
			return cost{}, false
		}
	}
	return cost{2, 200}.plus(changeCost(len(e.Webhooks))), true
}

// forgetAll deletes events and says how many, and the key of the first that stays, nil for
// none: one that was replayed meanwhile.
func (q *Queue) forgetAll(ctx context.Context, old []settled) (removed int, stays []byte, err error) {
	for len(old) > 0 {
		n, c := 1, old[0].cost
		for n < len(old) && c.plus(old[n].cost).fits(q.room) {
			c = c.plus(old[n].cost)
			n++
		}
		part, gone := old[:n], 0
		var replayed []byte
		err := q.do(ctx, c, func(r *round) error {
			gone, replayed = 0, nil
			for _, s := range part {
				ok, err := r.forget(s.seq)
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
		if key := expiryKey(part[0].seq, ""); bytes.Compare(key, q.tidy.from(kindExpiry)) < 0 {
			q.tidy.set(kindExpiry, key)
		}
		old = old[n:]
	}
	return removed, stays, nil
}

// forget deletes an event with its deliveries, unless one was replayed meanwhile. Its id
// stays known for the dedup window.
func (r *round) forget(seq uint64) (bool, error) {
	e, err := loadEvent(r.txn, seq)
	if err != nil {
		return false, err
	}
	at := ref{seq: seq}
	var ds []*Delivery
	for i := range e.Webhooks {
		at.idx = uint16(i)
		d, err := r.q.load(r.txn, at)
		if err != nil || !d.finished() {
			return false, err
		}
		ds = append(ds, d)
	}
	for i, d := range ds {
		at.idx = uint16(i)
		if err := errors.Join(r.index(at, d.combo(), combo{}), r.delete(deliveryKey(at))); err != nil {
			return false, err
		}
	}
	return true, errors.Join(r.delete(eventKey(seq)), r.set(expiryKey(seq, e.ID), nil))
}

func (q *Queue) retainRejected(ctx context.Context, before time.Time) error {
	return q.eachOld(ctx, kindRejected, before, func(keys [][]byte) error {
		ids := make([]string, len(keys))
		for i, key := range keys {
			ids[i] = rejectedID(seqOf(key[1:]))
		}
		return q.DropRejected(ctx, ids...)
	})
}

// expireIDs forgets the ids of events that are gone and older than the dedup window.
func (q *Queue) expireIDs(ctx context.Context, before time.Time) error {
	return q.eachOld(ctx, kindExpiry, before, func(keys [][]byte) error {
		return q.do(ctx, cost{2 * len(keys), 150 * int64(len(keys))}, func(r *round) error {
			for _, key := range keys {
				id, seq := string(key[9:]), seqOf(key[1:9])
				// A later event of the same id has its own claim to it.
				if known, err := get(r.txn, dedupKey(id), "the id of an event"); err == nil && seqOf(known) == seq {
					if err := r.delete(dedupKey(id)); err != nil {
						return err
					}
				}
				if err := r.delete(key); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// eachOld gives the keys of a kind whose seq is before a moment, in parts, to f, which
// deletes them.
func (q *Queue) eachOld(ctx context.Context, kind byte, before time.Time, f func(keys [][]byte) error) error {
	for ctx.Err() == nil {
		var keys [][]byte
		from := q.tidy.from(kind)
		err := q.view(func(txn *badger.Txn) error {
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
		q.tidy.set(kind, from)
	}
	return ctx.Err()
}
