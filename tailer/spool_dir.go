package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// spoolDir is an open directory. Names in it are single components, so nothing outside of
// it can be reached; links in it are not followed.
type spoolDir struct {
	root *os.Root
	fd   *os.File // the same, for what os.Root cannot do
	info os.FileInfo
}

func openSpoolDir(path string) (*spoolDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unlisted(path, err)
	}
	return newSpoolDir(root)
}

func newSpoolDir(root *os.Root) (*spoolDir, error) {
	fd, err := root.Open(".")
	if err == nil {
		var info os.FileInfo
		if info, err = fd.Stat(); err == nil {
			return &spoolDir{root, fd, info}, nil
		}
		err = errors.Join(err, fd.Close())
	}
	return nil, errors.Join(unlisted(root.Name(), err), root.Close())
}

// unlisted explains why a directory that may be entered (0711) cannot be opened.
func unlisted(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, enter := os.Stat(path + "/."); enter != nil {
		return err
	}
	return fmt.Errorf("directory %s cannot be listed; it needs the right to read it beside the one to enter it: %w", path, err)
}

func (d *spoolDir) close() error { return errors.Join(d.fd.Close(), d.root.Close()) }

func (d *spoolDir) path() string { return d.root.Name() }

// sync makes what was renamed and removed in the directory durable.
func (d *spoolDir) sync() error {
	if err := d.fd.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", d.path(), err)
	}
	return nil
}

// sub opens a directory of this one and makes it where it is missing.
func (d *spoolDir) sub(name string) (*spoolDir, error) {
	if err := d.root.Mkdir(name, d.info.Mode().Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(d.path(), name)
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s is a link; files are not moved to where it leads: make it a directory", path)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is in the way of a directory of that name", path)
	}
	if uid := ownerOf(info); uid != 0 && uid != os.Geteuid() && uid != ownerOf(d.info) {
		return nil, fmt.Errorf("%s is user %d's, who is neither the agent's user nor the owner of %s; files are not moved there", path, uid, d.path())
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	sub, err := newSpoolDir(root)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, sub.info) {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, errChanged), sub.close())
	}
	return sub, nil
}

// open opens a regular file that has no other name than this one.
func (d *spoolDir) open(name string) (*os.File, os.FileInfo, error) {
	before, err := d.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: %s", errOther, kindOf(before.Mode()))
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !os.SameFile(before, info):
		err = errChanged
	case linksOf(info) > 1:
		err = errLinked
	default:
		err = d.vouchesFor(info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

var (
	errOther  = errors.New("no regular file")
	errLinked = errors.New("a hard link: the file has another name, and may be one that its producer could not read")
)

// vouchesFor refuses a file that the directory's owner could not have read: it was moved
// here unread, for the agent to publish it.
func (d *spoolDir) vouchesFor(info os.FileInfo) error {
	owner := ownerOf(d.info)
	if owner == 0 || owner == os.Geteuid() || ownerOf(info) == owner || info.Mode()&0o004 != 0 ||
		info.Mode()&0o040 != 0 && groupOf(info) == groupOf(d.info) {
		return nil
	}
	return fmt.Errorf("user %d, whose directory it is in, could not read it: chown or chmod the file", owner)
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func stat(info os.FileInfo) *syscall.Stat_t {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &syscall.Stat_t{}
	}
	return st
}

func ownerOf(info os.FileInfo) int    { return int(stat(info).Uid) }
func blocksOf(info os.FileInfo) int64 { return stat(info).Blocks }
func groupOf(info os.FileInfo) int    { return int(stat(info).Gid) }
func linksOf(info os.FileInfo) int    { return int(stat(info).Nlink) }
