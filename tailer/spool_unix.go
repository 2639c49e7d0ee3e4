package tailer

import (
	"os"

	"golang.org/x/sys/unix"
)

// writers is what is known of those who have a file open for writing.
type writers uint8

const (
	unknownWriter writers = iota
	noWriter
	someWriter
)

// renameUnlocked is renameNew where the system cannot do it in one step.
func renameUnlocked(from *os.File, name string, to *os.File, target string) error {
	var st unix.Stat_t
	err := unix.Fstatat(int(to.Fd()), target, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		err = unix.EEXIST
	} else if err == unix.ENOENT {
		err = unix.Renameat(int(from.Fd()), name, int(to.Fd()), target)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: name, New: target, Err: err}
	}
	return nil
}

// movedHere reports whether something was done to the file after it was last written: it was
// renamed, most likely.
func movedHere(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Ctim.Nano() > st.Mtim.Nano()
}

// unlinked reports whether the file has no name any more.
func unlinked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
}
