package tailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
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
	// Partial, where set, reports whether a line is a piece of a longer one that a
	// container runtime cut: key names the cut line's stream, empty where the line
	// is of no such form; more is true for all pieces but the last.
	Partial func(line []byte) (key string, more bool)
	// Budget is shared with other sources; nil: it has one of its own.
	Budget *Budget
	Logger *slog.Logger
	// Sweep is how often the files are looked at without a hint from inotify.
	Sweep time.Duration
}

// Log follows one log through rotation, truncation and restarts.
//
// A position belongs to content, not to a name or an inode, so a file that was
// renamed or copied continues where it was. Rotated files that were not finished are
// read first, oldest first, then the live one.
type Log struct {
	o       LogOptions
	files   *fileset
	reader  logReader
	backlog backlog
	reporter
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
	cur := &checkpoint{}
	if len(o.Cursor) > 0 {
		if cur, err = decodeCheckpoint(o.Cursor, filepath.Dir(o.Path)); err != nil {
			return nil, fmt.Errorf("log %s: %w", o.Path, err)
		}
	}
	l := &Log{
		o: o, files: newFileset(&o, cur), backlog: newBacklog(cur),
		reporter: newReporter(o.Logger, o.Source, o.Path, "log cannot be followed", "log is followed again"),
	}
	seen := l.files.scan // rotations wait neither for a turn nor for a full disk
	l.reader = logReader{
		o: &l.o, files: l.files, kept: l.kept,
		scan: scanner{
			maxLine: o.MaxLine, maxLines: o.BatchLines, maxBytes: int64(o.BatchBytes),
			patience: quietSweeps * o.Sweep,
		},
		join:  joiner{partial: o.Partial, maxLine: o.MaxLine},
		feed:  feed{source: o.Source, handler: o.Handler, log: o.Logger, failing: l.failing, idle: seen, every: o.Sweep},
		share: newShare(o.Budget, o.Sweep, seen),
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
	defer l.files.close()
	watch := newWatcher(l.o.Poll, l.o.Logger.With("source", l.o.Source))
	defer watch.close()
	l.files.dir.watch = watch
	return rounds(ctx, l.o.Sweep, watch, l.pass)
}

// pass reads everything there is, files in order. more: it stopped early so that
// rotations are seen in time.
func (l *Log) pass(ctx context.Context) (more bool, err error) {
	l.files.scan(ctx)
	l.publish()
	l.backlog.measure(l.files)
	if more, err = l.readFiles(ctx); err != nil {
		return false, err
	}
	if err := l.retire(ctx, more); err != nil {
		return false, err
	}
	l.publish()
	l.complain(l.files.dir.problem)
	return more, nil
}

// readFiles reads what is unread: the files that were begun, the backlog, the others.
func (l *Log) readFiles(ctx context.Context) (more bool, err error) {
	for _, f := range l.files.unread() {
		if f == l.files.live || f.s != nil && f.s.off == 0 {
			if err := l.catchUp(ctx); err != nil {
				return false, err
			}
		}
		more, err = l.reader.read(ctx, f)
		if err != nil {
			return false, err
		}
		if more || f.s != nil && f.s.awaitsData() {
			return more, nil // what comes after f waits for it
		}
	}
	return false, l.catchUp(ctx)
}

// retire reads the last lines of files that have ended, reports what is lost, and keeps
// the cursor. busy: there is more to read, so nothing can be said to be missing.
func (l *Log) retire(ctx context.Context, busy bool) error {
	now := time.Now()
	for _, f := range l.files.retire(now) {
		if f.s == nil {
			continue // the checkpoint, which is bounded, let it go with the batch before: it was read
		}
		if err := l.reader.endStream(ctx, f); err != nil {
			return err
		}
	}
	if !busy && l.backlog.measured {
		for _, s := range l.files.missing(now) {
			if err := l.reportLost(ctx, s); err != nil {
				return err
			}
		}
	}
	l.files.prune()
	if !l.files.dirty || !l.files.dir.scanned {
		return nil
	}
	return l.reader.offer(ctx, &Batch{})
}

// kept notes a batch that the handler has kept.
func (l *Log) kept(b *Batch) {
	l.update(func(st *Status) {
		if len(b.Records) > 0 {
			st.LastRecord = time.Now()
		}
		if b.Gap != nil {
			st.Gaps++
		}
	})
	l.publish()
}

// publish makes the state of the files visible.
func (l *Log) publish() {
	ready, reason := l.files.dir.state()
	lag, open := l.files.lag(), l.files.open()
	l.update(func(st *Status) {
		st.Ready, st.Reason, st.Warning = ready, reason, l.files.dir.warning
		st.LagBytes, st.Files = lag, open
	})
}
