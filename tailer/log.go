package tailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// LogOptions say what to follow and whom to tell.
type LogOptions struct {
	// Source names the log in batches, status and messages.
	Source string
	// Path is the live file. It may be missing, and it may be a symbolic link.
	// Files beside it named Path.* or Path-* are taken as rotated from it; those of them
	// that gzip has compressed are looked into where something begun is missing.
	Path string
	// Start is for the first run only, which is one without a Cursor.
	Start Start
	// Poll does without inotify (NFS, some overlays).
	Poll bool
	// MaxLine in bytes, without terminator. A longer line is a record with TooLong.
	MaxLine int
	// BatchLines and BatchBytes are when a batch is full.
	BatchLines, BatchBytes int
	// Cursor is the one of the last batch that was kept; nil on the first run.
	Cursor  []byte
	Handler Handler
	// Partial, where set, tells whether a line is a piece of a longer one that a
	// container runtime cut: key names the cut line's stream, empty where the line
	// is of no such form; more is true for all pieces but the last.
	Partial func(line []byte) (key string, more bool)
	Logger  *slog.Logger
	// Sweep is how often the files are looked at without a hint from inotify.
	Sweep time.Duration
}

// settleSweeps is after how many sweeps without a change a rotated file is taken
// to be finished (3 s by default). It is opened again if it grows after that.
const settleSweeps = 15

const notStarted = "not started"

// Log follows one log through rotation, truncation and restarts.
//
// A position belongs to content, not to a name or an inode, so a file that was
// renamed or copied goes on where it was. Rotated files that were not finished are
// read first, oldest first, then the live one.
type Log struct {
	o      LogOptions
	settle time.Duration
	feed   feed
	scan   scanner
	join   joiner
	pack   pack
	watch  *watcher

	cur   *cursor
	first bool // nothing was ever read
	dirty bool // cur has changed since the handler last kept it
	files map[fileID]*file
	live  *file
	dir   dirState

	mu     sync.Mutex
	status Status
	said   string // the last problem logged
	stuck  string // the handler's problem
}

// NewLog checks the options and the cursor. Nothing is opened before Run.
func NewLog(o LogOptions) (*Log, error) {
	if o.Path == "" || o.Handler == nil {
		return nil, errors.New("tailer: a log needs a path and a handler")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("log %s: %w", o.Path, err)
	}
	o.Path = path
	o.MaxLine = orDefault(o.MaxLine, DefaultMaxLine)
	o.BatchLines = orDefault(o.BatchLines, DefaultBatchLines)
	o.BatchBytes = orDefault(o.BatchBytes, DefaultBatchBytes)
	o.Sweep = orDefault(o.Sweep, DefaultSweep)
	o.Logger = orLogger(o.Logger)
	l := &Log{
		o: o, settle: settleSweeps * o.Sweep, cur: &cursor{}, files: map[fileID]*file{},
		scan: scanner{
			maxLine: o.MaxLine, maxLines: o.BatchLines, maxBytes: int64(o.BatchBytes),
			block: make([]byte, blockLen),
		},
		join:   joiner{partial: o.Partial, maxLine: o.MaxLine},
		status: Status{Source: o.Source, Reason: notStarted},
		first:  len(o.Cursor) == 0,
	}
	l.feed = feed{source: o.Source, handler: o.Handler, log: o.Logger, failing: l.failing, idle: l.look}
	if !l.first {
		if l.cur, err = decodeCursor(o.Cursor, filepath.Dir(o.Path)); err != nil {
			return nil, fmt.Errorf("log %s: %w", o.Path, err)
		}
	}
	return l, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func orLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return l
}

// Run follows the log until ctx ends. It may be called once.
func (l *Log) Run(ctx context.Context) error {
	defer l.closeAll()
	l.watch = newWatcher(l.o.Poll, l.o.Logger.With("source", l.o.Source))
	defer l.watch.close()
	sweep := time.NewTicker(l.o.Sweep)
	defer sweep.Stop()
	for ctx.Err() == nil {
		more, err := l.round(ctx)
		if err != nil {
			return stopped(ctx, err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-sweep.C:
		case <-l.watch.hints:
		}
	}
	return nil
}

// stopped: the end of ctx is how a run ends, not an error.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// round reads everything there is, files in order. more: it stopped early so that
// rotations are seen in time.
func (l *Log) round(ctx context.Context) (more bool, err error) {
	l.look()
	if l.first && l.dir.scanned {
		l.first = false
		l.dirty = true // that there was a first run is worth knowing, even of an empty file
	}
	for _, f := range l.unread() {
		m, err := l.drain(ctx, f)
		if err != nil {
			return false, err
		}
		more = more || m
		if m {
			break // what comes after f waits for it
		}
	}
	if err := l.finish(ctx, more); err != nil {
		return false, err
	}
	l.publish()
	l.complain()
	return more, nil
}

// Status may be called at any time.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	if l.stuck != "" {
		s.Ready, s.Reason = false, l.stuck
	}
	return s
}

func (l *Log) failing(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = ""
	if err != nil {
		l.stuck = "batch cannot be kept: " + err.Error()
	}
}

// publish makes the state of the files visible.
func (l *Log) publish() {
	ready, reason := l.dir.state()
	lag := map[*stream]int64{}
	var loose int64
	for _, f := range l.files {
		if f.s == nil {
			if !f.copying && !f.old {
				loose += f.size
			}
			continue
		}
		lag[f.s] = max(lag[f.s], f.size-f.s.pos)
	}
	open := 0
	for _, f := range l.files {
		if f.f != nil {
			open++
		}
	}
	for _, n := range lag {
		loose += n
	}
	l.mu.Lock()
	l.status.Ready, l.status.Reason = ready, reason
	l.status.LagBytes, l.status.Files = loose, open
	l.mu.Unlock()
}

// complain says what is wrong, once until it changes.
func (l *Log) complain() {
	problem := l.dir.problem
	if problem == l.said {
		return
	}
	if problem != "" {
		l.o.Logger.Warn("log cannot be followed", "source", l.o.Source, "path", l.o.Path, "reason", problem)
	} else {
		l.o.Logger.Info("log is followed again", "source", l.o.Source, "path", l.o.Path)
	}
	l.said = problem
}
