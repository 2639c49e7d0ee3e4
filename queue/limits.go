package queue

import (
	"sync"
	"time"
)

// Limits are those of Options, which may change while a queue is open. Engines share this.
type Limits struct {
	mu                     sync.Mutex
	maxSize                int64
	retention, dedupWindow time.Duration
}

// NewLimits returns limits that begin so.
func NewLimits(maxSize int64, retention, dedupWindow time.Duration) *Limits {
	return &Limits{maxSize: maxSize, retention: retention, dedupWindow: dedupWindow}
}

// Get returns the limits of this moment.
func (l *Limits) Get() (maxSize int64, retention, dedupWindow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.maxSize, l.retention, l.dedupWindow
}

// SetLimits changes them.
func (l *Limits) SetLimits(maxSize int64, retention, dedupWindow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxSize, l.retention, l.dedupWindow = maxSize, retention, dedupWindow
}
