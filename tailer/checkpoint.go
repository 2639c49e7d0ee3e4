package tailer

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxStreams bounds the checkpoint, once what cannot be told from those that were read is
// read too; maxGone is how many of them may be without a file.
const (
	maxStreams = 64
	maxGone    = 16
	// maxSums is how many chunks are kept of a stream, maxSumsDone of one that has ended.
	maxSums     = 64
	maxSumsDone = 4
)

// checkpoint is what a log source knows across restarts: the cursor of its batches.
type checkpoint struct {
	streams []*stream
	// forgotten are the files that were read and that no stream is kept of, because there
	// are more than the checkpoint holds. Where there are more of those than can be kept,
	// what was not modified after horizon is one of them too.
	forgotten forgotten
	horizon   time.Time
	// behind: compressed files written to since then may be unread; zero where none is.
	behind time.Time
}

// add begins a new stream.
func (c *checkpoint) add() *stream {
	s := newStream()
	c.keep(s)
	return s
}

// keep has s among the streams.
func (c *checkpoint) keep(s *stream) {
	if !slices.Contains(c.streams, s) {
		c.streams = append(c.streams, s)
	}
}

// drop forgets s. The files that hold it are known to have been read by their traces.
func (c *checkpoint) drop(s *stream) {
	c.streams = slices.DeleteFunc(c.streams, func(t *stream) bool { return t == s })
	for _, f := range slices.Clone(s.files) {
		c.forget(f)
		f.release()
		f.old = true
		f.close()
	}
}

// cursorVersion is written into every cursor; another is refused.
const cursorVersion = 1

type cursorJSON struct {
	Version   int          `json:"v"`
	Horizon   int64        `json:"horizon,omitempty"`
	Behind    int64        `json:"behind,omitempty"`
	Forgotten []byte       `json:"forgotten,omitempty"`
	Streams   []streamJSON `json:"streams"`
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
	Sums []byte `json:"sums,omitempty"`
	Rest []byte `json:"rest,omitempty"`
}

// encode writes the cursor. Paths in dir are written without it.
func (c *checkpoint) encode(dir string) ([]byte, error) {
	out := cursorJSON{Version: cursorVersion, Forgotten: c.forgotten.encode(), Streams: []streamJSON{}}
	if !c.horizon.IsZero() {
		out.Horizon = c.horizon.UnixNano()
	}
	if !c.behind.IsZero() {
		out.Behind = c.behind.UnixNano()
	}
	for _, s := range c.streams {
		if s.off == 0 {
			continue // nothing of it was read, so there is nothing to know it by
		}
		j := streamJSON{
			ID: s.id, Off: s.off, Head: s.head.sum, Len: s.head.n, Tail: s.tail.sum,
			Dev: s.file.dev, Ino: s.file.ino, Path: strings.TrimPrefix(s.path, dir+"/"), Done: s.done,
		}
		j.Sums, j.Rest = s.known.encode(s.off, maxSums), s.rest.encode(s.rest.end(), maxSums)
		if s.done {
			j.Sums = s.known.encode(s.off, maxSumsDone)
		}
		if !s.read.IsZero() {
			j.Read = s.read.Unix()
		}
		out.Streams = append(out.Streams, j)
	}
	return json.Marshal(out)
}

func decodeCheckpoint(b []byte, dir string) (*checkpoint, error) {
	var in cursorJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("cursor is damaged: %w", err)
	}
	if in.Version != cursorVersion {
		return nil, fmt.Errorf("cursor has version %d, this program knows %d", in.Version, cursorVersion)
	}
	c := &checkpoint{}
	var err error
	if c.forgotten, err = decodeForgotten(in.Forgotten); err != nil {
		return nil, err
	}
	if in.Horizon != 0 {
		c.horizon = time.Unix(0, in.Horizon)
		if now := time.Now(); c.horizon.After(now) {
			c.horizon = now // a clock was ahead when it was written
		}
	}
	if in.Behind != 0 {
		c.behind = time.Unix(0, in.Behind)
	}
	for _, j := range in.Streams {
		s, err := j.decode(dir)
		if err != nil {
			return nil, err
		}
		c.streams = append(c.streams, s)
	}
	return c, nil
}

func (j *streamJSON) decode(dir string) (*stream, error) {
	if j.ID == "" || j.Off <= 0 || j.Len <= 0 || j.Len > headLen {
		return nil, fmt.Errorf("cursor is damaged: stream %q at offset %d", j.ID, j.Off)
	}
	s := &stream{
		id: j.ID, off: j.Off, pos: j.Off,
		head: fingerprint{j.Len, j.Head}, tail: fingerprint{int(min(j.Off, tailLen)), j.Tail},
		file: fileID{j.Dev, j.Ino}, path: j.Path, done: j.Done, size: -1,
	}
	var err error
	if s.known, err = decodeChunks(j.Sums); err != nil {
		return nil, err
	}
	if s.rest, err = decodeChunks(j.Rest); err != nil {
		return nil, err
	}
	if s.known.start != 0 || s.known.end() > s.off || len(s.rest.list) > 0 && s.rest.start < s.off {
		return nil, errChunks
	}
	if s.path != "" && !filepath.IsAbs(s.path) {
		s.path = filepath.Join(dir, s.path)
	}
	if j.Read != 0 {
		s.read = time.Unix(j.Read, 0)
	}
	return s, nil
}
