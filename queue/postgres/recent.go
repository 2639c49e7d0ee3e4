package postgres

import "sync"

// How much recent keeps: what dozens of claims read ahead, which several webhooks want.
const (
	maxRecent      = 1024
	maxRecentBytes = 1 << 20
	recentOverhead = 700 // about what an event's metadata take
)

// recent are the events that were read last, with their bodies: each is wanted when its deliveries
// are claimed, sent and recorded. An event never changes under its seq. The zero value is ready.
type recent struct {
	mu    sync.Mutex
	of    map[int64]*storedEvent
	order []int64 // the one that was read first at the beginning
	bytes int
}

func (r *recent) get(seq int64) *storedEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[seq]
}

func (r *recent) put(seq int64, e *storedEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[int64]*storedEvent{}
	}
	if r.of[seq] != nil {
		return
	}
	r.of[seq] = e
	r.order = append(r.order, seq)
	for r.bytes += len(e.Body) + recentOverhead; len(r.order) > maxRecent || r.bytes > maxRecentBytes; r.order = r.order[1:] {
		r.bytes -= len(r.of[r.order[0]].Body) + recentOverhead
		delete(r.of, r.order[0])
	}
}
