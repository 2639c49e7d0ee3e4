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
	o     LogOptions
	files *fileset
	feed  feed
	scan  scanner
	join  joiner
	// pack is there during a turn.
	pack    *pack
	turn    *turn
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
	if o.Budget == nil {
		o.Budget = NewBudget(DefaultBudget)
	}
	cur := &checkpoint{}
	if len(o.Cursor) > 0 {
		if cur, err = decodeCheckpoint(o.Cursor, filepath.Dir(o.Path)); err != nil {
			return nil, fmt.Errorf("log %s: %w", o.Path, err)
		}
	}
	l := &Log{
		o: o, files: newFileset(&o, cur), backlog: newBacklog(cur),
		scan: scanner{
			maxLine: o.MaxLine, maxLines: o.BatchLines, maxBytes: int64(o.BatchBytes),
			patience: quietSweeps * o.Sweep,
		},
		join:     joiner{partial: o.Partial, maxLine: o.MaxLine},
		reporter: reporter{log: o.Logger, path: o.Path, status: Status{Source: o.Source, Reason: notStarted}},
	}
	l.feed = feed{source: o.Source, handler: o.Handler, log: o.Logger, failing: l.failing, idle: l.files.scan}
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

// takeTurn waits until there is room for so many bytes; rotations are seen meanwhile.
func (l *Log) takeTurn(ctx context.Context, n int64) (err error) {
	if l.turn, err = l.o.Budget.take(ctx, n, l.o.Sweep, l.files.scan); err == nil {
		l.pack = l.turn.pack
	}
	return err
}

func (l *Log) endTurn() {
	l.o.Budget.give(l.turn)
	l.turn, l.pack = nil, nil
}

// Run follows the log until ctx ends. It may be called once.
func (l *Log) Run(ctx context.Context) error {
	defer l.files.close()
	watch := newWatcher(l.o.Poll, l.o.Logger.With("source", l.o.Source))
	defer watch.close()
	l.files.dir.watch = watch
	sweep := time.NewTicker(l.o.Sweep)
	defer sweep.Stop()
	for ctx.Err() == nil {
		more, err := l.pass(ctx)
		if err != nil {
			return stopped(ctx, err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-sweep.C:
		case <-watch.hints:
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

// pass reads everything there is, files in order. more: it stopped early so that
// rotations are seen in time.
func (l *Log) pass(ctx context.Context) (more bool, err error) {
	l.files.scan(ctx)
	l.publish(l.files)
	l.backlog.measure(l.files)
	if more, err = l.readFiles(ctx); err != nil {
		return false, err
	}
	if err := l.retire(ctx, more); err != nil {
		return false, err
	}
	l.publish(l.files)
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
		more, err = l.read(ctx, f)
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
		if err := l.endStream(ctx, f); err != nil {
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
	return l.offer(ctx, &Batch{})
}

// reportLost reads what is left of s from an archive, or reports the gap.
func (l *Log) reportLost(ctx context.Context, s *stream) error {
	names := l.files.dir.names
	if ok, err := l.readArchived(ctx, s); ok || err != nil {
		return err
	}
	if !l.files.dir.unrenamed(names) {
		return nil // one that was renamed meanwhile was not looked into
	}
	s.done = true
	return l.offer(ctx, &Batch{Gap: l.files.gap(s)})
}

// offer hands over a batch with the cursor behind it.
func (l *Log) offer(ctx context.Context, b *Batch) error {
	l.files.prune()
	var err error
	if b.Cursor, err = l.files.cur.encode(filepath.Dir(l.o.Path)); err != nil {
		return err
	}
	l.files.dirty = false
	if _, err := l.feed.offer(ctx, b); err != nil {
		return err
	}
	l.publish(l.files)
	l.kept(b)
	return nil
}
