package dispatch

import (
	"slices"
	"sync"
)

// How many bytes of events are under way at once, of all webhooks together. A body is in
// memory from its reading to the end of its attempt, and once more in the system's buffers.
const (
	budgetBytes = 6 << 20
	// smallBody is not counted: a webhook has no more of them under way than its
	// concurrency allows, and what is small never waits for what is large.
	smallBody = 16 << 10
	// hugeBody goes alone, beside the budget: waiting for that much room it would keep all
	// others out meanwhile, or never find it.
	hugeBody = budgetBytes / 4
)

// budget shares the bytes out. A webhook that has proved to answer never waits for those
// that have not: together they get half, so that any number of receivers that hang leaves
// room. And none gets more than half of what is free, unless it holds nothing, so that
// there is room for the next one. What does not fit waits its turn.
type budget struct {
	mu       sync.Mutex
	used     int64
	unproven int64 // of used
	held     map[*worker]int64
	huge     bool // one is under way
	lines    map[class][]*worker
}

// class is what an attempt is treated by. Each has a line of its own.
type class struct{ proven, huge bool }

// share is what one attempt holds of the budget; the zero value is nothing.
type share struct {
	class
	bytes int64
}

func newBudget() *budget {
	return &budget{held: map[*worker]int64{}, lines: map[class][]*worker{}}
}

// take asks for room for a body. Without it w stands in line, and is poked when there may be.
func (b *budget) take(w *worker, size int64, proven bool) (share, bool) {
	if size <= smallBody {
		return share{}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := class{proven, size > hugeBody}
	line := b.lines[c]
	if len(line) > 0 && line[0] != w || !b.fits(w, size, c) {
		if !slices.Contains(line, w) {
			b.quit(w)
			b.lines[c] = append(b.lines[c], w)
		}
		return share{}, false
	}
	b.quit(w)
	if c.huge {
		b.huge = true
	} else {
		b.used += size
		b.held[w] += size
		if !proven {
			b.unproven += size
		}
	}
	b.poke() // there may be room for the next one too
	return share{c, size}, true
}

func (b *budget) fits(w *worker, size int64, c class) bool {
	switch {
	case c.huge:
		return !b.huge && (c.proven || len(b.lines[class{proven: true, huge: true}]) == 0)
	case b.used+size > budgetBytes, !c.proven && b.unproven+size > budgetBytes/2:
		return false
	}
	return b.held[w] == 0 || b.held[w]+size <= (budgetBytes-b.used)/2
}

// give returns what an attempt held.
func (b *budget) give(w *worker, s share) {
	if s.bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.poke()
	if s.huge {
		b.huge = false
		return
	}
	b.used -= s.bytes
	if b.held[w] -= s.bytes; b.held[w] == 0 {
		delete(b.held, w)
	}
	if !s.proven {
		b.unproven -= s.bytes
	}
}

// leave is for a webhook that has nothing to send after all.
func (b *budget) leave(w *worker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quit(w) {
		b.poke()
	}
}

// quit takes a webhook out of its line and reports whether it stood in one.
func (b *budget) quit(w *worker) bool {
	for c, line := range b.lines {
		if i := slices.Index(line, w); i >= 0 {
			b.lines[c] = slices.Delete(line, i, i+1)
			return true
		}
	}
	return false
}

// poke wakes those whose turn it is.
func (b *budget) poke() {
	for _, line := range b.lines {
		if len(line) > 0 {
			line[0].poke()
		}
	}
}
