package queue

import (
	"bytes"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// marks remember, for each prefix of keys that is read from its low end, from which key
// on there is something. Badger keeps deleted keys for a while, and finding the head of
// a queue behind a million of them takes seconds.
type marks struct {
	mu  sync.Mutex
	gen uint64
	of  map[string]*mark
}

type mark struct {
	low   []byte  // nil: from the prefix on
	added []added // the latest, oldest first
	lost  uint64  // gen of the latest that added no longer holds
}

// added is the lowest key that a round put under a mark's prefix.
type added struct {
	gen uint64
	key []byte
}

const (
	// maxAdded bounds how many rounds a reader may take without its mark staying where it was.
	maxAdded = 64
	// maxMarks bounds the memory: events may be of ever new types. Without a mark a reader
	// begins with the prefix.
	maxMarks = 1000
)

func (m *marks) init() { m.of = map[string]*mark{} }

// token is taken before a transaction is opened: what is added after it may be missing
// from what the transaction sees.
func (m *marks) token() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gen
}

// from is where to begin.
func (m *marks) from(prefix []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[string(prefix)]; k != nil && k.low != nil {
		return k.low
	}
	return prefix
}

// found raises a mark to the first key that a reader saw, but not above what was added
// since the reader's token.
func (m *marks) found(prefix, key []byte, token uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of[string(prefix)]
	if k == nil {
		for old := range m.of {
			if len(m.of) < maxMarks {
				break
			}
			delete(m.of, old)
		}
		k = &mark{}
		// Rounds under a prefix without a mark are not kept.
		if k.lost = m.gen; token == m.gen {
			k.low = key
		}
		m.of[string(prefix)] = k
		return
	}
	if k.lost > token {
		return
	}
	for _, a := range k.added {
		if a.gen > token && bytes.Compare(a.key, key) < 0 {
			key = a.key
		}
	}
	k.low = key
}

// lower makes the marks cover keys that were added.
func (m *marks) lower(keys []placed) {
	if len(keys) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gen++
	for _, p := range keys {
		if k := m.of[p.mark]; k != nil {
			k.add(m.gen, p.key)
		}
	}
}

func (k *mark) add(gen uint64, key []byte) {
	if k.low != nil && bytes.Compare(key, k.low) < 0 {
		k.low = key
	}
	if n := len(k.added); n > 0 && k.added[n-1].gen == gen {
		if bytes.Compare(key, k.added[n-1].key) < 0 {
			k.added[n-1].key = key
		}
		return
	}
	if len(k.added) == maxAdded {
		k.lost = k.added[0].gen
		k.added = append(k.added[:0], k.added[1:]...)
	}
	k.added = append(k.added, added{gen, key})
}

// ascend walks the keys with a prefix from its mark on, until f says no. token is from
// before txn was opened.
func (q *Queue) ascend(txn *badger.Txn, token uint64, prefix []byte, f func(key []byte) bool) {
	from := q.marks.from(prefix)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	first := true
	for it.Seek(from); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if first {
			q.marks.found(prefix, key, token)
			first = false
		}
		if !f(key) {
			return
		}
	}
	if first {
		q.marks.found(prefix, after(prefix), token)
	}
}
