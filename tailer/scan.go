package tailer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
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
	// patience is for how long NUL bytes in a file that does not change are waited for.
	patience time.Duration
	block    []byte // while it scans
}

// blocks are lent to whoever scans: many logs stand still at a time.
var blocks = sync.Pool{New: func() any { return new([blockLen]byte) }}

// borrow takes a block, unless there is one, and returns the function that puts it back.
func (sc *scanner) borrow() (back func()) {
	if sc.block != nil {
		return func() {}
	}
	block := blocks.Get().(*[blockLen]byte)
	sc.block = block[:]
	return func() {
		blocks.Put(block)
		sc.block = nil
	}
}

// next looks for whole lines of f at its stream's position. What it learns of a line that
// has no end yet is kept in the stream, so that a growing line is looked at once. The first
// NUL byte that is not trusted ends the extent: see trustZeros.
func (sc *scanner) next(ctx context.Context, f *file) (extent, error) {
	defer sc.borrow()()
	s, size := f.s, f.end()
	if s.scanned < s.pos {
		s.scanned, s.lead = s.pos, 0
	}
	start := s.pos + s.lead
	e := extent{start: start, end: start}
	for at, full := s.scanned, false; at < size && !full; {
		block, err := sc.read(ctx, f, at)
		if err != nil {
			return e, err
		}
		zero := s.firstZero(block, at)
		if zero >= 0 {
			block = block[:zero]
		}
		if at, full, err = sc.take(ctx, &e, f, block, at); err != nil {
			return e, err
		}
		if zero >= 0 && !full {
			trusted, err := sc.trustZeros(ctx, f, at)
			if err != nil {
				return e, err
			}
			full = !trusted
		}
	}
	e.ahead = size - e.end
	return e, nil
}

// read reads the block at the offset.
func (sc *scanner) read(ctx context.Context, f *file, at int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := f.f.ReadAt(sc.block[:min(blockLen, f.end()-at)], at)
	if n > 0 {
		return sc.block[:n], nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errChanged
}

// take adds what is in block, which was read at the offset, to e, and returns where the next
// one begins. full: the extent is complete.
func (sc *scanner) take(ctx context.Context, e *extent, f *file, block []byte, at int64) (next int64, full bool, err error) {
	s := f.s
	if allZero(block) {
		// A hole may be of any size, and is not read through.
		next, err := sc.zerosEnd(ctx, f, at)
		if next = min(next, s.trusted); err != nil || e.end == at && e.lines > 0 {
			return at, true, err
		}
		if e.end == at {
			s.lead += next - at
			e.start, e.end = next, next
		}
		if e.lines == 0 {
			s.scanned = next
		}
		return next, false, nil
	}
	if sc.lines(e, s, block, at) {
		return at, true, nil
	}
	at += int64(len(block))
	if e.lines == 0 {
		s.scanned = at
	}
	// Whatever the line is that has no end yet, it is not looked at before its turn.
	return at, e.lines > 0 && at-e.end > aheadLimit, nil
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
