package tailer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

const (
	// headLen and tailLen are how much of a stream tells it from others: its first
	// bytes, and those just before the position.
	headLen = 1024
	tailLen = 256
	// maxStreams bounds the cursor, once what cannot be told from those that were read is
	// read too; maxGone is how many of them may be without a file.
	maxStreams = 64
	maxGone    = 16
)

// print is a fingerprint of some bytes.
type print struct {
	n   int
	sum string
}

// printAt fingerprints the n bytes of r at off. ok is false where r ends before.
func printAt(r io.ReaderAt, off int64, n int) (p print, ok bool) {
	var buf [headLen]byte
	if got, _ := r.ReadAt(buf[:n], off); got < n {
		return print{}, false
	}
	return printOf(buf[:n]), true
}

func printOf(b []byte) print {
	h := sha256.Sum256(b)
	return print{n: len(b), sum: hex.EncodeToString(h[:12])}
}

// stream is some content that is being read, whatever files hold it.
type stream struct {
	id string
	// off is the position that is durable: restarts go on here. pos is how far it
	// has been read; the two differ while a piece of a cut line is held.
	off, pos int64
	// head covers the first min(off, headLen) bytes, tail the min(off, tailLen) before
	// off. Before anything is read, head covers what was there at first sight.
	head, tail print
	// file and path are where it was last seen: hints only.
	file fileID
	path string
	read time.Time
	done bool

	// The line at pos has lead NUL bytes in front and no end before scanned.
	lead, scanned int64
	// size is the largest size seen, -1 where no file has been found since the start.
	size int64
	// missing is since when no file holds it.
	missing time.Time
}

func newStream() *stream {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says crypto/rand
	return &stream{id: hex.EncodeToString(b[:]), size: -1}
}

// advance moves the reading position to the beginning of another line.
func (s *stream) advance(pos int64) {
	s.pos, s.scanned, s.lead = pos, pos, 0
}

// matches reports whether r, of this size, holds what was read of s.
func (s *stream) matches(r io.ReaderAt, size int64) bool {
	if s.off == 0 {
		return false
	}
	if size < s.pos {
		return false
	}
	return s.sameHead(r) && s.sameTail(r)
}

func (s *stream) sameHead(r io.ReaderAt) bool {
	p, ok := printAt(r, 0, s.head.n)
	return ok && p == s.head
}

func (s *stream) sameTail(r io.ReaderAt) bool {
	p, ok := printAt(r, s.off-int64(s.tail.n), s.tail.n)
	return ok && p == s.tail
}

// sight takes the fingerprint of a stream of which nothing was read yet.
func (s *stream) sight(r io.ReaderAt, size int64) bool {
	if s.off > 0 || s.head.n == headLen {
		return true
	}
	p, ok := printAt(r, 0, int(min(size, headLen)))
	if ok {
		s.head = p
	}
	return ok
}

// confirm moves s, of which raw was read at start, to end, if r still holds all of
// that. Without this a file that is cut and written anew in the middle of a read
// would be taken for what it was.
func (s *stream) confirm(r io.ReaderAt, raw []byte, start, end int64) error {
	head, ok1 := readAt(r, 0, max(min(end, headLen), int64(s.head.n)))
	tail, ok2 := readAt(r, max(0, end-tailLen), min(end, tailLen))
	if !ok1 || !ok2 || !agree(head, 0, raw, start) || !agree(tail, end-int64(len(tail)), raw, start) {
		return errChanged
	}
	if s.head.n > 0 && printOf(head[:s.head.n]) != s.head || s.off > 0 && !s.sameTail(r) {
		return errChanged
	}
	s.off, s.head, s.tail = end, printOf(head), printOf(tail)
	s.advance(end)
	return nil
}

func readAt(r io.ReaderAt, off, n int64) ([]byte, bool) {
	b := make([]byte, n)
	got, _ := r.ReadAt(b, off)
	return b, got == len(b)
}

// agree compares a, which begins at offset x, and b, which begins at y, where they overlap.
func agree(a []byte, x int64, b []byte, y int64) bool {
	from, to := max(x, y), min(x+int64(len(a)), y+int64(len(b)))
	return from >= to || bytes.Equal(a[from-x:to-x], b[from-y:to-y])
}

// moveTo makes off the durable position. r holds the content.
func (s *stream) moveTo(off int64, r io.ReaderAt) error {
	if off == s.off {
		return nil
	}
	if n := int(min(off, headLen)); n > s.head.n {
		p, ok := printAt(r, 0, n)
		if !ok {
			return errChanged
		}
		s.head = p
	}
	n := int(min(off, tailLen))
	p, ok := printAt(r, off-int64(n), n)
	if !ok {
		return errChanged
	}
	s.off, s.tail = off, p
	return nil
}

// cursorVersion is written into every cursor; another is refused.
const cursorVersion = 1

type cursorJSON struct {
	Version int          `json:"v"`
	Horizon int64        `json:"horizon,omitempty"`
	Streams []streamJSON `json:"streams"`
}

type streamJSON struct {
	ID   string `json:"id"`
	Off  int64  `json:"off"`
	Head string `json:"head"`
	Len  int    `json:"len"`
	Tail string `json:"tail"`
	Dev  uint64 `json:"dev,omitempty"`
	Ino  uint64 `json:"ino,omitempty"`
	Path string `json:"path,omitempty"`
	Read int64  `json:"read,omitempty"`
	Done bool   `json:"done,omitempty"`
}

// cursor is what a log source knows across restarts.
type cursor struct {
	streams []*stream
	// horizon: an unknown rotated file not modified after it is one that was read
	// and then forgotten, because more of them are kept than the cursor holds.
	horizon time.Time
}

// encode writes the cursor. Paths in dir are written without it.
func (c *cursor) encode(dir string) ([]byte, error) {
	out := cursorJSON{Version: cursorVersion, Streams: []streamJSON{}}
	if !c.horizon.IsZero() {
		out.Horizon = c.horizon.UnixNano()
	}
	for _, s := range c.streams {
		if s.off == 0 {
			continue // nothing of it was read, so there is nothing to know it by
		}
		j := streamJSON{
			ID: s.id, Off: s.off, Head: s.head.sum, Len: s.head.n, Tail: s.tail.sum,
			Dev: s.file.dev, Ino: s.file.ino, Path: strings.TrimPrefix(s.path, dir+"/"), Done: s.done,
		}
		if !s.read.IsZero() {
			j.Read = s.read.Unix()
		}
		out.Streams = append(out.Streams, j)
	}
	return json.Marshal(out)
}

func decodeCursor(b []byte, dir string) (*cursor, error) {
	var in cursorJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("cursor is damaged: %w", err)
	}
	if in.Version != cursorVersion {
		return nil, fmt.Errorf("cursor has version %d, this program knows %d", in.Version, cursorVersion)
	}
	c := &cursor{}
	if in.Horizon != 0 {
		c.horizon = time.Unix(0, in.Horizon)
	}
	for _, j := range in.Streams {
		if j.ID == "" || j.Off <= 0 || j.Len <= 0 || j.Len > headLen {
			return nil, fmt.Errorf("cursor is damaged: stream %q at offset %d", j.ID, j.Off)
		}
		s := &stream{
			id: j.ID, off: j.Off, pos: j.Off,
			head: print{j.Len, j.Head}, tail: print{int(min(j.Off, tailLen)), j.Tail},
			file: fileID{j.Dev, j.Ino}, path: j.Path, done: j.Done, size: -1,
		}
		if s.path != "" && !filepath.IsAbs(s.path) {
			s.path = filepath.Join(dir, s.path)
		}
		if j.Read != 0 {
			s.read = time.Unix(j.Read, 0)
		}
		c.streams = append(c.streams, s)
	}
	return c, nil
}
