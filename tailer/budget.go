package tailer

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Budget bounds how many bytes all sources that share it hold at once, from reading a batch
// until it is kept: what is parsed of them, and what the queue makes of them, takes several
// times as much. Sources take turns, first come, first served.
type Budget struct {
	size int64

	mu      sync.Mutex
	used    int64
	waiting []*turn
	packs   []*pack // not in use
}

// DefaultBudget is one full batch at a time, or several small ones.
const DefaultBudget = DefaultBatchBytes

// NewBudget makes a budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size} }

// turn is a share of the budget, with room for what is read.
type turn struct {
	bytes   int64
	granted chan struct{}
	pack    *pack
}

// take waits for its turn to hold n bytes; what is more than the whole budget goes alone.
// While it waits, meanwhile runs again and again. Its error is ctx's.
func (b *Budget) take(ctx context.Context, n int64, every time.Duration, meanwhile func(context.Context)) (*turn, error) {
	t := &turn{bytes: min(max(n, 1), b.size), granted: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, t)
	b.grant()
	b.mu.Unlock()
	select {
	case <-t.granted: // as a rule at once
		return t, nil
	default:
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-t.granted:
			return t, nil
		case <-ctx.Done():
			b.give(t)
			return nil, ctx.Err()
		case <-tick.C:
			meanwhile(ctx)
		}
	}
}

// grant lets those go whose turn it is. mu is held.
func (b *Budget) grant() {
	for len(b.waiting) > 0 && b.used+b.waiting[0].bytes <= b.size {
		t := b.waiting[0]
		b.waiting = slices.Delete(b.waiting, 0, 1)
		b.used += t.bytes
		t.pack = &pack{}
		if n := len(b.packs); n > 0 {
			t.pack, b.packs = b.packs[n-1], b.packs[:n-1]
		}
		close(t.granted)
	}
}

// sparePacks is how many are kept for the next turns.
const sparePacks = 2

// give ends a turn, or leaves the line.
func (b *Budget) give(t *turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, t); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.grant()
		return
	}
	b.used -= t.bytes
	if t.pack.reset(); len(b.packs) < sparePacks {
		b.packs = append(b.packs, t.pack)
	}
	b.grant()
}
