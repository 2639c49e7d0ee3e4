package tailer

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// maxReasons is how many reasons a .reason file lists, keptReasons how many of them survive
// a restart, and maxReason how long one may be.
const (
	maxReasons  = 32
	keptReasons = 2
	maxReason   = 500
)

// spoolCursor is what a spool knows across restarts.
type spoolCursor struct {
	Version int                `json:"v"`
	Files   []*spoolCheckpoint `json:"files,omitempty"`
}

// spoolVersion is written into every cursor. Version 1 could not say whether all records of
// a file were used: its files are read again, and their events are known to the queue.
const spoolVersion = 2

// spoolCheckpoint is how far one file was read, and how to know it again.
//
// The same inode, size and time is the same content. The same inode under the same name
// that begins with the same bytes and has the same before the offset is a file that
// somebody appended to.
type spoolCheckpoint struct {
	Stream string `json:"id,omitempty"`
	Name   []byte `json:"name,omitempty"`
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Size   int64  `json:"size"`
	Mod    int64  `json:"mod"`
	// Head and Tail fingerprint the first Len bytes and the TailLen before Off.
	Head    string `json:"head,omitempty"`
	Len     int    `json:"len,omitempty"`
	Tail    string `json:"tail,omitempty"`
	TailLen int    `json:"tail_len,omitempty"`
	Off     int64  `json:"off,omitempty"`
	// Array: Off is between two elements of the outermost array of a .json file.
	Array bool `json:"array,omitempty"`
	// Done: Off is the end of the file, and all its records are kept.
	Done bool `json:"done,omitempty"`
	// Rejected counts the records that could not be used. A file with any is not removed.
	Rejected int      `json:"rejected,omitempty"`
	Reasons  []reason `json:"reasons,omitempty"`

	// grown: it was appended to after it had been read to its end.
	grown bool
	// scanned is the file's size when the value at Off was found to be unfinished.
	scanned int64
}

type reason struct {
	Off  int64  `json:"off"`
	Text string `json:"text"`
}

func newSpoolCheckpoint(name string, info os.FileInfo, head fingerprint) *spoolCheckpoint {
	c := &spoolCheckpoint{Name: []byte(name), Head: head.sum, Len: head.n}
	c.see(info)
	c.Stream = fingerprintOf(fmt.Appendf(nil, "%s %d %d %d %d", head.sum, c.Dev, c.Ino, c.Size, c.Mod)).sum[:16]
	return c
}

// see takes in the inode, size and time.
func (c *spoolCheckpoint) see(info os.FileInfo) {
	id := idOf(info)
	c.Dev, c.Ino, c.Size, c.Mod = id.dev, id.ino, info.Size(), info.ModTime().UnixNano()
}

func (c *spoolCheckpoint) id() fileID { return fileID{c.Dev, c.Ino} }

// unchanged reports whether info is that of the very file, as it was read.
func (c *spoolCheckpoint) unchanged(info os.FileInfo) bool {
	return idOf(info) == c.id() && info.Size() == c.Size && info.ModTime().UnixNano() == c.Mod
}

// continues reports whether the file holds what was read of c, and perhaps more. A copy, as
// a restored backup is, has another inode, but the time and the size.
func (c *spoolCheckpoint) continues(name string, info os.FileInfo, r io.ReaderAt) bool {
	if info.Size() < c.Off || string(c.Name) != name {
		return false
	}
	if idOf(info) != c.id() && (info.Size() != c.Size || info.ModTime().UnixNano() != c.Mod) {
		return false
	}
	head, ok := fingerprintAt(r, 0, c.Len)
	if !ok || head.sum != c.Head {
		return false
	}
	if c.TailLen == 0 {
		return true
	}
	tail, ok := fingerprintAt(r, c.Off-int64(c.TailLen), c.TailLen)
	return ok && tail.sum == c.Tail
}

// at makes Off known by the bytes before it.
func (c *spoolCheckpoint) at(r io.ReaderAt) {
	n := int(min(c.Off, tailLen))
	if tail, ok := fingerprintAt(r, c.Off-int64(n), n); ok {
		c.Tail, c.TailLen = tail.sum, n
	}
}

// reject notes why records could not be used.
func (c *spoolCheckpoint) reject(reasons []reason) {
	c.Rejected += len(reasons)
	c.Reasons = append(slices.Clip(c.Reasons), reasons[:min(len(reasons), max(0, maxReasons-len(c.Reasons)))]...)
}

// checkpoints are the files that were read, in part or whole, and may still be there.
type checkpoints map[fileID]*spoolCheckpoint

// find returns the checkpoint of a file, nil where it was never read.
func (k checkpoints) find(name string, info os.FileInfo, r io.ReaderAt) *spoolCheckpoint {
	if c := k[idOf(info)]; c != nil {
		if c.unchanged(info) || c.continues(name, info, r) {
			return c
		}
		return nil
	}
	for _, c := range k {
		if string(c.Name) == name && c.continues(name, info, r) {
			return c
		}
	}
	return nil
}

// only forgets the files that are not among those seen.
func (k checkpoints) only(seen map[fileID]bool) {
	maps.DeleteFunc(k, func(id fileID, _ *spoolCheckpoint) bool { return !seen[id] })
}

// begunFirst puts the files first that were read in part before a restart.
func (k checkpoints) begunFirst(names []string) {
	begun := map[string]bool{}
	for _, c := range k {
		if !c.Done {
			begun[string(c.Name)] = true
		}
	}
	if len(begun) == 0 {
		return
	}
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case begun[a] == begun[b]:
			return 0
		case begun[a]:
			return -1
		}
		return 1
	})
}

// encode returns the cursor once the rejected records, by stream, are part of it.
func (k checkpoints) encode(rejected map[string][]reason) []byte {
	cur := spoolCursor{Version: spoolVersion}
	for _, id := range slices.SortedFunc(maps.Keys(k), func(a, b fileID) int { return int(a.ino) - int(b.ino) }) {
		c := *k[id]
		c.reject(rejected[c.Stream])
		c.Reasons = c.Reasons[:min(len(c.Reasons), keptReasons)]
		cur.Files = append(cur.Files, &c)
	}
	b, err := json.Marshal(cur)
	if err != nil {
		panic(err) // strings and numbers can always be written
	}
	return b
}

func decodeSpoolCursor(b []byte) (checkpoints, error) {
	var cur spoolCursor
	if err := json.Unmarshal(b, &cur); err != nil {
		return nil, fmt.Errorf("cursor is damaged: %w", err)
	}
	if cur.Version == 1 {
		return checkpoints{}, nil
	}
	if cur.Version != spoolVersion {
		return nil, fmt.Errorf("cursor has version %d, this program knows %d", cur.Version, spoolVersion)
	}
	if len(cur.Files) > 4*maxStuck {
		return nil, fmt.Errorf("cursor is damaged: %d files", len(cur.Files))
	}
	k := checkpoints{}
	for _, c := range cur.Files {
		if c == nil || c.Off < 0 || c.Len < 0 || c.Len > headLen || c.TailLen < 0 || c.TailLen > tailLen || int64(c.TailLen) > c.Off || c.Stream == "" {
			return nil, fmt.Errorf("cursor is damaged: a file without an identity, or at an impossible offset")
		}
		k[c.id()] = c
	}
	return k, nil
}

func (c *spoolCheckpoint) modTime() time.Time { return time.Unix(0, c.Mod) }
