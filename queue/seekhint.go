package queue

import (
	"bytes"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// seekHints remember, for each prefix of keys that is read from its low end, from which key
// on there is something. Badger keeps deleted keys for a while, and finding the head of
// a queue behind a million of them takes seconds.
type seekHints struct {
	mu  sync.Mutex
	gen uint64
	of  map[string]*seekHint
}

type seekHint struct {
	low   []byte  // nil: from the prefix on
	added []added // the latest, oldest first
	lost  uint64  // gen of the latest that added no longer holds
}

// added is the lowest key that a commit put under a hint's prefix.
type added struct {
	gen uint64
	key []byte
}

const (
	// maxAdded bounds how many commits a reader may take without its hint staying where it was.
	maxAdded = 64
	// maxHints bounds the memory: events may be of ever new types. Without a hint a reader
	// begins with the prefix.
	maxHints = 1000
)

func (h *seekHints) init() { h.of = map[string]*seekHint{} }

// token is taken before a transaction is opened: what is added after it may be missing
// from what the transaction sees.
func (h *seekHints) token() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gen
}

// start is where to begin.
func (h *seekHints) start(prefix []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.of[string(prefix)]; k != nil && k.low != nil {
		return k.low
	}
	return prefix
}

// raise moves a hint to the first key that a reader saw, but not above what was added
// since the reader's token.
func (h *seekHints) raise(prefix, key []byte, token uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.of[string(prefix)]
	if k == nil {
		for old := range h.of {
			if len(h.of) < maxHints {
				break
			}
			delete(h.of, old)
		}
		k = &seekHint{}
		// Commits under a prefix without a hint are not remembered.
		if k.lost = h.gen; token == h.gen {
			k.low = key
		}
		h.of[string(prefix)] = k
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

// lower makes the hints cover keys that were added.
func (h *seekHints) lower(keys []placed) {
	if len(keys) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gen++
	for _, p := range keys {
		if k := h.of[string(p.prefix)]; k != nil {
			k.add(h.gen, p.key)
		}
	}
}

func (k *seekHint) add(gen uint64, key []byte) {
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

// ascend walks the keys with a prefix from its hint on, until f says no. token is from
// before txn was opened. f gets the key, which is its own, and the mark it was set with.
func (s *store) ascend(txn *badger.Txn, token uint64, prefix []byte, f func(key []byte, mark byte) bool) {
	from := s.hints.start(prefix)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	first := true
	for it.Seek(from); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if first {
			s.hints.raise(prefix, key, token)
			first = false
		}
		if !f(key, it.Item().UserMeta()) {
			return
		}
	}
	if first {
		s.hints.raise(prefix, after(prefix), token)
	}
}
