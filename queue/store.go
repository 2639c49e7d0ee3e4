package queue

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dawnsystem/intellidocs-agent/queue/mapped"
)

// store is the open database with what is derived from it in memory, and how it is read.
// Only the writer changes it.
type store struct {
	dir      string // of the database
	db       *badger.DB
	now      func() time.Time
	failure  *failure
	instance string // of delivery IDs
	counts   counts
	hints    seekHints
	recent   recentEvents

	compactors compactors
	touched    atomic.Bool // the database was read or written since the memory was last looked at

	reading sync.RWMutex // held by readers; the database is closed only without them
}

// view reads. Values must be copied and the transaction be short: an open one keeps
// space from being reclaimed.
func (s *store) view(f func(txn *badger.Txn) error) (err error) {
	defer func() {
		// A read of a damaged table panics within Badger.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	if err := s.failure.err(); err != nil {
		return err
	}
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.db.IsClosed() {
		return ErrClosed
	}
	s.touched.Store(true)
	return s.db.View(f)
}

// close closes the database once nobody reads. The panics of a damaged one are errors.
func (s *store) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: close: %v", ErrDamaged, p)
		}
	}()
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := s.failure.err(); err != nil {
		return nil // closing writes; the lock goes with the process
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the queue: %w", err)
	}
	return nil
}

// get reads a sealed value.
func get(txn *badger.Txn, key []byte, what string) ([]byte, error) {
	item, err := txn.Get(key)
	return valueOf(item, err, what)
}

// valueOf reads the sealed value that a transaction returned.
func valueOf(item *badger.Item, err error, what string) ([]byte, error) {
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	var value []byte
	err = item.Value(func(v []byte) error {
		mapped.ReadAtOnce(v)
		value = bytes.Clone(v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrDamaged, what, err)
	}
	return unseal(what, value)
}

// read reads a sealed value, nil where there is none.
func (s *store) read(key []byte, what string) (value []byte, err error) {
	err = s.view(func(txn *badger.Txn) error {
		value, err = get(txn, key, what)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return value, err
}

// Cursor is where reading a source continues, nil where it was never read, and how often others
// have moved it: never, there is one reader.
func (s *store) Cursor(source string) (cursor []byte, gen int64, err error) {
	cursor, err = s.read(cursorKey(source), "the cursor of "+source)
	return cursor, 0, err
}
