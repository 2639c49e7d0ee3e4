package tailer

import (
	"context"
	"io"
	"time"
)

// Which stream a file holds is asked of its content, since neither name nor inode says so: a
// rename keeps the inode, a copy and some network file systems do not, and a truncation keeps
// both. A file is one of these, asked in this order:
//
//	a holder     it begins as the stream does, and has the same before its position
//	resumed      the live file, a part of which was read, and which nothing else holds whole
//	copying      all of it is part of a stream: a copy that is being made
//	old          it was read and then forgotten, or shredded after it was read
//	new          nothing of it is known
//
// Two files may begin alike, as the same banner written after each rotation does. So what
// counts as a holder must also agree with the file that holds the stream now, as far as both
// reach; and the live file is no copy of one that is still there. "New" is believed last of
// all: it reads everything again, as a wrong "old" or "copying" loses it. Where a file cannot
// be read, none of them is believed (undecided).

// match finds the stream that f holds, or makes one. It leaves f without one while it
// looks like a copy that is being made, and where it cannot be told now.
func (h *holdings) match(ctx context.Context, f *file) error {
	f.copying = false
	f.restat() // after the live file was looked at: if that was cut, this copy is whole
	if f.size == 0 {
		return nil
	}
	var best *stream
	for _, s := range h.cur.streams {
		if (best == nil || s.off > best.off) && h.holds(f, s) {
			best = s
		}
	}
	if best != nil && f.failed == nil {
		f.attach(best)
		return nil
	}
	if f == h.live && h.resumes(ctx, f) {
		return nil
	}
	part, spoiled := f != h.live && h.partOfKnown(f), f != h.live && f.overwritten()
	if err := h.undecided(f); err != nil {
		return err
	}
	switch {
	case part:
		f.copying = true
	case f != h.live && h.cur.forgot(f), spoiled:
		f.old = true
	default:
		f.attach(h.cur.add())
		h.begin(f)
	}
	return nil
}

// doubtFor is for how long what a file holds may be left open because another, which it must be
// compared with, cannot be read.
const doubtFor = time.Minute

// undecided returns why it cannot be told what f holds: it, or a file that it was compared
// with, could not be opened or read since forgetFailures.
func (h *holdings) undecided(f *file) error {
	if f.failed != nil {
		return f.failed
	}
	if !f.doubt.IsZero() && time.Since(f.doubt) > doubtFor {
		return nil
	}
	for _, g := range h.files {
		if g.failed != nil {
			return g.failed
		}
	}
	return nil
}

func (h *holdings) forgetFailures() {
	for _, f := range h.files {
		f.failed = nil
	}
}

// begin sets where reading of a new stream starts.
func (h *holdings) begin(f *file) {
	if !h.skipFirst {
		return
	}
	at := f.size // rotated before the first run
	if f == h.live {
		at = lineStart(f.f, f.size, h.maxLine)
	}
	h.skip(f, at)
}

// skip makes at the position without handing anything over.
func (h *holdings) skip(f *file, at int64) {
	f.s.advance(at)
	if err := f.s.moveTo(at, f.f); err != nil {
		f.s.advance(0)
		f.stale = true
		return
	}
	f.s.done = f != h.live
	h.dirty = true
}

// continues reports whether f still holds its stream.
func (h *holdings) continues(f *file) bool {
	s := f.s
	if s.off == 0 {
		return f.size >= max(s.pos, s.scanned) && s.sameHead(f.f)
	}
	if g := s.holder(f); f.size < s.pos && f != h.live && g != nil && g.open() == nil {
		return f.partOf(g) // a copy, overtaken by its original
	}
	return s.matches(f.f, f.size)
}

// holds reports whether f is what s was read from, or a copy of it.
func (h *holdings) holds(f *file, s *stream) bool {
	if s.off > 0 && !s.matches(f.f, f.size) || s.off == 0 && !s.sameHead(f.f) {
		return false
	}
	g := s.holder(f)
	if g == nil && s.off > 0 && s.file != f.id {
		// The inode it was read from last may be there, and not looked at yet.
		if o := h.files[s.file]; o != nil && o != f && o.s == nil && o.open() == nil && s.matches(o.f, o.size) {
			g = o
		}
	}
	if f == h.live && f.id != s.file {
		// A new file under the live name is not a copy, however it begins, while the one
		// it resembles is there too. One that was rewritten by an editor is, and one whose
		// inode has another number by now.
		if g != nil {
			return s.off > 0 && !g.renamed()
		}
		return s.off > headLen || !s.done && s.off > 0
	}
	if g != nil && g.open() == nil {
		common := min(f.size, g.size)
		if (s.off > 0 || common > 0) && sameBytes(f.f, g.f, s.off, common) {
			return true
		}
		if !g.lost(s) {
			return false
		}
		f.restat()
	}
	// Of a stream that was lost before anything was read the head must do.
	return s.off > 0 || s.head.n > 0 && f.size >= s.size
}

// partOfKnown reports whether all of f was read from another file: logrotate is
// copying, or somebody made a copy once.
func (h *holdings) partOfKnown(f *file) bool {
	for _, s := range h.cur.streams {
		if f.size >= s.pos || s.off == 0 {
			continue
		}
		g := s.holder(f)
		if g != nil && g.size >= f.size && g.open() == nil {
			if f.partOf(g) {
				return true
			}
			if !g.lost(s) {
				continue
			}
			f.restat()
		}
		if f.size >= int64(s.head.n) && s.sameHead(f.f) {
			return true
		}
	}
	return false
}

// lineStart is where the line at the end of r begins, looking back at most limit bytes.
func lineStart(r io.ReaderAt, size, limit int64) int64 {
	buf := make([]byte, 4096)
	for end := size; end > 0 && size-end < limit; {
		from := max(0, end-int64(len(buf)))
		n, _ := r.ReadAt(buf[:end-from], from)
		for i := n - 1; i >= 0; i-- {
			if buf[i] == '\n' {
				return from + int64(i) + 1
			}
		}
		if from == 0 {
			return 0
		}
		end = from
	}
	return size
}
