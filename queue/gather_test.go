package queue

import (
	"slices"
	"testing"
	"testing/synctest"
)

// What is small goes first, together; of what is large each goes by itself, in the order in which it
// came, with what is small between them. Nothing that was taken is left when the queue is closed.
func TestWriter_WhatIsSmallWaitsForOneThatIsLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wr := &writer{requests: make(chan *request), quit: make(chan struct{}), room: cost{keys: 10}}
		var g gathered
		wait := func(reqs ...*request) {
			for _, req := range reqs {
				go func() { wr.requests <- req }()
				synctest.Wait()
			}
		}
		gathers := func(small, large []*request) {
			t.Helper()
			if !wr.gather(&g) || !slices.Equal(g.small, small) || !slices.Equal(g.large, large) {
				t.Fatalf("small %v large %v, not %v and %v", g.small, g.large, small, large)
			}
			if len(g.large) > 0 {
				g.large = slices.Delete(g.large, 0, 1) // as if it were committed
			}
		}
		large := []*request{{large: true}, {large: true}, {large: true}}
		small := []*request{{cost: cost{keys: 4}}, {cost: cost{keys: 4}}, {cost: cost{keys: 4}}, {cost: cost{keys: 4}}}
		wait(large[0], small[0], large[1], small[1])
		gathers(small[:2], slices.Clone(large[:2]))
		wait(small[2], large[2])
		gathers(small[2:3], slices.Clone(large[1:]))
		wait(small[3])
		close(wr.quit)
		gathers(small[3:], slices.Clone(large[2:]))
		if wr.gather(&g) {
			t.Errorf("closed, it has taken %v %v", g.small, g.large)
		}
	})
}

// No more is taken than one transaction holds, and nothing that must come after what is exclusive.
func TestWriter_GathersAsMuchAsATransactionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wr := &writer{requests: make(chan *request), quit: make(chan struct{}), room: cost{keys: 10}}
		reqs := []*request{{cost: cost{keys: 6}}, {cost: cost{keys: 6}}, {cost: cost{keys: 1}}, {exclusive: func() error { return nil }}, {}}
		for _, req := range reqs {
			go func() { wr.requests <- req }()
			synctest.Wait()
		}
		var g gathered
		wr.gather(&g)
		if !slices.Equal(g.small, reqs[:2]) || g.exclusive != nil {
			t.Errorf("%v and %v were taken", g.small, g.exclusive)
		}
		wr.gather(&g)
		if !slices.Equal(g.small, reqs[2:3]) || g.exclusive != reqs[3] {
			t.Errorf("%v and %v were taken", g.small, g.exclusive)
		}
		wr.gather(&g)
		if !slices.Equal(g.small, reqs[4:]) || g.exclusive != nil {
			t.Errorf("%v and %v were taken", g.small, g.exclusive)
		}
	})
}
