package tailer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// takenName begins the name that a file has between being taken out of the others' way
	// and its removal.
	takenName = ".taken-by-intellidocs-agent"
	// maxLate is how many removed files are watched, and lateFor how long where nobody can
	// report whether somebody has them open.
	maxLate = 64
	lateFor = time.Minute
)

// remove lets a file go whose records are all kept, and closes it. Where that fails its
// checkpoint stays, and it is tried again.
func (s *Spool) remove(f *spoolFile) {
	if f.late {
		return // it is gone; readLate looks after it
	}
	done, err := s.tryRemove(f)
	s.trouble(f.name, err)
	if !done {
		f.close()
		return
	}
	f.late, f.quiet = true, time.Now()
	if s.lateWriter(f) {
		s.keepLate(f)
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
	if !f.c.unchanged(info) || s.stillWritten(f, info) {
		s.relist = true // somebody appends to it: there is more to read first
		return false, nil
	}
	switch {
	case f.c.Rejected > 0:
		err = s.moveRejected(f, info)
	case s.o.After == Archive:
		err = s.archive(f, info)
	default:
		err = s.delete(f, info)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist) && unlinked(f.f):
		return true, nil
	case errors.Is(err, errChanged) || errors.Is(err, fs.ErrNotExist):
		s.relist = true // another of the same name has come meanwhile, or it was renamed
		return false, nil
	}
	return false, fmt.Errorf("all of it is kept, but it cannot be removed: %w", err)
}

// stillWritten reports whether a file must stay because somebody has it open to write. Where
// that cannot be found out, a file that was last changed by writing, not by being moved
// here, or that was appended to before, is given time.
func (s *Spool) stillWritten(f *spoolFile, info os.FileInfo) bool {
	switch writersOf(f.f) {
	case someWriter:
		return true
	case noWriter:
		return false
	}
	age := time.Since(info.ModTime())
	if age < 0 || len(s.known) > maxStuck/4 {
		return false
	}
	return f.c.grown && age < lateFor || !movedHere(f.f) && age < s.settle
}

// delete removes a file. It is renamed first, and only removed if it is the one that was
// read: a producer may at any time move another to the same name.
func (s *Spool) delete(f *spoolFile, info os.FileInfo) error {
	taken := takenName + filepath.Ext(f.name)
	if err := renameNew(s.root.fd, f.name, s.root.fd, taken); err != nil {
		if errors.Is(err, fs.ErrExist) {
			s.giveBack(taken)
		}
		return err
	}
	if err := s.root.verify(f.name, info, s.root, taken); err != nil {
		return err
	}
	return s.root.root.Remove(taken)
}

// giveBack makes a file visible again that a crash left between two names.
func (s *Spool) giveBack(taken string) {
	for n := range 1000 {
		err := renameNew(s.root.fd, taken, s.root.fd, numbered("taken"+filepath.Ext(taken), n))
		if !errors.Is(err, fs.ErrExist) {
			s.relist = true
			return
		}
	}
}

func (s *Spool) archive(f *spoolFile, info os.FileInfo) error {
	to, err := s.root.sub(archiveDir)
	if err != nil {
		return err
	}
	_, err = s.root.place(f.name, info, to)
	return errors.Join(err, to.sync(), to.close())
}

// moveRejected moves f to rejected/ with the reasons beside it.
func (s *Spool) moveRejected(f *spoolFile, info os.FileInfo) error {
	to, err := s.root.sub(rejectedDir)
	if err != nil {
		return err
	}
	defer to.close()
	// The reasons are written first: a full disk must not part them from the file.
	tmp := "." + numbered(f.name, 0) + ".tmp"
	if err := writeNew(to, tmp, f.reasons()); err != nil {
		return err
	}
	target, err := s.root.place(f.name, info, to)
	if err != nil {
		return errors.Join(err, to.root.Remove(tmp))
	}
	return errors.Join(to.root.Rename(tmp, target+".reason"), to.sync())
}

// writeNew writes a file. What lies there under its name, a link to a file of ours perhaps,
// is removed and not written to.
func writeNew(d *spoolDir, name, content string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = out.WriteString(content)
	if err := errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, d.root.Remove(name))
	}
	return nil
}

// reasons is the text of a .reason file.
func (f *spoolFile) reasons() string {
	var b strings.Builder
	fmt.Fprintf(&b, "time: %s\nfile: %s\nrejected: %d\n", time.Now().UTC().Format(time.RFC3339), printable(f.name), f.c.Rejected)
	for _, r := range f.c.Reasons {
		fmt.Fprintf(&b, "offset %d: %s\n", r.Off, printable(r.Text))
	}
	if n := f.c.Rejected - len(f.c.Reasons); n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	return b.String()
}

// sync makes the removals durable before the cursor forgets them.
func (s *Spool) sync() {
	if len(s.gone) == 0 {
		return
	}
	if err := s.root.sync(); err != nil {
		s.setProblem(err.Error())
		return
	}
	for _, c := range s.gone {
		if s.known[c.id()] == c {
			delete(s.known, c.id())
		}
	}
	s.gone = s.gone[:0]
}

// lateWriter reports whether a removed file may still be written to.
func (s *Spool) lateWriter(f *spoolFile) bool {
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

// keepLate watches a removed file, in place of the one that has been quiet for longest.
func (s *Spool) keepLate(f *spoolFile) {
	if len(s.late) >= maxLate {
		oldest := 0
		for i, l := range s.late {
			if l.quiet.Before(s.late[oldest].quiet) {
				oldest = i
			}
		}
		s.late[oldest].close()
		s.late[oldest] = f
		return
	}
	s.late = append(s.late, f)
}

// readLate reads what was written to files after they had been removed.
func (s *Spool) readLate(ctx context.Context) error {
	if len(s.late) == 0 {
		return nil
	}
	kept := s.late[:0]
	for _, f := range s.late {
		if info, err := f.f.Stat(); err == nil && info.Size() > f.c.Off && (info.Size() != f.c.scanned || !s.unfinished(f, info)) {
			f.quiet = time.Now()
			f.c.Done = false
			f.c.see(info)
			f.frames(newSpoolReader(f.f, info), s.o.MaxRecord)
			if err := s.readFrom(ctx, f); err != nil {
				return err
			}
		}
		kept = append(kept, f)
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.late = kept[:0]
	for _, f := range kept {
		if s.lateWriter(f) {
			s.late = append(s.late, f)
		} else {
			f.close()
		}
	}
	return nil
}
