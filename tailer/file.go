package tailer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fileID is an inode: a handle within a run, a mere hint across runs.
type fileID struct{ dev, ino uint64 }

func idOf(info os.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)} //nolint:unconvert // the types differ between systems
}

// maxOpen bounds the descriptors. The oldest unread files are held, since those are
// the next to be deleted.
const maxOpen = 32

// recent is how close to its last change a file may change again without its
// modification time telling.
const recent = 2 * time.Second

// file is an inode that holds, or may hold, some of the log.
type file struct {
	id   fileID
	path string
	// f is open for the live file and for those with something to read.
	f *os.File
	// s is nil until there is something to know the file by.
	s    *stream
	size int64
	mod  time.Time
	// linked: it has a name somewhere. known: under one that we watch.
	linked, known bool
	// stale: it changed since its content was compared with s.
	stale bool
	// copying: it holds a part of what is known already, like a copy being made.
	copying bool
	// old: it was read and has been forgotten since.
	old bool
	// quiet is since when it has not changed.
	quiet time.Time
	// trouble is why it cannot be read.
	trouble error
}

// refresh takes in what stat says.
func (f *file) refresh(info os.FileInfo, now time.Time) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.linked = st.Nlink > 0
	}
	if info.Size() != f.size || !info.ModTime().Equal(f.mod) {
		f.size, f.mod = info.Size(), info.ModTime()
		f.quiet, f.stale, f.old = now, true, false
	}
	if now.Sub(f.mod) < recent {
		f.stale = true
	}
}

// restat looks at f, which is open, again.
func (f *file) restat() {
	if info, err := f.f.Stat(); err == nil {
		f.refresh(info, time.Now())
	}
}

// open opens f under the name it had last, if that is still its name.
func (f *file) open() error {
	if f.f != nil {
		return nil
	}
	fd, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := fd.Stat()
	if err == nil && idOf(info) != f.id {
		err = fmt.Errorf("%s: %w", f.path, errChanged)
	}
	if err != nil {
		fd.Close()
		return err
	}
	f.f = fd
	return nil
}

func (f *file) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// unread: there is something that has not been looked at.
func (f *file) unread() bool {
	return f.s != nil && f.size > f.s.pos && f.size > f.s.scanned
}

// sameBytes compares [from, to) of two files, at most the last block of it.
func sameBytes(a, b io.ReaderAt, from, to int64) bool {
	if from = max(from, to-4096); from >= to {
		return true
	}
	x, y := make([]byte, to-from), make([]byte, to-from)
	if n, _ := a.ReadAt(x, from); n < len(x) {
		return false
	}
	if n, _ := b.ReadAt(y, from); n < len(y) {
		return false
	}
	return bytes.Equal(x, y)
}

// partOf reports whether g begins with what f holds. Both are open.
func partOf(f, g *file) bool {
	return f.size <= g.size && sameBytes(f.f, g.f, 0, min(f.size, headLen)) && sameBytes(f.f, g.f, 0, f.size)
}

// rotated reports whether name is one that base gets when it is rotated.
func rotated(base, name string) bool {
	rest, ok := strings.CutPrefix(name, base)
	return ok && len(rest) > 1 && (rest[0] == '.' || rest[0] == '-')
}

// compressed and foreign are names beside a log that are not read.
func compressed(name string) bool {
	switch filepath.Ext(name) {
	case ".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip":
		return true
	}
	return false
}

func foreign(name string) bool {
	switch filepath.Ext(name) {
	case ".lock", ".pid", ".swp", ".tmp":
		return true
	}
	return false
}

// sequence is the number at the end of a rotated file's name, 0 where it has none.
// Of two files of one age the one with the higher number is the older: .2 was .1
// before. A date or a number with leading zeros is no such number.
func sequence(path string) int {
	suffix := path[strings.LastIndexByte(path, '.')+1:]
	n, err := strconv.Atoi(suffix)
	if err != nil || len(suffix) > 4 || suffix[0] == '0' {
		return 0
	}
	return n
}
