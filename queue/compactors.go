package queue

import (
	"slices"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/dgraph-io/badger/v4"
)

// compactors are Badger's goroutines that merge tables. Each looks twenty times a second whether
// there is anything to do: in an agent that has nothing to do, waking them is most of what it takes.
// There is no option for it, and without them writing stands still once there are many tables. So
// they rest while nothing is written and nothing is to be merged. The zero value has them at work,
// as a database is opened.
type compactors struct {
	mu      sync.Mutex
	resting bool
	writing int       // calls of begin without their end
	wrote   time.Time // when the last of them ended
}

// restAfter is for how long nothing must have been written.
const restAfter = 2 * time.Second

// begin comes before whatever writes to the database, and before what stops and starts the
// compactors itself; end after it.
func (c *compactors) begin(db *badger.DB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing++; c.resting {
		c.resting = false
		startCompactions(db)
	}
}

func (c *compactors) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing--
	c.wrote = time.Now()
}

// rest has them stop, unless they are needed. The database must be open.
func (c *compactors) rest(db *badger.DB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting || c.writing > 0 || time.Since(c.wrote) < restAfter ||
		slices.ContainsFunc(db.Levels(), func(l badger.LevelInfo) bool { return l.Score >= 1 }) {
		return
	}
	c.resting = true
	stopCompactions(db)
}

// restCompactors is compactors.rest, unless the database is closed.
func (s *store) restCompactors() {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if !s.db.IsClosed() && s.failure.err() == nil {
		s.compactors.rest(s.db)
	}
}

// What Badger does itself to keep the compactors from a database while it drops parts of it. A
// version without these does not link.

//go:linkname startCompactions github.com/dgraph-io/badger/v4.(*DB).startCompactions
func startCompactions(*badger.DB)

//go:linkname stopCompactions github.com/dgraph-io/badger/v4.(*DB).stopCompactions
func stopCompactions(*badger.DB)
