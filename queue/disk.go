package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// disk watches how much the queue takes and how much the disk has left. Badger maps its
// files: a write to a full disk ends the process by SIGBUS, so intake stops well before,
// and outcomes are refused before the last of it.
type disk struct {
	dir     string // the state directory
	limits  *Limits
	waiting func() bool // any delivery is unfinished
	log     *slog.Logger

	mu       sync.Mutex
	bytes    int64
	free     int64 // -1: unknown
	measured time.Time
	written  int64  // since then
	reason   string // why intake stands; empty while it does not
}

const (
	// remeasure is how often the disk is looked at, or after how many bytes.
	remeasure      = time.Second
	remeasureBytes = 4 << 20

	// ballast is kept on the disk so that there is something to delete when others have
	// filled it: outcomes must still be written then.
	ballastName = "ballast"
	ballastSize = 16 << 20
	// watermark is what must be free for intake, or a quarter of a small disk: tables
	// are rewritten as a whole before the old ones go.
	watermark = 64 << 20
	// lastFree is what must be free for anything, or a sixteenth of a small disk: what
	// is in memory must still find its place.
	lastFree = 16 << 20
)

// Stats are the queue's size and whether it takes events.
type Stats struct {
	Bytes    int64  // on the disk
	DiskFree int64  // what this user may still write; -1: unknown
	Full     bool   // Commit waits
	Reason   string // why
	Rejected int64  // rejected records kept

	// Of a queue that several agents share:
	Engine string // what keeps it, for people: PostgreSQL 17, primary db-0, ANY 1 of 2
	Away   string // why it cannot be reached; empty while it can
}

// Stats are at most a second old.
func (q *Queue) Stats() Stats {
	q.disk.refresh()
	rejected := q.counts.rejectedRecords()
	d := q.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{Bytes: d.bytes, DiskFree: d.free, Full: d.reason != "", Reason: d.reason, Rejected: rejected}
}

func (d *disk) refresh() {
	d.mu.Lock()
	stale := time.Since(d.measured) >= remeasure || d.written >= remeasureBytes
	d.mu.Unlock()
	if stale {
		d.measure()
	}
}

func (d *disk) taken() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

func (d *disk) wrote(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written += n
}

// admit refuses a write that may be the process's last: SIGBUS cannot be caught.
func (d *disk) admit() error {
	d.refresh()
	return roomFor(d.dir)
}

// wait returns when there is room.
func (d *disk) wait(ctx context.Context, quit <-chan struct{}) error {
	d.refresh()
	for {
		d.mu.Lock()
		full := d.reason != ""
		d.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-quit:
			return ErrClosed
		case <-time.After(remeasure / 2):
			d.refresh()
		}
	}
}

// measure looks at the disk and decides whether intake stands. It begins again only
// with a tenth of the bound to spare, so that it does not flutter.
func (d *disk) measure() {
	d.mu.Lock()
	d.written = 0
	d.mu.Unlock()
	bytes := usage(d.dir)
	free, total := diskFree(d.dir)
	if free >= 0 && free < lastFree+ballastSize/2 && os.Remove(filepath.Join(d.dir, ballastName)) == nil {
		free, total = diskFree(d.dir)
	}
	floor := min(int64(watermark), total/4)
	maxSize, _, _ := d.limits.Get()
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.reason
	d.bytes, d.free, d.measured = bytes, free, time.Now()
	if was != "" {
		maxSize, floor = maxSize-maxSize/10, floor+floor/10
	}
	switch {
	case free >= 0 && free < floor:
		d.reason = fmt.Sprintf("the disk is nearly full: %d MiB are free and %d MiB must be; make room", free>>20, floor>>20)
	// With nothing waiting all of it is history and files that Badger has open: more
	// room than that will not come.
	case maxSize > 0 && bytes > maxSize && d.waiting():
		d.reason = fmt.Sprintf("the queue takes %d MiB, more than [state] max_size allows; it continues when deliveries make room, or raise max_size", bytes>>20)
	default:
		d.reason = ""
	}
	switch {
	case was == "" && d.reason != "":
		d.log.Warn("reading stops; nothing is lost, what is queued is still delivered", "reason", d.reason)
	case was != "" && d.reason == "":
		d.log.Info("reading continues: there is room again")
	}
}

// diskFree is what this user may still write in a directory, -1 where that cannot be
// told, and the size of its file system.
func diskFree(dir string) (free, total int64) {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return -1, 0
	}
	size := int64(st.Bsize) // its type differs between systems
	return int64(st.Bavail) * size, int64(st.Blocks) * size
}

// roomFor refuses to write with too little room. The ballast is the first to go.
func roomFor(dir string) error {
	free, total := diskFree(dir)
	floor := min(int64(lastFree), total/16)
	if free < 0 || free >= floor {
		return nil
	}
	if os.Remove(filepath.Join(dir, ballastName)) == nil {
		if free, _ = diskFree(dir); free >= floor {
			return nil
		}
	}
	return fmt.Errorf("%w: %d KiB are free in %s and %d MiB must be; make room, nothing is lost", ErrFull, free>>10, dir, floor>>20)
}

// usage is what a directory takes on the disk: blocks, since Badger's files are sparse,
// and without what is not events: the ballast, and the logs of the memtables, which stay
// within a few megabytes.
func usage(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that went away meanwhile takes nothing
		}
		if info, err := e.Info(); err == nil && e.Type().IsRegular() && e.Name() != ballastName && filepath.Ext(e.Name()) != ".mem" {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// keepBallast makes the ballast where there is plenty of room for it.
func (d *disk) keepBallast() error {
	path := filepath.Join(d.dir, ballastName)
	d.mu.Lock()
	free := d.free
	d.mu.Unlock()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || free < 2*watermark {
		return nil
	}
	return os.WriteFile(path, make([]byte, ballastSize), 0o600)
}

// pressed reports whether the queue is close to its bound: then history is the first to go.
func (d *disk) pressed() bool {
	maxSize, _, _ := d.limits.Get()
	return maxSize > 0 && d.taken() > maxSize-maxSize/10
}
