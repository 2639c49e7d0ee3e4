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
	of       map[combo]int64
	rejected int64
}

func (c *counts) load(txn *badger.Txn) error {
	c.of = map[combo]int64{}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindCount}, PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		co, err := comboOf(it.Item().KeyCopy(nil))
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

// webhooks names those that have deliveries.
func (c *counts) webhooks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for co := range c.of {
		names[co.webhook] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// count writes the counts that the round changes and gives them.
func (r *round) count() (map[combo]int64, error) {
	c := &r.q.counts
	c.mu.Lock()
	now := make(map[combo]int64, len(r.diff))
	for co, d := range r.diff {
		now[co] = c.of[co] + d
	}
	rejected := c.rejected + r.rej
	c.mu.Unlock()
	for co, n := range now {
		var err error
		if n == 0 {
			err = r.delete(co.countKey())
		} else {
			err = r.set(co.countKey(), seal(u64(nil, uint64(n))))
		}
		if err != nil {
			return nil, err
		}
	}
	if r.rej == 0 {
		return now, nil
	}
	return now, r.set(metaRejected, seal(u64(nil, uint64(rejected))))
}

func (c *counts) add(now map[combo]int64, rejected int64) {
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

// combos gives those that have any deliveries and that f says yes to.
func (c *counts) combos(f func(combo) bool) map[combo]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[combo]int64{}
	for co, n := range c.of {
		if f(co) {
			out[co] = n
		}
	}
	return out
}

// waiting tells whether any delivery is unfinished.
func (c *counts) waiting() bool {
	return len(c.combos(func(co combo) bool { return co.status == Pending || co.status == Retrying })) > 0
}

// Counts are the deliveries of each webhook by status. Webhooks that are no longer
// configured are there as long as they have deliveries.
func (q *Queue) Counts() map[string]map[Status]int64 {
	out := map[string]map[Status]int64{}
	for co, n := range q.counts.combos(func(combo) bool { return true }) {
		if out[co.webhook] == nil {
			out[co.webhook] = map[Status]int64{}
		}
		out[co.webhook][co.status] += n
	}
	return out
}
