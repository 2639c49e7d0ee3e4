package tailer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
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
// modification time showing it.
const recent = 2 * time.Second

// file is an inode that holds, or may hold, some of the log. DESIGN.md has its states.
type file struct {
	id   fileID
	path string
	// f is open for the live file and for those with something to read.
	f *handle
	// s is nil until there is something to know the file by.
	s    *stream
	size int64
	mod  time.Time
	// linked: it has a name somewhere. known: under one that we watch. was: it was known
	// before the names were read last.
	linked, known, was bool
	// stale: it changed since its content was compared with s.
	stale bool
	// suspect: it is not what it was, and a copy of that is looked for.
	suspect bool
	// touched: it changed without growing, or what it was before is unknown. verify is when
	// it may be compared in whole again.
	touched bool
	verify  time.Time
	// copying: it holds a part of what is known already, like a copy being made.
	copying bool
	// old: it was read and has been forgotten since.
	old bool
	// spoiled: it was rotated, and holds no longer what it did under that name.
	spoiled bool
	// changed is when it was last seen to change.
	changed time.Time
	// trouble is why it cannot be read.
	trouble error
	// failed is why it could not be opened or read of late (handle). doubt is since
	// when what it holds could not be told for that.
	failed error
	doubt  time.Time
}

// handle is an open file that remembers that it could not be read. Those who compare contents
// cannot tell that from another content.
type handle struct {
	*os.File
	failed *error
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.File.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		*h.failed = err
	}
	return n, err
}

// refresh takes in what stat says.
func (f *file) refresh(info os.FileInfo, now time.Time) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.linked = st.Nlink > 0
	}
	if info.Size() != f.size || !info.ModTime().Equal(f.mod) {
		f.touched = f.touched || f.size < 0 || f.size == info.Size()
		f.size, f.mod = info.Size(), info.ModTime()
		f.changed, f.stale, f.old = now, true, false
		if f.s != nil {
			f.s.rescan()
		}
	}
	if now.Sub(f.mod) < recent {
		f.stale = true
	}
}

// restat brings f, which is open, up to date.
func (f *file) restat() {
	if info, err := f.f.Stat(); err == nil {
		f.refresh(info, time.Now())
	}
}

// isLinked reports whether f has a name, as far as that can be known.
func (f *file) isLinked() bool {
	if f.f != nil {
		f.restat()
	}
	return f.linked
}

// open opens f under the name it had last, if that is still its name.
func (f *file) open() error {
	if f.f != nil {
		return nil
	}
	fd, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if !elsewhere(err) {
			f.failed = err
		}
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
	f.f = &handle{fd, &f.failed}
	return nil
}

func (f *file) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// attach makes f a holder of s.
func (f *file) attach(s *stream) {
	if s.holder(f) == nil {
		s.file = f.id
	}
	f.s = s
	s.files = append(s.files, f)
	s.path, s.missing = f.path, noTime
}

// detach parts f from its stream, whose content it no longer holds.
func (f *file) detach() {
	s := f.s
	f.release()
	if s.file != f.id {
		return
	}
	s.file = fileID{}
	if g := s.holder(nil); g != nil {
		s.file, s.path = g.id, g.path
	}
}

// release takes f from its stream's holders; the stream keeps its last place.
func (f *file) release() {
	if f.s == nil {
		return
	}
	for i, g := range f.s.files {
		if g == f {
			f.s.files = append(f.s.files[:i:i], f.s.files[i+1:]...)
			break
		}
	}
	f.s = nil
}

// end is how far f can be read.
func (f *file) end() int64 {
	if f.s != nil && len(f.s.rest.list) > 0 {
		return min(f.size, f.s.rest.start)
	}
	return f.size
}

// unread reports whether there is something that has not been looked at.
func (f *file) unread() bool {
	return f.s != nil && f.end() > f.s.pos && f.end() > f.s.scanned
}

// unseen reports whether what f holds has not been looked at yet: it was not under its name any
// more when it should be opened, for one.
func (f *file) unseen() bool {
	return f.s == nil && f.size > 0 && !f.old && !f.copying && (f.trouble == nil || elsewhere(f.trouble))
}

// renamed reports whether the open f has another name than it had; not, where its inode got
// another number under the same one, as on some network file systems.
func (f *file) renamed() bool {
	if f.f == nil {
		return f.linked
	}
	name := f.nameNow()
	if name == "" {
		return f.linked
	}
	return f.linked && name != f.path && name != f.path+" (deleted)"
}

// nameNow is the name of the open f, empty where the system does not say.
func (f *file) nameNow() string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.f.Fd()))
	return name
}

// overwritten reports whether f, which is open, was made unreadable, as shred does before it
// deletes a file: it was rotated and read, and is no text now.
func (f *file) overwritten() bool {
	if !f.spoiled {
		return false
	}
	head, _ := readAt(f.f, 0, min(f.size, headLen))
	different := map[byte]bool{}
	for _, c := range head {
		different[c] = true
	}
	if len(different) <= 3 {
		return true // one of shred's patterns, which may be letters
	}
	for n := 0; len(head) > 0 && !utf8.Valid(head) && n < utf8.UTFMax; n++ {
		head = head[:len(head)-1] // a character may be cut
	}
	return len(head) == 0 || !utf8.Valid(head) || bytes.IndexByte(head, 0) >= 0
}

// lost reports whether f, which held s, was cut since it was looked at.
func (f *file) lost(s *stream) bool {
	info, err := f.f.Stat()
	return err != nil || info.Size() < s.size || !s.sameHead(f.f)
}

// partOf reports whether g begins with what f holds. Both are open.
func (f *file) partOf(g *file) bool {
	return f.size <= g.size && sameBytes(f.f, g.f, 0, min(f.size, headLen)) && sameBytes(f.f, g.f, 0, f.size)
}

// elsewhere reports whether err means that the file was not under its name any more.
func elsewhere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errChanged)
}

// readable returns why path could not be opened now, if it could not.
func readable(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS)
}
