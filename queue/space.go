package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// space watches how much the queue takes and how much the disk has left. Badger maps its
// files: a write to a full disk ends the process by SIGBUS, so intake stops well before.
type space struct {
	mu       sync.Mutex
	bytes    int64
	free     int64
	measured time.Time
	reason   string // why intake stands; empty while it does not
}

// remeasure is how often the disk is looked at.
const remeasure = time.Second

// ballast is kept on the disk so that there is something to delete when it is full all
// the same; outcomes must still be written then.
const (
	ballastName = "ballast"
	ballastSize = 16 << 20
	// watermark is what must be free for intake, or a fiftieth of a small disk.
	watermark = 64 << 20
)

// Stats are the queue's size and whether it takes events.
type Stats struct {
	Bytes    int64  // on the disk
	DiskFree int64  // what this user may still write
	Full     bool   // Commit waits
	Reason   string // why
	Rejected int64  // rejected records kept
}

// Stats are at most a second old.
func (q *Queue) Stats() Stats {
	q.space.refresh(q)
	q.counts.mu.Lock()
	rejected := q.counts.rejected
	q.counts.mu.Unlock()
	s := &q.space
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Bytes: s.bytes, DiskFree: s.free, Full: s.reason != "", Reason: s.reason, Rejected: rejected}
}

func (s *space) refresh(q *Queue) {
	s.mu.Lock()
	stale := time.Since(s.measured) >= remeasure
	s.mu.Unlock()
	if stale {
		s.measure(q)
	}
}

// wait returns when there is room.
func (s *space) wait(ctx context.Context, q *Queue) error {
	s.refresh(q)
	for {
		s.mu.Lock()
		full := s.reason != ""
		s.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.quit:
			return ErrClosed
		case <-time.After(remeasure / 2):
			s.refresh(q)
		}
	}
}

// measure looks at the disk and decides whether intake stands. It begins again only
// with a tenth of the bound to spare, so that it does not flutter.
func (s *space) measure(q *Queue) {
	bytes := usage(q.dir)
	var fsStat syscall.Statfs_t
	free, floor := int64(-1), int64(watermark)
	if syscall.Statfs(q.dir, &fsStat) == nil {
		free = int64(fsStat.Bavail) * fsStat.Bsize
		floor = min(floor, int64(fsStat.Blocks)*fsStat.Bsize/50+ballastSize/4)
	}
	maxSize, _, _ := q.limits.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.reason
	s.bytes, s.free, s.measured = bytes, free, time.Now()
	if was != "" {
		maxSize, floor = maxSize-maxSize/10, floor+floor/10
	}
	switch {
	case free >= 0 && free < floor:
		s.reason = fmt.Sprintf("the disk is nearly full: %d MiB are free and %d MiB must be; make room", free>>20, floor>>20)
	case maxSize > 0 && bytes > maxSize:
		s.reason = fmt.Sprintf("the queue takes %d MiB, more than [state] max_size allows; it goes on when deliveries make room, or raise max_size", bytes>>20)
	default:
		s.reason = ""
	}
	switch {
	case was == "" && s.reason != "":
		q.log.Warn("reading stops; nothing is lost, what is queued is still delivered", "reason", s.reason)
	case was != "" && s.reason == "":
		q.log.Info("reading goes on: there is room again")
	}
}

// usage is what a directory takes on the disk: blocks, since Badger's files are sparse.
func usage(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that went away meanwhile takes nothing
		}
		if info, err := e.Info(); err == nil && e.Type().IsRegular() && e.Name() != ballastName {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// keepBallast makes the ballast where there is room for it, and gives it back where there is none.
func (q *Queue) keepBallast() error {
	path := filepath.Join(q.dir, ballastName)
	q.space.mu.Lock()
	free := q.space.free
	q.space.mu.Unlock()
	_, err := os.Stat(path)
	switch {
	case err == nil && free >= 0 && free < ballastSize/4:
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist) && free > 2*watermark:
		return os.WriteFile(path, make([]byte, ballastSize), 0o600)
	}
	return nil
}
