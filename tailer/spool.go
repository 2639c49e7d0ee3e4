package tailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
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
	archiveDir  = "archive"
	rejectedDir = "rejected"
	// maxFinished is how many files one batch may finish.
	maxFinished = 32
	// maxStuck is how many files that cannot be removed, or are still being written, are
	// remembered. Past it reading stops, or they would be read again after a restart.
	maxStuck = 1024
	// maxListed is how many names are sorted at once.
	maxListed = 20_000
)

// Spool empties a directory: files are read in name order and go away once all their
// records are kept.
//
// Everything in the directory may be somebody else's doing, and the agent may be root. So
// no path is built: what lies in the directory is reached through its open descriptor, a
// name at a time, and no link is followed.
type Spool struct {
	o      SpoolOptions
	settle time.Duration
	feed   feed
	// pack is there during a turn.
	pack  *pack
	turn  *turn
	watch *watcher

	// root is the directory during a round, owner whose it is.
	root  *spoolDir
	known checkpoints
	// part is the file that is being read, finished those read to their end in this batch.
	part     *spoolFile
	finished []*spoolFile
	// late are removed files that somebody may still write to.
	late []*spoolFile
	// gone are the removed files that the cursor may forget once the directory is synced.
	gone []*spoolCheckpoint
	// handled counts the files that were finished.
	handled int
	// relist: there is something to do although no name has changed.
	relist    bool
	listed    time.Time
	stamp     time.Time
	troubles  map[string]string
	remaining remaining

	mu      sync.Mutex
	status  Status
	stuck   string
	problem string
	said    string
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
	if o.Budget == nil {
		o.Budget = NewBudget(DefaultBudget)
	}
	s := &Spool{
		o: o, settle: quietSweeps * o.Sweep, relist: true, troubles: map[string]string{}, known: checkpoints{},
		status: Status{Source: o.Source, Reason: notStarted},
	}
	s.feed = feed{source: o.Source, handler: o.Handler, log: o.Logger, failing: s.failing, idle: func(context.Context) {}}
	if len(o.Cursor) > 0 {
		if s.known, err = decodeSpoolCursor(o.Cursor); err != nil {
			return nil, fmt.Errorf("spool %s: %w", o.Path, err)
		}
	}
	return s, nil
}

// Run empties the spool until ctx ends. It may be called once.
func (s *Spool) Run(ctx context.Context) error {
	s.watch = newWatcher(s.o.Poll, s.o.Logger.With("source", s.o.Source))
	defer s.watch.close()
	defer s.closeFiles()
	defer s.endTurn()
	sweep := time.NewTicker(s.o.Sweep)
	defer sweep.Stop()
	for ctx.Err() == nil {
		more, err := s.round(ctx)
		if err != nil {
			return stopped(ctx, err)
		}
		s.complain()
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-sweep.C:
		case <-s.watch.hints:
		}
	}
	return nil
}

func (s *Spool) closeFiles() {
	if s.part != nil {
		s.part.close()
	}
	for _, f := range append(s.finished, s.late...) {
		f.close()
	}
}

// round reads all files that are listed. more: there are others.
func (s *Spool) round(ctx context.Context) (more bool, err error) {
	s.setProblem("")
	if !s.changed() {
		return false, s.readLate(ctx)
	}
	root, err := openSpoolDir(s.o.Path)
	if err != nil {
		s.setProblem(err.Error())
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
	names, more, err := s.list(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		s.setProblem(err.Error())
		return false, nil
	}
	s.begun()
	if err := s.readAll(ctx, names); err != nil {
		return false, err
	}
	if err := s.flush(ctx); err != nil {
		return false, err
	}
	s.sync()
	// What cannot be opened must not be tried again and again.
	return more && s.handled > handled, nil
}

func (s *Spool) begun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Reason == notStarted {
		s.status.Ready, s.status.Reason = true, ""
	}
}

func (s *Spool) readAll(ctx context.Context, names []string) error {
	for _, name := range names {
		if len(s.known) >= maxStuck {
			s.setProblem(fmt.Sprintf("%d files of %s are read but cannot be removed, or are still being written; reading waits until they can", len(s.known), s.o.Path))
			return nil
		}
		if err := s.read(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// changed reports whether the directory must be read again.
func (s *Spool) changed() bool {
	hint := s.watch.changed()
	info, err := os.Stat(s.o.Path)
	if err != nil {
		s.watch.lost(s.o.Path)
		s.stamp = time.Time{}
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("directory %s does not exist", s.o.Path)
		}
		s.setProblem(err.Error())
		return false
	}
	if !info.IsDir() {
		s.setProblem(s.o.Path + " is not a directory")
		return false
	}
	s.watch.dir(s.o.Path, info)
	now := time.Now()
	due := hint || s.relist || !s.stamp.Equal(info.ModTime()) || now.Sub(info.ModTime()) < recent ||
		now.Sub(s.listed) > fullSweeps*s.o.Sweep
	if due {
		s.listed, s.stamp, s.relist = now, info.ModTime(), false
	}
	return due
}

func (s *Spool) setProblem(p string) { s.problem = p }

// complain makes the problem visible, and logs it once until it changes.
func (s *Spool) complain() {
	s.complainRemaining()
	s.mu.Lock()
	s.status.Ready, s.status.Reason = s.problem == "", s.problem
	s.mu.Unlock()
	if s.problem == s.said {
		return
	}
	if s.said = s.problem; s.said != "" {
		s.o.Logger.Warn("spool cannot be read", "source", s.o.Source, "path", s.o.Path, "reason", s.said)
		return
	}
	s.o.Logger.Info("spool is read again", "source", s.o.Source, "path", s.o.Path)
}

// trouble logs what is wrong with one file, once until it changes.
func (s *Spool) trouble(name string, err error) {
	if err == nil {
		delete(s.troubles, name)
		return
	}
	if s.troubles[name] == err.Error() {
		return
	}
	if len(s.troubles) < maxStuck {
		s.troubles[name] = err.Error()
	}
	s.o.Logger.Warn("spool file stays where it is", "source", s.o.Source, "file", name, "error", err)
}

// Status may be called at any time.
func (s *Spool) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	if s.stuck != "" {
		st.Ready, st.Reason = false, s.stuck
	}
	return st
}

func (s *Spool) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = ""
	if err != nil {
		s.stuck = "batch cannot be kept: " + err.Error()
	}
}
