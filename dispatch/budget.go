package dispatch

import (
	"slices"
	"sync"
)

// How much is under way at once, of all webhooks together. A large body is in memory from its
// reading to the end of its attempt, and once more in the system's buffers: it counts by its
// bytes. Of a small one its connection is the most, so those are counted: what is small never
// waits for what is large.
const (
	largeBytes = 6 << 20
	// largeIfSmall is that where there is little memory (Options.SmallMemory): what is in use beside it
	// leaves the collector and the pages of files so little room that both would work without a pause.
	largeIfSmall = 3 << 20
	smallOnes    = 256
	// smallBody is up to where a body is small.
	smallBody = 16 << 10
	// leastBytes is what the smallest of the large ones counts for, with its connection.
	leastBytes = 64 << 10
	// hugeBody goes alone, beside the budget: waiting for that much room it would keep all
	// others out meanwhile, or never find it.
	hugeBody = largeIfSmall / 2
)

// budgets are what attempts need a share of: each of the one for its size.
type budgets struct{ small, large *budget }

func newBudgets(smallMemory bool) *budgets {
	large := int64(largeBytes)
	if smallMemory {
		large = largeIfSmall
	}
	return &budgets{newBudget(smallOnes), newBudget(large)}
}

// take asks for what an attempt with a body of a size needs. Without it w stands in line, and
// is poked when it may be there.
func (b *budgets) take(w *worker, size int64, proven bool) (share, bool) {
	if size <= smallBody {
		b.large.leave(w)
		return b.small.take(w, 1, class{proven: proven})
	}
	b.small.leave(w)
	return b.large.take(w, max(size, leastBytes), class{proven: proven, huge: size > hugeBody})
}

// leave is for a webhook that has nothing to send after all.
func (b *budgets) leave(w *worker) {
	b.small.leave(w)
	b.large.leave(w)
}

// budget shares the bytes out. A webhook that has proved to answer never waits for those
// that have not: together they get half, so that any number of receivers that hang leaves
// room; and half of that half is for those that hold nothing yet, so that one which was never
// tried need not wait for them. And none gets more than half of what is free, unless it holds
// nothing, so that there is room for the next one. What does not fit waits its turn.
type budget struct {
	limit int64

	mu       sync.Mutex
	used     int64
	unproven int64 // of used
	held     map[*worker]int64
	huge     bool // one is under way
	lines    map[class][]*worker
}

// class is what an attempt is treated by. Each has a line of its own. In that of webhooks which
// hold something already (more) one may wait although others fit, and those others go first.
type class struct{ proven, huge, more bool }

// share is what one attempt holds of a budget.
type share struct {
	class
	of   *budget
	size int64
}

func newBudget(limit int64) *budget {
	return &budget{limit: limit, held: map[*worker]int64{}, lines: map[class][]*worker{}}
}

// take asks for room. Without it w stands in line, and is poked when there may be.
func (b *budget) take(w *worker, size int64, c class) (share, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.more = !c.huge && b.held[w] > 0
	line := b.lines[c]
	if len(line) > 0 && line[0] != w || !b.fits(w, size, c) {
		if !slices.Contains(line, w) {
			if b.quit(w) {
				b.poke() // it may have kept those behind it
			}
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
		if !c.proven {
			b.unproven += size
		}
	}
	b.poke() // there may be room for the next one too
	return share{c, b, size}, true
}

func (b *budget) fits(w *worker, size int64, c class) bool {
	switch {
	case c.huge:
		return !b.huge && (c.proven || len(b.lines[class{proven: true, huge: true}]) == 0)
	case b.used+size > b.limit, !c.proven && b.unproven+size > b.limit/2:
		return false
	case !c.proven && c.more && b.unproven+size > b.limit/4:
		return false
	}
	return !c.more || len(b.lines[class{proven: c.proven}]) == 0 && b.held[w]+size <= (b.limit-b.used)/2
}

// release returns what an attempt held.
func (s share) release(w *worker) {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	b.poke()
	if s.huge {
		b.huge = false
		return
	}
	b.used -= s.size
	if b.held[w] -= s.size; b.held[w] == 0 {
		delete(b.held, w)
	}
	if !s.proven {
		b.unproven -= s.size
	}
}

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
