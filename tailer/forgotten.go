package tailer

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// trace is what a file is known by whose stream the checkpoint has let go. Its age alone would
// not do: where a clock was ahead, what is rotated next is older than what was read.
type trace struct{ mod, size int64 }

func traceOf(f *file) trace { return trace{f.mod.UnixNano(), f.size} }

func (t trace) compare(o trace) int {
	return cmp.Or(cmp.Compare(t.mod, o.mod), cmp.Compare(t.size, o.size))
}

// forgotten are the traces of files that were read, sorted.
type forgotten []trace

// maxForgotten bounds them, at some ten bytes each in every cursor.
const maxForgotten = 4096

// add adds a trace. Where there are too many the one that was modified first goes, and is
// returned.
func (g *forgotten) add(t trace) (gone trace, full bool) {
	at, found := slices.BinarySearchFunc(*g, t, trace.compare)
	if !found {
		*g = slices.Insert(*g, at, t)
	}
	if len(*g) <= maxForgotten {
		return gone, false
	}
	gone, *g = (*g)[0], slices.Delete(*g, 0, 1)
	return gone, true
}

func (g forgotten) has(t trace) bool {
	_, found := slices.BinarySearchFunc(g, t, trace.compare)
	return found
}

// retain drops the traces of files that are gone.
func (g *forgotten) retain(files map[fileID]*file) {
	if len(*g) == 0 {
		return
	}
	there := make(map[trace]bool, len(files))
	for _, f := range files {
		there[traceOf(f)] = true
	}
	*g = slices.DeleteFunc(*g, func(t trace) bool { return !there[t] })
}

// encode writes each as the difference to the one before, and its size.
func (g forgotten) encode() (b []byte) {
	last := int64(0)
	for _, t := range g {
		b = binary.AppendVarint(b, t.mod-last)
		b = binary.AppendVarint(b, t.size)
		last = t.mod
	}
	return b
}

var errForgotten = errors.New("cursor is damaged: the files that were read")

func decodeForgotten(b []byte) (g forgotten, err error) {
	last := int64(0)
	for len(b) > 0 {
		mod, n := binary.Varint(b)
		if n <= 0 {
			return nil, errForgotten
		}
		size, m := binary.Varint(b[n:])
		if m <= 0 {
			return nil, errForgotten
		}
		last += mod
		g, b = append(g, trace{last, size}), b[n+m:]
	}
	if !slices.IsSortedFunc(g, trace.compare) {
		return nil, errForgotten
	}
	return g, nil
}

// forgot reports whether f was read before and then forgotten.
func (c *checkpoint) forgot(f *file) bool {
	return c.forgotten.has(traceOf(f)) || !f.mod.After(c.horizon)
}

// forget remembers f by its trace.
func (c *checkpoint) forget(f *file) {
	if gone, full := c.forgotten.add(traceOf(f)); full {
		if at := time.Unix(0, gone.mod); at.After(c.horizon) {
			c.horizon = at
		}
	}
}
