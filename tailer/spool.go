package tailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// SpoolOptions say which directory to empty and whom to tell.
type SpoolOptions struct {
	// Source names the spool in batches, status and messages.
	Source string
	// Path is the directory into which finished files are moved.
	Path  string
	After After
	// Poll does without inotify.
	Poll bool
	// MaxRecord in bytes. A longer value is a record with TooLong.
	MaxRecord int
	// Cursor is the one of the last batch that was kept; nil on the first run.
	Cursor  []byte
	Handler Handler
	// Budget is shared with other sources; nil: it has one of its own.
	Budget *Budget
	Logger *slog.Logger
	// Sweep is how often the directory is read without a hint from inotify.
	Sweep time.Duration
}

const (
	// maxFinished is how many files one batch may finish.
	maxFinished = 32
	// maxStuck is how many files that cannot be removed, or are still being written, are
	// remembered. Past it reading stops, or they would be read again after a restart.
	maxStuck = 1024
)

// Spool empties a directory, round by round: it lists the names (listing), reads file after
// file (spoolFile) into a batch (spoolBatch), and once the handler has kept the batch it lets
// the files go whose last record was in it. Nothing is let go before, and what was let go
// stays in the cursor until that is durable: a file that comes back after a crash is known.
//
// Everything in the directory may be somebody else's doing, and the agent may be root. So no
// path is built: what lies in the directory is reached through its open descriptor (spoolDir),
// a name at a time, and no link is followed.
type Spool struct {
	o      SpoolOptions
	settle time.Duration
	feed   feed
	reporter
	lookout   lookout
	leftovers leftovers

	// root is the directory during a round.
	root  *spoolDir
	known checkpoints
	batch spoolBatch
	late  lateFiles
	// gone are the removed files that the cursor may forget once the directory is synced.
	gone []*spoolCheckpoint
	// handled counts the files that were finished.
	handled int
	problem string
}

// NewSpool checks the options and the cursor. Nothing is opened before Run.
func NewSpool(o SpoolOptions) (*Spool, error) {
	if o.Path == "" || o.Handler == nil {
		return nil, errors.New("tailer: a spool needs a path and a handler")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", o.Path, err)
	}
	o.Path = path
	o.MaxRecord = orDefault(o.MaxRecord, DefaultMaxLine)
	o.Sweep = orDefault(o.Sweep, DefaultSweep)
	o.Logger = orLogger(o.Logger)
	known := checkpoints{}
	if len(o.Cursor) > 0 {
		if known, err = decodeSpoolCursor(o.Cursor); err != nil {
			return nil, fmt.Errorf("spool %s: %w", o.Path, err)
		}
	}
	settle := quietSweeps * o.Sweep
	s := &Spool{
		o: o, settle: settle, known: known,
		reporter:  newReporter(o.Logger, o.Source, o.Path, "spool cannot be read", "spool is read again"),
		lookout:   lookout{path: o.Path, sweep: o.Sweep, again: true},
		leftovers: leftovers{log: o.Logger, source: o.Source, path: o.Path, settle: settle, troubles: map[string]string{}},
		batch:     spoolBatch{share: newShare(o.Budget, o.Sweep, func(context.Context) {})},
	}
	s.feed = feed{source: o.Source, handler: o.Handler, log: o.Logger, failing: s.failing}
	return s, nil
}

// Run empties the spool until ctx ends. It may be called once.
func (s *Spool) Run(ctx context.Context) error {
	watch := newWatcher(s.o.Poll, s.o.Logger.With("source", s.o.Source))
	defer watch.close()
	s.lookout.watch = watch
	defer s.late.close()
	defer s.batch.close()
	return rounds(ctx, s.o.Sweep, watch, func(ctx context.Context) (more bool, err error) {
		more, err = s.round(ctx)
		if err == nil {
			s.report()
		}
		return more, err
	})
}

// round reads all files that are listed. more: there are others.
func (s *Spool) round(ctx context.Context) (more bool, err error) {
	due, err := s.lookout.due()
	if s.problem = ""; err != nil {
		s.problem = err.Error()
	}
	if !due {
		return false, s.readLate(ctx)
	}
	root, err := openSpoolDir(s.o.Path)
	if err != nil {
		s.problem = err.Error()
		return false, nil
	}
	s.root = root
	defer func() {
		err = errors.Join(err, root.close())
		s.root = nil
	}()
	if err := s.readLate(ctx); err != nil {
		return false, err
	}
	handled := s.handled
	l, err := list(ctx, root, s.known)
	if err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		s.problem = fmt.Sprintf("reading directory %s: %v", s.o.Path, err)
		return false, nil
	}
	s.listed(l)
	if err := s.readAll(ctx, l.names); err != nil {
		return false, err
	}
	if err := s.flush(ctx); err != nil {
		return false, err
	}
	s.sync()
	// What cannot be opened must not be tried again and again.
	return l.more && s.handled > handled, nil
}

// listed takes in what the directory holds.
func (s *Spool) listed(l *listing) {
	s.known.only(l.seen)
	s.leftovers.see(s.root, l.other)
	s.lookout.again = s.lookout.again || l.more || l.again
	s.update(func(st *Status) {
		st.LagBytes, st.Files = l.lag, l.files
		if st.Reason == notStarted {
			st.Ready, st.Reason = true, ""
		}
	})
}

func (s *Spool) readAll(ctx context.Context, names []string) error {
	for _, name := range names {
		if len(s.known) >= maxStuck {
			s.problem = fmt.Sprintf("%d files of %s are read but cannot be removed, or are still being written; reading waits until they can", len(s.known), s.o.Path)
			return nil
		}
		if err := s.read(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// report makes visible, and logs, what is wrong and what stays in the directory.
func (s *Spool) report() {
	n, why := s.leftovers.report(time.Now())
	s.update(func(st *Status) {
		st.Ready, st.Reason = s.problem == "", s.problem
		st.Remaining, st.RemainingWhy = n, why
	})
	s.complain(s.problem)
}

// lookout knows when the directory must be read again.
type lookout struct {
	path  string
	sweep time.Duration
	watch *watcher
	// again: there is something to do although no name has changed.
	again bool
	// listed is when the directory was read last, and stamp its modification time then.
	listed, stamp time.Time
}

// due reports whether the directory must be read now.
func (l *lookout) due() (bool, error) {
	hint := l.watch.changed()
	info, err := os.Stat(l.path)
	if err != nil {
		l.watch.lost(l.path)
		l.stamp = time.Time{}
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("directory %s does not exist", l.path)
		}
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s is not a directory", l.path)
	}
	l.watch.dir(l.path, info)
	now := time.Now()
	due := hint || l.again || !l.stamp.Equal(info.ModTime()) || now.Sub(info.ModTime()) < recent ||
		now.Sub(l.listed) > fullSweeps*l.sweep
	if due {
		l.listed, l.stamp, l.again = now, info.ModTime(), false
	}
	return due, nil
}
