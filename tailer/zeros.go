package tailer

import (
	"bytes"
	"context"
	"time"
)

// NUL bytes in a log are one of three things: data that has yet to arrive, since network
// file systems show a file's size before its content; a hole, left by a writer that kept its
// offset over a truncation; or what a power cut made of data that never reached the disk.
// Only the first is worth waiting for, and nothing tells it from the others but time.

// zeroRun is a run of NUL bytes that is not trusted yet.
type zeroRun struct {
	at int64
	// since is when data was first seen behind it; zero while there is none.
	since time.Time
	// size is the file's then.
	size int64
	// idle: nothing follows, and the file does not change.
	idle bool
}

// maxPatience is how many times scanner.patience NUL bytes are waited for in a file that
// changes all the time.
const maxPatience = 5

// firstZero is the index of the first NUL in block, which was read at the offset, that may
// yet become something else; -1 where there is none.
func (s *stream) firstZero(block []byte, at int64) int {
	from := int(min(max(s.trusted-at, 0), int64(len(block))))
	if i := bytes.IndexByte(block[from:], 0); i >= 0 {
		return from + i
	}
	return -1
}

// awaitsData reports whether reading waits for NUL bytes to become data.
func (s *stream) awaitsData() bool { return !s.zeros.since.IsZero() && s.scanned <= s.zeros.at }

// trustZeros reports whether the run of NUL bytes at the offset is what the file holds for
// good: something follows it, and either the file has not changed for a while or the run has
// been there for long.
func (sc *scanner) trustZeros(ctx context.Context, f *file, at int64) (bool, error) {
	end, err := sc.zerosEnd(ctx, f, at)
	if err != nil {
		return false, err
	}
	s, now := f.s, time.Now()
	if s.zeros.size == 0 || s.zeros.at != at {
		s.zeros = zeroRun{at: at, size: f.end()}
	}
	z := &s.zeros
	if end >= f.end() {
		z.since = time.Time{}
		if z.idle = now.Sub(f.changed) > maxPatience*sc.patience; z.idle {
			s.scanned = end // until the file changes: see rescan
		}
		return false, nil
	}
	if z.since.IsZero() {
		z.since, z.size = now, f.end()
	}
	seen := now.Sub(z.since)
	if min(seen, now.Sub(f.changed)) < sc.patience && seen < maxPatience*sc.patience {
		return false, nil
	}
	s.trusted = z.size
	return true, nil
}

// rescan makes the next scan begin at NUL bytes that were given up waiting for.
func (s *stream) rescan() {
	if s.zeros.idle {
		s.zeros.idle, s.scanned = false, min(s.scanned, s.zeros.at)
	}
}

// zerosEnd is where the run of NUL bytes at the offset ends.
func (sc *scanner) zerosEnd(ctx context.Context, f *file, at int64) (int64, error) {
	defer sc.borrow()()
	for at < f.end() {
		if data := nextData(f.f.File, at, f.end()); data > at {
			at = data
			continue
		}
		block, err := sc.read(ctx, f, at)
		if err != nil {
			return at, err
		}
		rest := bytes.TrimLeft(block, "\x00")
		at += int64(len(block) - len(rest))
		if len(rest) > 0 {
			break
		}
	}
	return at, nil
}

func allZero(b []byte) bool {
	return len(b) > 0 && b[0] == 0 && b[len(b)-1] == 0 && len(bytes.TrimLeft(b, "\x00")) == 0
}

const damageWide = "the text is UTF-16 or UTF-32, and a log must be UTF-8"

// damageOf is what is wrong with a line that has NUL bytes in it: some programs append
// UTF-16 to whatever there is. An event in it must not be passed over as no event.
func damageOf(line []byte) string {
	zeros := bytes.Count(line, []byte{0})
	if zeros*3 < len(line) {
		return ""
	}
	if bytes.Contains(bytes.ReplaceAll(line, []byte{0}, nil), []byte(`"event_type"`)) {
		return damageWide
	}
	return ""
}
