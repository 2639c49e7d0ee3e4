package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What becomes of a file in the directory: it is deleted, or moved to archive/ or rejected/.
// A producer may at any time move another file to the same name. So a file is first renamed,
// never over another, and only then looked at: what is not the file that was read goes back.

const (
	archiveDir  = "archive"
	rejectedDir = "rejected"
	// takenName begins the name that a file has between being taken out of the others' way
	// and its removal.
	takenName = ".taken-by-intellidocs-agent"
)

// errTaken: a crash had left a file under the name that another was to be taken by.
var errTaken = errors.New("a file is still taken")

// delete removes the file that info is of.
func (d *spoolDir) delete(name string, info os.FileInfo) error {
	taken := takenName + filepath.Ext(name)
	if err := renameNew(d.fd, name, d.fd, taken); err != nil {
		if errors.Is(err, fs.ErrExist) && d.giveBack(taken) {
			return errTaken
		}
		return err
	}
	if err := d.verify(name, info, d, taken); err != nil {
		return err
	}
	return d.root.Remove(taken)
}

// giveBack makes a file visible again that a crash left between two names.
func (d *spoolDir) giveBack(taken string) bool {
	for n := range 1000 {
		err := renameNew(d.fd, taken, d.fd, numbered("taken"+filepath.Ext(taken), n))
		if !errors.Is(err, fs.ErrExist) {
			return true
		}
	}
	return false
}

// moveToArchive moves the file that info is of to archive/.
func (d *spoolDir) moveToArchive(name string, info os.FileInfo) error {
	to, err := d.sub(archiveDir)
	if err != nil {
		return err
	}
	_, err = d.putInto(name, info, to)
	return errors.Join(err, to.sync(), to.close())
}

// reject moves the file that info is of to rejected/ with the reasons beside it.
func (d *spoolDir) reject(name string, info os.FileInfo, reasons string) error {
	to, err := d.sub(rejectedDir)
	if err != nil {
		return err
	}
	defer to.close()
	// The reasons are written first: a full disk must not part them from the file.
	tmp := "." + numbered(name, 0) + ".tmp"
	if err := to.writeNew(tmp, reasons); err != nil {
		return err
	}
	target, err := d.putInto(name, info, to)
	if err != nil {
		return errors.Join(err, to.root.Remove(tmp))
	}
	return errors.Join(to.root.Rename(tmp, target+".reason"), to.sync())
}

// writeNew writes a file. What lies there under its name, a link to a file of ours perhaps,
// is removed and not written to.
func (d *spoolDir) writeNew(name, content string) error {
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

// putInto moves a file from d to another directory under a name that is free there, and
// returns that name. What is moved must still be the file that info is of; anything else
// that has taken its name meanwhile goes back.
func (d *spoolDir) putInto(name string, info os.FileInfo, to *spoolDir) (string, error) {
	for n := 0; ; n++ {
		target := numbered(name, n)
		err := renameNew(d.fd, name, to.fd, target)
		if errors.Is(err, fs.ErrExist) && n < 1_000_000 {
			continue
		}
		if err != nil {
			return "", err
		}
		return target, d.verify(name, info, to, target)
	}
}

// verify reports whether the file that was just moved is the one that info is of.
func (d *spoolDir) verify(name string, info os.FileInfo, to *spoolDir, target string) error {
	now, err := to.root.Lstat(target)
	if err == nil && os.SameFile(now, info) {
		return nil
	}
	for n := 0; err == nil; n++ {
		err = renameNew(to.fd, target, d.fd, numbered(name, n))
		if errors.Is(err, fs.ErrExist) {
			err = nil
			continue
		}
		break
	}
	return errors.Join(errChanged, err)
}

// numbered puts n before the extension of a name, and keeps it short enough for a file system.
func numbered(name string, n int) string {
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	if len(ext) > 16 {
		base, ext = name, ""
	}
	if n > 0 {
		ext = fmt.Sprintf(".%d%s", n, ext)
	}
	return base[:min(len(base), 220)] + ext
}
