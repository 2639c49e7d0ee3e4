package tailer

// identify finds the stream that f holds, or makes one. It leaves f without one
// while it looks like a copy that is being made.
func (l *Log) identify(f *file) {
	f.copying = false
	f.restat() // after the live file was looked at: if that was cut, this copy is whole
	if f.size == 0 {
		return
	}
	var best *stream
	for _, s := range l.cur.streams {
		if (best == nil || s.off > best.off) && l.holds(f, s) {
			best = s
		}
	}
	switch {
	case best != nil:
		l.attach(f, best)
	case f != l.live && l.partOfKnown(f):
		f.copying = true
	case f != l.live && !f.mod.After(l.cur.horizon):
		f.old = true
	default:
		l.attach(f, l.addStream())
		l.begin(f)
	}
}

func (l *Log) addStream() *stream {
	s := newStream()
	l.cur.streams = append(l.cur.streams, s)
	return s
}

func (l *Log) attach(f *file, s *stream) {
	if l.holder(s, f) == nil {
		s.file = f.id
	}
	f.s = s
	s.path, s.missing = f.path, noTime
}

// detach parts f from its stream, whose content it holds no longer.
func (l *Log) detach(f *file) {
	s := f.s
	f.s = nil
	if s.file != f.id {
		return
	}
	s.file = fileID{}
	if g := l.holder(s, nil); g != nil {
		s.file, s.path = g.id, g.path
	}
}

// begin sets where reading of a new stream starts.
func (l *Log) begin(f *file) {
	if !l.first || l.dir.scanned || l.o.Start == FromBeginning {
		return
	}
	at := f.size // rotated before the first run
	if f == l.live {
		at = lineStart(f.f, f.size, int64(l.o.MaxLine))
	}
	l.skip(f, at)
}

// skip makes at the position without handing anything over.
func (l *Log) skip(f *file, at int64) {
	f.s.advance(at)
	if err := f.s.moveTo(at, f.f); err != nil {
		f.s.advance(0)
		f.stale = true
		return
	}
	f.s.done = f != l.live
	l.dirty = true
}

// holder is a file other than f that holds s.
func (l *Log) holder(s *stream, f *file) *file {
	var best *file
	for _, g := range l.files {
		if g != f && g.s == s && (best == nil || g.size > best.size) {
			best = g
		}
	}
	return best
}

// holds reports whether f is what s was read from, or a copy of it.
func (l *Log) holds(f *file, s *stream) bool {
	if s.off > 0 && !s.matches(f.f, f.size) || s.off == 0 && !s.sameHead(f.f) {
		return false
	}
	g := l.holder(s, f)
	if g == nil && s.off > 0 && s.file != f.id {
		// The inode it was read from last may be there, and not looked at yet.
		if h := l.files[s.file]; h != nil && h != f && h.s == nil && h.open() == nil && s.matches(h.f, h.size) {
			g = h
		}
	}
	if f == l.live && f.id != s.file {
		// A new file under the live name is not a copy, however it begins, while the
		// one it resembles is there too. One that was rewritten by an editor is.
		if g != nil && g.linked {
			return false
		}
		return s.off > headLen || g == nil && !s.done && s.off > 0
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

// lost reports whether f, which held s, was cut since it was looked at.
func (f *file) lost(s *stream) bool {
	info, err := f.f.Stat()
	return err != nil || info.Size() < s.size || !s.sameHead(f.f)
}

// partOfKnown reports whether all of f was read from another file: logrotate is
// copying, or somebody made a copy once.
func (l *Log) partOfKnown(f *file) bool {
	for _, s := range l.cur.streams {
		if f.size >= s.pos || s.off == 0 {
			continue
		}
		g := l.holder(s, f)
		if g != nil && g.size >= f.size && g.open() == nil {
			if partOf(f, g) {
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
func lineStart(r interface {
	ReadAt([]byte, int64) (int, error)
}, size, limit int64,
) int64 {
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
