package tailer

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"time"
)

// stream is some content that is being read, whatever files hold it. DESIGN.md has its
// states.
type stream struct {
	id string
	// off is the position that is durable: restarts continue here. pos is how far it
	// has been read; the two differ while a piece of a cut line is held.
	off, pos int64
	// head covers the first min(off, headLen) bytes, tail the min(off, tailLen) before
	// off. Before anything is read, head covers what was there at first sight.
	head, tail fingerprint
	// file and path are where it was last seen: hints only.
	file fileID
	path string
	read time.Time
	done bool

	// known are the sums of what was read, up to pos. rest are those of what the file
	// holds of its former content behind what a writer has overwritten so far; rest is
	// not read again.
	known, rest chunks
	// files are those that hold it now.
	files []*file
	// The line at pos has lead NUL bytes in front and no end before scanned.
	lead, scanned int64
	// NUL bytes before trusted are what they are; zeros are the first behind it.
	trusted int64
	zeros   zeroRun
	// size is the largest size seen, -1 where no file has been found since the start.
	size int64
	// missing is since when no file holds it.
	missing time.Time
}

func newStream() *stream { return &stream{id: newStreamID(), size: -1} }

func newStreamID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says crypto/rand
	return hex.EncodeToString(b[:])
}

// holder returns the largest file that holds s, other than f; nil where there is none.
func (s *stream) holder(f *file) *file {
	var best *file
	for _, g := range s.files {
		if g != f && (best == nil || g.size > best.size) {
			best = g
		}
	}
	return best
}

// advance moves the reading position to the beginning of another line.
func (s *stream) advance(pos int64) {
	s.pos, s.scanned, s.lead, s.zeros = pos, pos, 0, zeroRun{}
}

// matches reports whether r, of this size, holds what was read of s.
func (s *stream) matches(r io.ReaderAt, size int64) bool {
	return s.off > 0 && size >= s.pos && s.sameHead(r) && s.sameTail(r)
}

func (s *stream) sameHead(r io.ReaderAt) bool {
	p, ok := fingerprintAt(r, 0, s.head.n)
	return ok && p == s.head
}

func (s *stream) sameTail(r io.ReaderAt) bool {
	p, ok := fingerprintAt(r, s.off-int64(s.tail.n), s.tail.n)
	return ok && p == s.tail
}

// sight takes the fingerprint of a stream of which nothing was read yet, up to where data
// may yet arrive.
func (s *stream) sight(r io.ReaderAt, size int64) bool {
	if s.off > 0 || s.head.n == headLen {
		return true
	}
	head, ok := readAt(r, 0, min(size, headLen))
	if zero := bytes.IndexByte(head, 0); zero >= 0 {
		head = head[:zero]
	}
	if ok {
		s.head = fingerprintOf(head)
	}
	return ok
}

// confirm moves s, of which raw was read at start, to end, if r still holds all of
// that. Without this a file that is cut and written again in the middle of a read
// would be taken for what it was.
func (s *stream) confirm(r io.ReaderAt, raw []byte, start, end int64) error {
	head, ok1 := readAt(r, 0, max(min(end, headLen), int64(s.head.n)))
	tail, ok2 := readAt(r, max(0, end-tailLen), min(end, tailLen))
	if !ok1 || !ok2 || !agree(head, 0, raw, start) || !agree(tail, end-int64(len(tail)), raw, start) {
		return errChanged
	}
	if s.head.n > 0 && fingerprintOf(head[:s.head.n]) != s.head || s.off > 0 && !s.sameTail(r) {
		return errChanged
	}
	s.off, s.head, s.tail = end, fingerprintOf(head), fingerprintOf(tail)
	if s.known.cover(start); int64(len(raw)) == end-start {
		s.known.add(raw, start)
	}
	s.known.cover(end)
	s.advance(end)
	return nil
}

// resume makes reading continue at same, up to where r is what was read, and before rest,
// from where on it is that again. What is read then of an overwritten file is another stream.
func (s *stream) resume(r io.ReaderAt, same int64, rest chunks) error {
	head, ok1 := fingerprintAt(r, 0, int(min(same, headLen)))
	n := min(same, tailLen)
	tail, ok2 := fingerprintAt(r, same-n, int(n))
	if !ok1 || !ok2 {
		return errChanged
	}
	s.off, s.head, s.tail, s.rest = same, head, tail, rest
	s.known.cut(same)
	s.advance(same)
	s.trusted, s.done = 0, false
	if len(rest.list) > 0 {
		s.id = newStreamID()
	}
	return nil
}

// content is all that is known of the file: what was read, and what it still holds behind that.
func (s *stream) content() *chunks {
	if len(s.rest.list) == 0 {
		return &s.known
	}
	all := chunks{list: slices.Clone(s.known.list)}
	if s.rest.start > all.end() {
		all.list = append(all.list, chunk{end: s.rest.start, unread: true})
	}
	all.list = append(all.list, s.rest.list...)
	return &all
}

// skipRest makes reading continue behind rest, which r holds still and which has grown.
func (s *stream) skipRest(r io.ReaderAt) error {
	end := s.rest.end()
	if err := s.moveTo(end, r); err != nil {
		return err
	}
	s.known.cover(s.rest.start)
	s.known.list = append(s.known.list, s.rest.list...)
	s.rest = chunks{}
	s.advance(end)
	return nil
}

// moveTo makes off the durable position. r holds the content.
func (s *stream) moveTo(off int64, r io.ReaderAt) error {
	if off == s.off {
		return nil
	}
	if n := int(min(off, headLen)); n > s.head.n {
		p, ok := fingerprintAt(r, 0, n)
		if !ok {
			return errChanged
		}
		s.head = p
	}
	n := int(min(off, tailLen))
	p, ok := fingerprintAt(r, off-int64(n), n)
	if !ok {
		return errChanged
	}
	s.off, s.tail = off, p
	return nil
}
