package queue

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dawnsystem/intellidocs-agent/queue/badgercheck"
)

// maxNamed is how many unreadable events are named in the log.
const maxNamed = 20

// tellDamage says what of the queue is gone, after an open that had to repair something
// (all events are read then) or that finds the log of a memtable missing.
func (q *Queue) tellDamage(repaired bool) error {
	entries, commits, err := badgercheck.Newer(q.reader.dir, q.db.MaxVersion())
	if err != nil {
		return err
	}
	if commits > 1 {
		q.disk.log.Error("the queue has lost its latest commits: the log that held them is gone; what they queued is read again from where the sources' positions now stand, and may be delivered twice under the same webhook-id",
			"events_and_records", entries, "commits", commits, "state", q.disk.dir)
	}
	if !repaired && commits <= 1 {
		return nil
	}
	lost, err := q.unreadable()
	if err != nil || len(lost) == 0 {
		return err
	}
	ids := make([]string, 0, maxNamed)
	for _, u := range lost[:min(len(lost), maxNamed)] {
		ids = append(ids, u.id+" of "+seqTime(u.seq).UTC().Format(time.RFC3339))
	}
	q.disk.log.Error("events in the queue cannot be read: what the disk holds of them is damaged; they are queued again when they are read again, as by: intellidocs-agent ingest LOG",
		"events", len(lost), "queued_from", seqTime(lost[0].seq).UTC(), "queued_until", seqTime(lost[len(lost)-1].seq).UTC(), "ids", ids)
	return nil
}

// damagedEvent is an event whose bytes do not match their checksum.
type damagedEvent struct {
	seq uint64
	id  string
}

// unreadable reads all events and returns those that it cannot, in the order they were queued.
func (s *store) unreadable() (lost []damagedEvent, err error) {
	bad := map[uint64]string{}
	err = s.view(func(txn *badger.Txn) error {
		for key := range keysOf(txn, kindEvent) {
			if _, err := loadMeta(txn, seqOf(key[1:])); errors.Is(err, ErrDamaged) {
				bad[seqOf(key[1:])] = ""
			}
		}
		if len(bad) == 0 {
			return nil
		}
		// The id is in the event itself; else only where ids are remembered.
		for key := range keysOf(txn, kindDedup) {
			if value, err := get(txn, key, "the id of an event"); err == nil {
				if _, ok := bad[seqOf(value)]; ok {
					bad[seqOf(value)] = string(key[1:])
				}
			}
		}
		return nil
	})
	for seq, id := range bad {
		lost = append(lost, damagedEvent{seq, id})
	}
	slices.SortFunc(lost, func(a, b damagedEvent) int { return cmp.Compare(a.seq, b.seq) })
	return lost, err
}

// keysOf walks the keys of a kind.
func keysOf(txn *badger.Txn, kind byte) func(yield func(key []byte) bool) {
	return func(yield func(key []byte) bool) {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if !yield(it.Item().KeyCopy(nil)) {
				return
			}
		}
	}
}
