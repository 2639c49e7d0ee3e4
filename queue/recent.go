package queue

import (
	"slices"
	"sync"
)

// How much recentEvents keep. Deliveries are claimed by dozens, and events are wanted by a few
// webhooks at about the same time.
const (
	maxRecent      = 1024
	maxRecentBytes = 1 << 20
	// recentOverhead is about what the metadata of an event takes in memory.
	recentOverhead = 700
)

// recentEvents are the events that were read last, decoded, with their bodies: each is wanted
// when its deliveries are claimed, sent and recorded. An event never changes under its seq, and
// those who get one change nothing of it. Large ones are not kept. The zero value is ready.
type recentEvents struct {
	mu    sync.Mutex
	of    map[uint64]*storedEvent
	order []uint64 // the one that was read first at the beginning
	bytes int
	// deletions counts what was deleted, in memory or not: what is read of an older snapshot may be
	// of an event that is gone by now, and would stay here.
	deletions uint64
}

// token is for put, taken before the transaction is opened in which the event is read.
func (r *recentEvents) token() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deletions
}

func (r *recentEvents) get(seq uint64) *storedEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[seq]
}

func (r *recentEvents) put(seq uint64, e *storedEvent, token uint64) {
	if len(e.Body) >= ownRecord {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if token != r.deletions {
		return
	}
	if r.of == nil {
		r.of = map[uint64]*storedEvent{}
	}
	if r.of[seq] != nil {
		return
	}
	r.of[seq] = e
	r.order = append(r.order, seq)
	for r.bytes += e.memory(); len(r.order) > maxRecent || r.bytes > maxRecentBytes; r.order = r.order[1:] {
		r.bytes -= r.of[r.order[0]].memory()
		delete(r.of, r.order[0])
	}
}

// forget drops an event that is deleted.
func (r *recentEvents) forget(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deletions++
	if r.of[seq] == nil {
		return // as nearly always: what is deleted is old
	}
	if i := slices.Index(r.order, seq); i >= 0 {
		r.bytes -= r.of[seq].memory()
		delete(r.of, seq)
		r.order = slices.Delete(r.order, i, i+1)
	}
}

func (e *storedEvent) memory() int { return len(e.Body) + recentOverhead }
