package tailer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// A file is removed in this order, and each step is safe to end after: its records are kept
// together with a cursor that has the file as done; it is moved, or taken and deleted, if it
// is still the file that was read; the directory is synced; the cursor forgets it. Who has it
// open for writing meanwhile loses nothing: it stays while that is known, and is watched for
// a while after its removal where it is not.

// remove lets a file go whose records are all kept, and closes it. Where that fails its
// checkpoint stays, and it is tried again.
func (s *Spool) remove(f *spoolFile) {
	if f.late {
		return // it is gone; readLate looks after it
	}
	done, err := s.tryRemove(f)
	s.leftovers.trouble(f.name, err)
	if !done {
		f.close()
		return
	}
	f.late, f.quiet = true, time.Now()
	if f.mayBeWrittenTo() {
		s.late.add(f)
	} else {
		f.close()
	}
	s.gone = append(s.gone, f.c)
	if len(s.gone) >= 2*maxFinished {
		s.sync()
	}
}

// tryRemove reports whether the file is gone from where it was.
func (s *Spool) tryRemove(f *spoolFile) (done bool, err error) {
	info, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	if !f.c.unchanged(info) || f.stillWritten(info, len(s.known) > maxStuck/4) {
		s.lookout.again = true // somebody appends to it: there is more to read first
		return false, nil
	}
	switch {
	case f.c.Rejected > 0:
		err = s.root.reject(f.name, info, f.reasons())
	case s.o.After == Archive:
		err = s.root.moveToArchive(f.name, info)
	default:
		err = s.root.delete(f.name, info)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist) && unlinked(f.f):
		return true, nil
	case errors.Is(err, errChanged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errTaken):
		s.lookout.again = true // another of the same name has come meanwhile, or it was renamed
		return false, nil
	}
	return false, fmt.Errorf("all of it is kept, but it cannot be removed: %w", err)
}

// sync makes the removals durable before the cursor forgets them.
func (s *Spool) sync() {
	if len(s.gone) == 0 {
		return
	}
	if err := s.root.sync(); err != nil {
		s.problem = err.Error()
		return
	}
	for _, c := range s.gone {
		if s.known[c.id()] == c {
			delete(s.known, c.id())
		}
	}
	s.gone = s.gone[:0]
}

// lateFiles are removed files that somebody may still write to.
type lateFiles []*spoolFile

const (
	// maxLate is how many removed files are watched, and lateFor how long where nobody can
	// report whether somebody has them open.
	maxLate = 64
	lateFor = time.Minute
)

// add watches a removed file, in place of the one that has been quiet for longest.
func (l *lateFiles) add(f *spoolFile) {
	if len(*l) < maxLate {
		*l = append(*l, f)
		return
	}
	oldest := 0
	for i, g := range *l {
		if g.quiet.Before((*l)[oldest].quiet) {
			oldest = i
		}
	}
	(*l)[oldest].close()
	(*l)[oldest] = f
}

func (l *lateFiles) close() {
	for _, f := range *l {
		f.close()
	}
}

// mayBeWrittenTo reports whether a removed file may still be written to.
func (f *spoolFile) mayBeWrittenTo() bool {
	info, err := f.f.Stat()
	if err != nil {
		return false
	}
	if f.c.Size != info.Size() || !f.c.Done {
		return true
	}
	switch writersOf(f.f) {
	case someWriter:
		return true
	case noWriter:
		return false
	}
	return time.Since(f.quiet) < lateFor
}

// readLate reads what was written to files after they had been removed.
func (s *Spool) readLate(ctx context.Context) error {
	if len(s.late) == 0 {
		return nil
	}
	for _, f := range s.late {
		if info, err := f.f.Stat(); err == nil && info.Size() > f.c.Off && (info.Size() != f.c.scanned || !f.unfinished(info)) {
			f.quiet = time.Now()
			f.c.Done = false
			f.c.see(info)
			f.begin(info, s.o.MaxRecord)
			if err := s.readFrom(ctx, f); err != nil {
				return err
			}
		}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	kept := s.late[:0]
	for _, f := range s.late {
		if f.mayBeWrittenTo() {
			kept = append(kept, f)
		} else {
			f.close()
		}
	}
	s.late = kept
	return nil
}
