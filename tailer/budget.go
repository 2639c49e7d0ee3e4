package tailer

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Budget bounds how many bytes all sources that share it hold at once, from reading a batch
// until it is kept: what is parsed of them, and what the queue makes of them, takes several
// times as much. Sources take turns, first come, first served; those with little to read have
// a lane of their own, so that they never wait for the large batches of others.
type Budget struct {
	mu           sync.Mutex
	large, small lane
	packs        []*pack // not in use
}

// lane is a line of those who wait for room of the same kind.
type lane struct {
	size, used int64
	waiting    []*turn
}

// DefaultBudget is one full batch at a time, or several smaller ones.
const DefaultBudget = DefaultBatchBytes

// littleOf is which part of the budget is little.
const littleOf = 8

// NewBudget makes a budget of so many bytes, and half as many for those with little to read.
func NewBudget(size int64) *Budget {
	return &Budget{large: lane{size: size}, small: lane{size: size / 2}}
}

// turn is a share of the budget, with room for what is read.
type turn struct {
	lane    *lane
	bytes   int64
	granted chan struct{}
	pack    *pack
}

// take waits for its turn to hold n bytes; what is more than the whole budget goes alone.
// While it waits, meanwhile runs again and again. Its error is ctx's.
func (b *Budget) take(ctx context.Context, n int64, every time.Duration, meanwhile func(context.Context)) (*turn, error) {
	in := &b.large
	if n <= b.large.size/littleOf {
		in = &b.small
	}
	t := &turn{lane: in, bytes: min(max(n, 1), in.size), granted: make(chan struct{})}
	b.mu.Lock()
	in.waiting = append(in.waiting, t)
	b.grant(in)
	b.mu.Unlock()
	select {
	case <-t.granted: // usually at once
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
			b.release(t)
			return nil, ctx.Err()
		case <-tick.C:
			meanwhile(ctx)
		}
	}
}

// grant lets those go whose turn it is. mu is held.
func (b *Budget) grant(in *lane) {
	for len(in.waiting) > 0 && in.used+in.waiting[0].bytes <= in.size {
		t := in.waiting[0]
		in.waiting = slices.Delete(in.waiting, 0, 1)
		in.used += t.bytes
		t.pack = &pack{}
		if n := len(b.packs); n > 0 {
			t.pack, b.packs = b.packs[n-1], b.packs[:n-1]
		}
		close(t.granted)
	}
}

// sparePacks is how many are kept for the next turns.
const sparePacks = 2

// release ends a turn, or leaves the line.
func (b *Budget) release(t *turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := t.lane
	if i := slices.Index(in.waiting, t); i >= 0 {
		in.waiting = slices.Delete(in.waiting, i, i+1)
		b.grant(in)
		return
	}
	in.used -= t.bytes
	if t.pack.reset(); len(b.packs) < sparePacks {
		b.packs = append(b.packs, t.pack)
	}
	b.grant(in)
}

// share is one source's part in a budget: its turn, and the pack it reads into meanwhile.
type share struct {
	budget *Budget
	// every is how often meanwhile runs while a turn is waited for.
	every     time.Duration
	meanwhile func(context.Context)
	turn      *turn
	pack      *pack // there during a turn
}

// newShare makes a budget of its own where there is none to share.
func newShare(b *Budget, every time.Duration, meanwhile func(context.Context)) share {
	if b == nil {
		b = NewBudget(DefaultBudget)
	}
	return share{budget: b, every: every, meanwhile: meanwhile}
}

// takeTurn waits until there is room for so many bytes, unless it has a turn.
func (s *share) takeTurn(ctx context.Context, n int64) (err error) {
	if s.turn != nil {
		return nil
	}
	if s.turn, err = s.budget.take(ctx, n, s.every, s.meanwhile); err == nil {
		s.pack = s.turn.pack
	}
	return err
}

// endTurn ends the turn, if there is one.
func (s *share) endTurn() {
	if s.turn != nil {
		s.budget.release(s.turn)
		s.turn, s.pack = nil, nil
	}
}
