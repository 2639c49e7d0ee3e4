package tailer

import (
	"bytes"
	"errors"
	"io"
)

// blockLen is how much is looked at in one go.
const blockLen = 64 << 10

// extent is a run of whole lines, none longer than the limit.
type extent struct {
	start, end int64
	// last is where its last line begins, longest the length of its longest
	// line without terminator.
	last    int64
	longest int
	lines   int
	// ahead is how many bytes are known to follow.
	ahead int64
	// long: there are no lines, and the one at start, up to end, is over the limit.
	long bool
}

// scanner finds extents.
type scanner struct {
	maxLine, maxLines int
	maxBytes          int64
	block             []byte
}

// next looks for whole lines of r, which is of this size, at s.pos. What it
// learns of a line that has no end yet is kept in s, so that a growing line is
// looked at once.
func (sc *scanner) next(r io.ReaderAt, size int64, s *stream) (extent, error) {
	if s.scanned < s.pos {
		s.scanned, s.lead = s.pos, 0
	}
	start := s.pos + s.lead
	e := extent{start: start, end: start}
	for at := s.scanned; at < size; {
		n, err := r.ReadAt(sc.block[:min(blockLen, size-at)], at)
		if n == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return e, err
			}
			return e, errChanged
		}
		if stop := sc.lines(&e, s, sc.block[:n], at); stop {
			e.ahead = size - e.end
			return e, nil
		}
		at += int64(n)
		switch {
		case e.lines == 0:
			s.scanned = at
		case at-e.end > aheadLimit:
			// Whatever this line is, it is not looked at before its turn.
			e.ahead = size - e.end
			return e, nil
		}
	}
	e.ahead = size - e.end
	return e, nil
}

// lines adds the lines that end in block to e. stop: the extent is complete.
func (sc *scanner) lines(e *extent, s *stream, block []byte, at int64) (stop bool) {
	for i := 0; i < len(block); {
		if e.end == at+int64(i) && block[i] == 0 {
			// A writer that kept its offset over a truncation leaves a hole.
			if e.lines > 0 {
				return true
			}
			n := int64(len(block) - i - len(bytes.TrimLeft(block[i:], "\x00")))
			e.start, e.end = e.start+n, e.end+n
			s.lead += n
			i += int(n)
			continue
		}
		nl := bytes.IndexByte(block[i:], '\n')
		if nl < 0 {
			return false
		}
		end := at + int64(i+nl)
		length := end - e.end
		if length > int64(sc.maxLine) {
			if e.lines == 0 {
				e.end, e.long = end+1, true
			}
			return true
		}
		e.last, e.end = e.end, end+1
		e.longest = max(e.longest, int(length))
		e.lines++
		i += nl + 1
		if e.lines >= sc.maxLines || e.end-e.start >= sc.maxBytes {
			return true
		}
	}
	return false
}
