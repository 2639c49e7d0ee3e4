package queue

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// counts are how many deliveries there are of each kind: kept in the database with every
// change, and in memory for those who ask.
type counts struct {
	mu       sync.Mutex
	of       map[indexKey]int64
	rejected int64
}

func (c *counts) load(txn *badger.Txn) error {
	c.of = map[indexKey]int64{}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindCount}, PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		co, err := parseCountKey(it.Item().KeyCopy(nil))
		if err != nil {
			return err
		}
		n, err := get(txn, it.Item().KeyCopy(nil), "a count")
		if err != nil {
			return err
		}
		c.of[co] = int64(binary.BigEndian.Uint64(n))
	}
	n, err := get(txn, metaRejected, "the number of rejected records")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		c.rejected = int64(binary.BigEndian.Uint64(n))
	}
	return err
}

// webhooks returns the names of those that have deliveries.
func (c *counts) webhooks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for co := range c.of {
		names[co.webhook] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// count writes the counts that the transaction changes and returns them.
func (w *writeTxn) count() (map[indexKey]int64, error) {
	c := &w.wr.counts
	c.mu.Lock()
	now := make(map[indexKey]int64, len(w.diff))
	for co, d := range w.diff {
		now[co] = c.of[co] + d
	}
	rejected := c.rejected + w.rejectedDiff
	c.mu.Unlock()
	for co, n := range now {
		var err error
		if n == 0 {
			err = w.delete(co.countKey())
		} else {
			err = w.set(co.countKey(), seal(u64(nil, uint64(n))))
		}
		if err != nil {
			return nil, err
		}
	}
	if w.rejectedDiff == 0 {
		return now, nil
	}
	return now, w.set(metaRejected, seal(u64(nil, uint64(rejected))))
}

func (c *counts) add(now map[indexKey]int64, rejected int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected += rejected
	for co, n := range now {
		if n == 0 {
			delete(c.of, co)
		} else {
			c.of[co] = n
		}
	}
}

// where returns those that have any deliveries and that f accepts.
func (c *counts) where(f func(indexKey) bool) map[indexKey]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[indexKey]int64{}
	for co, n := range c.of {
		if f(co) {
			out[co] = n
		}
	}
	return out
}

func (c *counts) rejectedRecords() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rejected
}

// waiting reports whether any delivery is unfinished.
func (c *counts) waiting() bool {
	return len(c.where(func(co indexKey) bool { return co.status == Pending || co.status == Retrying })) > 0
}

// Counts are the deliveries of each webhook by status. Webhooks that are no longer
// configured are there as long as they have deliveries.
func (rd *reader) Counts() map[string]map[Status]int64 {
	out := map[string]map[Status]int64{}
	for co, n := range rd.counts.where(func(indexKey) bool { return true }) {
		if out[co.webhook] == nil {
			out[co.webhook] = map[Status]int64{}
		}
		out[co.webhook][co.status] += n
	}
	return out
}
