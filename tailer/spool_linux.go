package tailer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames a file and fails with fs.ErrExist where the new name is taken.
func renameNew(from *os.File, name string, to *os.File, target string) error {
	err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), target, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // some network file systems
		return renameUnlocked(from, name, to, target)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: name, New: target, Err: err}
	}
	return nil
}

// writersOf reports whether anybody has the file open for writing. A lease on a file is
// refused while somebody has; only its owner, or root, may ask for one.
func writersOf(f *os.File) writers {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return noWriter
	case errors.Is(err, unix.EAGAIN):
		return someWriter
	}
	return unknownWriter
}

// dataAt returns where the next data begins, at off or behind a hole; the size where none
// follows.
func dataAt(f *os.File, off, size int64) int64 {
	at, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	switch {
	case err == nil:
		return at
	case errors.Is(err, unix.ENXIO):
		return max(off, size)
	}
	return off
}
