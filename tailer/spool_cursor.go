package tailer

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// maxReasons is how many reasons a .reason file lists.
const maxReasons = 32

// spoolCursor is what a spool knows across restarts.
type spoolCursor struct {
	Version int `json:"v"`
	// Part is the file that is read to Off.
	Part *spoolMark `json:"part,omitempty"`
	// Done are those whose records are all kept and that may still be there.
	Done []spoolMark `json:"done,omitempty"`
}

// spoolMark knows a file again: by inode, size and time, or by head.
type spoolMark struct {
	Stream  string   `json:"id,omitempty"`
	Name    []byte   `json:"name,omitempty"`
	Dev     uint64   `json:"dev"`
	Ino     uint64   `json:"ino"`
	Size    int64    `json:"size"`
	Mod     int64    `json:"mod"`
	Head    string   `json:"head,omitempty"`
	Len     int      `json:"len,omitempty"`
	Off     int64    `json:"off,omitempty"`
	Count   int      `json:"rejected,omitempty"`
	Reasons []reason `json:"reasons,omitempty"`
}

type reason struct {
	Off  int64  `json:"off"`
	Text string `json:"text"`
}

func markOf(info os.FileInfo) spoolMark {
	id := idOf(info)
	return spoolMark{Dev: id.dev, Ino: id.ino, Size: info.Size(), Mod: info.ModTime().UnixNano()}
}

// streamID names the content of a file, with the same name each time it is read.
func (m *spoolMark) streamID(head fingerprint) string {
	return fingerprintOf(fmt.Appendf(nil, "%s %d %d %d %d", head.sum, m.Dev, m.Ino, m.Size, m.Mod)).sum[:16]
}

type markKey struct {
	id        fileID
	size, mod int64
}

func (m *spoolMark) file() markKey { return markKey{fileID{m.Dev, m.Ino}, m.Size, m.Mod} }

// same: this is the very file, unchanged.
func (m *spoolMark) same(o *spoolMark) bool {
	return m.file() == o.file()
}

// reject notes why a record could not be used.
func (m *spoolMark) reject(off int64, text string) {
	m.Count++
	if len(m.Reasons) < maxReasons {
		m.Reasons = append(m.Reasons, reason{off, text[:min(len(text), 500)]})
	}
}

func (c *spoolCursor) isDone(m *spoolMark) bool {
	return slices.ContainsFunc(c.Done, func(d spoolMark) bool { return d.same(m) })
}

func (c *spoolCursor) forget(m *spoolMark) {
	c.Done = slices.DeleteFunc(c.Done, func(d spoolMark) bool { return d.same(m) })
}

func decodeSpoolCursor(b []byte) (spoolCursor, error) {
	var c spoolCursor
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("cursor is damaged: %w", err)
	}
	if c.Version != cursorVersion {
		return c, fmt.Errorf("cursor has version %d, this program knows %d", c.Version, cursorVersion)
	}
	if len(c.Done) > 4*maxStuck {
		return c, fmt.Errorf("cursor is damaged: %d files", len(c.Done))
	}
	if p := c.Part; p != nil && (p.Off < 0 || p.Off > p.Size || p.Len < 0 || p.Len > headLen || p.Stream == "") {
		return c, fmt.Errorf("cursor is damaged: file at offset %d of %d", p.Off, p.Size)
	}
	return c, nil
}

func (m *spoolMark) modTime() time.Time { return time.Unix(0, m.Mod) }
