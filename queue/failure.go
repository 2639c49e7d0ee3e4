package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrDisk says, for errors.Is, that a write or a sync failed. Nothing that was written since the last
// good sync is known to be on the disk, so the queue writes nothing more: every call that
// would gets this error, Run returns it, and the process must end. Opened again, the queue
// is what was acknowledged, and reading continues from the last durable cursor.
var ErrDisk = errors.New("the disk failed")

// DiskError is an ErrDisk with its cause.
type DiskError struct {
	Doing string // what was being done, as Badger or the queue says it
	File  string // what it was done to, where that is known
	Err   error
}

func (e *DiskError) Error() string {
	where, cause := e.Doing, innermost(e.Err)
	if e.File != "" && !strings.Contains(cause, e.File) {
		where += " " + e.File
	}
	return fmt.Sprintf("%v: %s: %s; nothing that was acknowledged is lost, and the agent continues once it is started again and the disk works", ErrDisk, where, cause)
}

// innermost is the end of an error that Badger has wrapped, as text with line feeds and
// sometimes all that it was at work on.
func innermost(err error) string {
	text := strings.TrimSpace(fmt.Sprint(err))
	if at := strings.LastIndex(text, " err: "); at >= 0 {
		text = text[at+len(" err: "):]
	}
	return strings.Join(strings.Fields(text), " ")
}

func (e *DiskError) Unwrap() []error { return []error{ErrDisk, e.Err} }

// failure latches the first disk error and stops Badger behind it.
//
// It is the logger that Badger is given, since the log is the only place where Badger
// mentions some failures: a value log's failed sync, after which it would write the commit
// that refers to it; a flush, which it retries forever while the table that the MANIFEST
// already names is gone; a compaction. A goroutine of Badger's that reports one of those
// never returns from here: whatever it would do next rests on what is not on the disk.
type failure struct {
	dir     string
	log     *slog.Logger
	once    sync.Once
	failed  chan struct{}
	cause   *DiskError
	outputs *outputs
}

func newFailure(dir string, log *slog.Logger) *failure {
	return &failure{dir: dir, log: log, failed: make(chan struct{}), outputs: newOutputs(dir)}
}

// set latches err as the cause, unless there is one, and returns the cause.
func (f *failure) set(doing string, err error) error {
	f.once.Do(func() {
		f.cause = &DiskError{Doing: doing, File: f.fileOf(err), Err: err}
		close(f.failed)
	})
	<-f.failed
	return f.cause
}

// err returns the cause, nil while nothing has failed.
func (f *failure) err() error {
	select {
	case <-f.failed:
		return f.cause
	default:
		return nil
	}
}

// during runs do, and returns the cause if the disk fails meanwhile: do may be stuck in
// Badger for good then, and is left behind.
func (f *failure) during(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-f.failed:
		return f.cause
	}
}

var databaseFile = regexp.MustCompile(`[0-9]+\.(mem|vlog|sst)|MANIFEST|DISCARD`)

// fileOf names the file that an error is about.
func (f *failure) fileOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path
	}
	if names := databaseFile.FindAllString(err.Error(), -1); len(names) > 0 {
		return f.dir + "/" + names[len(names)-1]
	}
	return f.dir
}

// Badger's messages, by how they begin.
var (
	// fatal are reported by goroutines that hold no lock and must not continue.
	fatal = map[string]string{
		"Error while curlf sync":             "sync a value log in",
		"error flushing memtable to disk":    "write a table in",
		"[Compactor: %d] LOG Compact FAILED": "compact tables in",
		"writeRequests":                      "write to",
	}
	// latched are reported by those that hold a lock or return the error too.
	latched = map[string]string{
		"while deleting file":           "delete a log in",
		"Got error: %v for id":          "make a log in",
		"While trying to flush memtabl": "write a table in",
	}
)

func (f *failure) report(format string, args []any) {
	for begin, doing := range fatal {
		if strings.HasPrefix(format, begin) {
			f.set(doing, causeOf(args))
			select {} // see failure
		}
	}
	for begin, doing := range latched {
		if strings.HasPrefix(format, begin) {
			f.set(doing, causeOf(args))
			return
		}
	}
	f.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// causeOf returns the error among a message's arguments, without Badger's line feeds.
func causeOf(args []any) error {
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			return err
		}
	}
	return errors.New(strings.TrimSpace(fmt.Sprint(args...)))
}

func (f *failure) Errorf(format string, args ...any)   { f.report(format, args) }
func (f *failure) Warningf(format string, args ...any) { f.report(format, args) }
func (f *failure) Infof(string, ...any)                {}
func (f *failure) Debugf(format string, args ...any)   { f.compaction(format, args) }

// fatalLog is given to the standard logger, by which Badger ends the process where it cannot open
// its discard statistics or list its directory. It has the cause latched instead, and does not
// return.
type fatalLog struct {
	failure *failure
	to      io.Writer // for all else
}

func (w *fatalLog) Write(line []byte) (int, error) {
	err := errors.New(string(line))
	if strings.Contains(err.Error(), " err: ") && systemText(err) {
		w.failure.set("open", err)
		select {}
	}
	return w.to.Write(line)
}

// isSystem reports whether an error comes from a system call, rather than from what was
// read or asked for.
func isSystem(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

// diskErrors are what a disk that fails answers, and a process that runs out of what it needs
// to use one.
var diskErrors = []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.EROFS, syscall.ESTALE, syscall.ENOMEM}

// failsDisk reports whether an error is one of diskErrors.
func failsDisk(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(diskErrors, errno)
}

// systemText reports whether an error that Badger made a text of is one of diskErrors.
func systemText(err error) bool {
	return slices.ContainsFunc(diskErrors, func(errno syscall.Errno) bool { return strings.Contains(err.Error(), errno.Error()) })
}
