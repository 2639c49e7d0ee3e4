package dispatch

import (
	"sync"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// How many deliveries a worker claims before there is a slot for them, so that a slot need not
// wait for the store: reading waits for the commit under way, during which hundreds can be sent.
// All workers share aheadOfAll, as far as each has its least.
const (
	leastAhead = 32
	mostAhead  = 256
	aheadOfAll = 512
)

// readAhead is one worker's share, of so many.
func readAhead(workers int) int {
	return min(max(leastAhead, aheadOfAll/max(workers, 1)), mostAhead)
}

// claims are the deliveries that a worker has read from the store and that must not be read
// as due again. Each is ready, then under way, then done once its outcome is durable:
//
//	Due → add → [ready] → take → attempt → recorded → complete → [done] → release
//	               └─ putBack ─ (nothing may be attempted now)
//
// The worker's goroutine adds, puts back and releases; senders take and the recorder
// completes them beside it. Where the webhook is given to another agent, those that are ready
// are discarded: they are done without an attempt.
type claims struct {
	// all are of the worker's goroutine alone. Nothing leaves them during a call of Store.Due:
	// it may have read a delivery before the outcome of its attempt was recorded.
	all map[string]bool

	mu    sync.Mutex
	ready []queue.Delivery // in the order of their attempts
	taken int              // those under way
	done  []string         // IDs that are still in all
}

func newClaims() *claims { return &claims{all: map[string]bool{}} }

func (c *claims) has(id string) bool { return c.all[id] }

func (c *claims) empty() bool { return len(c.all) == 0 }

func (c *claims) add(deliveries []queue.Delivery) {
	for i := range deliveries {
		c.all[deliveries[i].ID] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, deliveries...)
}

// waiting returns how many are ready, and the size of the first one's event.
func (c *claims) waiting() (n, firstSize int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) == 0 {
		return 0, 0
	}
	return len(c.ready), c.ready[0].Size
}

// take removes the first that is ready, unless its event is larger than maxSize.
func (c *claims) take(maxSize int) (queue.Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) == 0 || c.ready[0].Size > maxSize {
		return queue.Delivery{}, false
	}
	d := c.ready[0]
	c.ready = c.ready[1:]
	c.taken++
	return d, true
}

// unfinished counts those that were taken and not released.
func (c *claims) unfinished() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all) - len(c.ready)
}

// putBack gives up those that are ready, and reports whether there were any.
func (c *claims) putBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	some := len(c.ready) > 0
	for i := range c.ready {
		delete(c.all, c.ready[i].ID)
	}
	c.ready = nil
	return some
}

// complete lets a delivery be claimed again after the next release, if it is still due.
func (c *claims) complete(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken--
	c.done = append(c.done, id)
}

// underWay counts those whose attempts' outcomes are not durable yet.
func (c *claims) underWay() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken
}

// discard is putBack for whoever is not the worker's goroutine: with the next release.
func (c *claims) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.ready {
		c.done = append(c.done, c.ready[i].ID)
	}
	c.ready = nil
}

// release forgets the completed ones.
func (c *claims) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.done {
		delete(c.all, id)
	}
	c.done = c.done[:0]
}
