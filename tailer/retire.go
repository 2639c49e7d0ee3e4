package tailer

import (
	"time"
)

var noTime time.Time

// quietSweeps is after how many sweeps without a change a rotated file is taken to be
// finished (3 s by default). It is opened again if it grows after that.
const quietSweeps = 15

// lingerFactor is for how many times that long a file that was moved away is held
// open: no name leads back to it if it is written to after all.
const lingerFactor = 20

// retire lets go what has ended: copies, files that are read to their end and quiet. Of
// the files it returns the last line, which may lack its terminator, is still to be read.
func (set *fileset) retire(now time.Time) (ending []*file) {
	for _, f := range set.files {
		if f == set.live {
			continue
		}
		quiet := now.Sub(f.changed)
		switch {
		case f.s == nil:
			set.retireLoose(f, quiet)
		case quiet < set.quiet || f.unread() || f.trouble != nil:
		case !f.s.done && !set.overtaken(f):
			ending = append(ending, f)
		default:
			set.letGo(f, quiet)
		}
	}
	return ending
}

// overtaken reports whether another file is where f's stream continues.
func (set *fileset) overtaken(f *file) bool {
	g := f.s.holder(f)
	return g != nil && (g == set.live || g.size > f.size)
}

// retireLoose lets go a file that holds no stream.
func (set *fileset) retireLoose(f *file, quiet time.Duration) {
	if f.copying && quiet >= set.quiet {
		set.retireCopy(f)
	}
	switch {
	case !f.known:
		set.vanish(f)
	case quiet >= set.quiet:
		f.close()
	}
}

// letGo closes f, which has nothing to read, unless it would be out of sight then.
func (set *fileset) letGo(f *file, quiet time.Duration) {
	switch {
	case f.known:
		f.close()
	case set.live == nil:
		// Nothing has taken its place: who deletes a log does not stop its writer.
	case !f.linked || quiet >= lingerFactor*set.quiet:
		set.forget(f)
	}
}

// retireCopy records a file that holds only what was read elsewhere as read, so that it
// is known when its original is gone.
func (set *fileset) retireCopy(f *file) {
	if f.open() != nil {
		return
	}
	defer f.close()
	for _, s := range set.cur.streams {
		if g := s.holder(f); g != nil && f.size < s.pos && g.open() == nil && f.partOf(g) {
			return // as long as the original is there it may yet be growing
		}
	}
	f.copying = false
	f.attach(set.cur.add())
	set.skip(f, f.size)
}

// prune bounds the checkpoint.
func (h *holdings) prune() {
	gone := 0
	for i := len(h.cur.streams) - 1; i >= 0; i-- {
		s := h.cur.streams[i]
		if len(s.files) > 0 {
			continue
		}
		if s.off == 0 && s.size <= s.pos {
			h.cur.drop(s)
		} else if s.done {
			if gone++; gone > maxGone && h.cur.behind.IsZero() { // else it may be what the backlog is known by
				h.cur.drop(s)
			}
		}
	}
	for len(h.cur.streams) > maxStreams {
		s := h.oldestDone()
		if s == nil {
			return
		}
		h.cur.drop(s)
	}
}

// oldestDone is the stream to be forgotten first; nil where none can be: all that is older is
// taken for read from then on.
func (h *holdings) oldestDone() *stream {
	var oldest *stream
	for _, s := range h.cur.streams {
		f := s.holder(nil)
		if f == nil && s.done {
			return s
		}
		if f == nil || f == h.live || s.pos < f.size || s.off < s.pos {
			continue
		}
		if oldest == nil || f.mod.Before(oldest.holder(nil).mod) {
			oldest = s
		}
	}
	if oldest == nil || !h.complete {
		return nil
	}
	for _, f := range h.files {
		if f != h.live && (f.unread() || f.unseen()) && !f.mod.After(oldest.holder(nil).mod) {
			return nil
		}
	}
	return oldest
}
