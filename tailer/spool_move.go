package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// remove lets a file go whose records are all kept. Where that fails it stays in the
// list of those that are done.
func (s *Spool) remove(f *spoolFile) {
	err := s.tryRemove(f)
	s.trouble(f.name, err)
	if err != nil {
		return
	}
	s.gone = append(s.gone, f.mark)
	if len(s.gone) >= 2*maxFinished {
		s.sync()
	}
}

func (s *Spool) tryRemove(f *spoolFile) error {
	path := filepath.Join(s.o.Path, f.name)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("all of it is kept, but it cannot be removed: %w", err)
	}
	if m := markOf(info); !m.same(&f.mark) {
		s.relist = true // another of the same name has come meanwhile
		return nil
	}
	for _, d := range s.cur.Done {
		if d.same(&f.mark) && f.mark.Count == 0 {
			f.mark.Count, f.mark.Reasons = d.Count, d.Reasons
		}
	}
	switch {
	case f.mark.Count > 0:
		err = s.moveRejected(path, f)
	case s.o.After == Archive:
		_, err = s.move(path, archiveDir, f.name)
	default:
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("all of it is kept, but it cannot be removed: %w", err)
	}
	return nil
}

// moveRejected moves f to rejected/ with the reasons beside it.
func (s *Spool) moveRejected(path string, f *spoolFile) error {
	to, err := s.move(path, rejectedDir, f.name)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "time: %s\nfile: %s\nrejected: %d\n", time.Now().UTC().Format(time.RFC3339), f.name, f.mark.Count)
	for _, r := range f.mark.Reasons {
		fmt.Fprintf(&b, "offset %d: %s\n", r.Off, r.Text)
	}
	if n := f.mark.Count - len(f.mark.Reasons); n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	tmp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".tmp")
	// The directory may be others' to write as well: what lies there under this name, a link
	// to a file of ours perhaps, is not written to.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = out.WriteString(b.String())
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, to+".reason")
}

// move moves a file into a directory of the spool, under a name that is free there.
func (s *Spool) move(path, dir, name string) (string, error) {
	dir = filepath.Join(s.o.Path, dir)
	mode := fs.FileMode(0o750)
	if info, err := os.Stat(s.o.Path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := ours(dir); err != nil {
		return "", err
	}
	ext := filepath.Ext(name)
	to := filepath.Join(dir, name)
	for n := 1; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		to = filepath.Join(dir, fmt.Sprintf("%s.%d%s", strings.TrimSuffix(name, ext), n, ext))
	}
	if err := os.Rename(path, to); err != nil {
		return "", err
	}
	return to, syncDir(dir)
}

// ours refuses a link that another user has put where files are to be moved to.
func ours(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is another user's link; files are not moved to where it leads", dir)
	}
	return nil
}

// sync makes the removals durable before the cursor forgets them.
func (s *Spool) sync() {
	if len(s.gone) == 0 {
		return
	}
	if err := syncDir(s.o.Path); err != nil {
		s.setProblem(err.Error())
		return
	}
	for _, m := range s.gone {
		s.cur.forget(&m)
	}
	s.gone = s.gone[:0]
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", path, err)
	}
	return nil
}
