package tailer

import (
	"os"
	"slices"
	"strings"
	"time"
)

// inodes are the files of a log, whatever they hold.
type inodes struct {
	files map[fileID]*file
	// live is the one at the log's path; nil where there is none.
	live *file
}

// holdings is which streams the files of a log hold.
type holdings struct {
	inodes
	cur *checkpoint
	// dirty: cur has changed since the handler last kept it.
	dirty bool
	// skipFirst: what is found is older than the first run, and not wanted.
	skipFirst bool
	maxLine   int64
	// complete: when the directories were last read nothing was missed, so that whatever is
	// not in files is younger than what is.
	complete bool
}

// unread lists the files with something to read, in the order to read them. What a file in
// doubt holds may be another's: it waits.
func (n *inodes) unread() []*file {
	var list []*file
	for _, f := range n.files {
		if f.unread() && f.doubt.IsZero() {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, n.byAge)
	return list
}

// add returns the file of an inode, a new one where it was not known.
func (n *inodes) add(path string, info os.FileInfo, now time.Time) *file {
	id := idOf(info)
	f := n.files[id]
	if f == nil {
		f = &file{id: id, size: -1}
		n.files[id] = f
	}
	f.spoiled = f.spoiled && f.path == path
	f.path, f.known = path, true
	if f.s != nil && f.s.file == id {
		f.s.path = path
	}
	f.refresh(info, now)
	return f
}

func (n *inodes) forget(f *file) {
	f.close()
	f.release()
	delete(n.files, f.id)
}

// restat looks at all open files. The live one comes last: where a copy of it has
// been found, it must be known as it was when it was copied, or later.
func (n *inodes) restat() {
	for _, f := range n.files {
		if f != n.live && f.f != nil {
			f.restat()
		}
	}
	if n.live != nil && n.live.f != nil {
		n.live.restat()
	}
}

// open counts the open files.
func (n *inodes) open() (count int) {
	for _, f := range n.files {
		if f.f != nil {
			count++
		}
	}
	return count
}

// lag is how many bytes on the disk have not been read.
func (h *holdings) lag() (n int64) {
	for _, f := range h.files {
		if f.s == nil && !f.copying && !f.old {
			n += f.size
		}
	}
	for _, s := range h.cur.streams {
		if f := s.holder(nil); f != nil {
			n += max(0, f.end()-s.pos-s.lead)
		}
	}
	return n
}

// byAge orders files for reading: those begun before the others, then the oldest,
// and the live one last.
func (n *inodes) byAge(a, b *file) int {
	begun := func(f *file) int {
		switch {
		case f == n.live:
			return 2
		case f.s != nil && f.s.off > 0:
			return 0
		}
		return 1
	}
	if c := begun(a) - begun(b); c != 0 {
		return c
	}
	if c := a.mod.Compare(b.mod); c != 0 {
		return c
	}
	if c := sequence(b.path) - sequence(a.path); c != 0 {
		return c
	}
	return strings.Compare(a.path, b.path)
}

func (n *inodes) close() {
	for _, f := range n.files {
		f.close()
	}
}
