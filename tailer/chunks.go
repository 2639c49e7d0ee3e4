package tailer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
)

// A stream remembers sums of what was read of it, so that a file that comes back different
// is known as far as it is the same: a log that a power cut made shorter, or whose end it
// turned to NULs, one that was edited, and one that its writer overwrites from its beginning.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunk is a run of lines. Sums are running ones, so that two chunks in a row are one by
// dropping what is between them.
type chunk struct {
	// end is where it ends; it begins where the one before it ends.
	end int64
	// from and to are the running CRC-32C before and behind it.
	from, to uint32
	// blind: its content was not kept track of, and is taken to be the same.
	blind bool
	// unread: it was not read yet, so nothing is the same.
	unread bool
}

// chunks are what was read of a stream from start on, a chunk a line near their end and
// larger ones before.
type chunks struct {
	start int64
	list  []chunk
}

const (
	maxChunks = 256
	// freshChunks are never merged.
	freshChunks = 64
)

// end is where the chunks end.
func (c *chunks) end() int64 {
	if n := len(c.list); n > 0 {
		return c.list[n-1].end
	}
	return c.start
}

// sum is the running sum at the end.
func (c *chunks) sum() uint32 {
	if n := len(c.list); n > 0 {
		return c.list[n-1].to
	}
	return 0
}

// cut drops what is known beyond the offset.
func (c *chunks) cut(off int64) {
	for n := len(c.list); n > 0 && c.list[n-1].end > off; n-- {
		c.list = c.list[:n-1]
	}
}

// cover makes the chunks reach to the offset.
func (c *chunks) cover(off int64) {
	c.cut(off)
	if c.end() < off {
		c.list = append(c.list, chunk{end: off, from: c.sum(), to: c.sum(), blind: true})
	}
}

// add adds raw, whole lines that were read at the offset.
func (c *chunks) add(raw []byte, off int64) {
	c.cover(off)
	for len(raw) > 0 {
		n, grain := len(raw), len(raw)/freshChunks // smaller and smaller, down to a line
		if grain < n {
			if i := bytes.IndexByte(raw[grain:], '\n'); i >= 0 {
				n = grain + i + 1
			}
		}
		off += int64(n)
		from := c.sum()
		c.list = append(c.list, chunk{end: off, from: from, to: crc32.Update(from, castagnoli, raw[:n])})
		raw = raw[n:]
	}
	if len(c.list) > maxChunks {
		c.list = thinned(c.list, len(c.list)-freshChunks, 2)
	}
}

// thinned merges the first n of the list, each run of by into one.
func thinned(list []chunk, n, by int) []chunk {
	out := make([]chunk, 0, len(list))
	for i := 0; i < n; i += by {
		k := list[i]
		for _, next := range list[i+1 : min(i+by, n)] {
			k = chunk{end: next.end, from: k.from, to: next.to, blind: k.blind || next.blind || k.to != next.from}
		}
		out = append(out, k)
	}
	return append(out, list[n:]...)
}

// compare returns up to where r, which is of this size, holds what it held, from the
// beginning of the chunks, and which of them it holds again from some point to their end.
// It compares at most budget bytes, and takes the rest to be the same.
func (c *chunks) compare(ctx context.Context, r io.ReaderAt, size, budget int64) (same int64, rest chunks, err error) {
	same = c.start
	failed := -1
	block := make([]byte, blockLen)
	for i, start := 0, c.start; i < len(c.list); i++ {
		k := c.list[i]
		ok := k.end <= size && !k.unread
		if ok && !k.blind && budget > 0 {
			if ok, err = k.sameAt(ctx, r, start, block); err != nil {
				return same, rest, err
			}
			budget -= k.end - start
		}
		start = k.end
		switch {
		case !ok:
			failed = i
		case failed < 0 && !k.blind:
			same = k.end
		}
	}
	if failed < 0 {
		return c.end(), chunks{start: c.end()}, nil
	}
	rest = chunks{start: c.list[failed].end, list: slices.Clone(c.list[failed+1:])}
	if !slices.ContainsFunc(rest.list, func(k chunk) bool { return !k.blind }) {
		rest = chunks{}
	}
	return same, rest, nil
}

// sameAt reports whether r holds the chunk at the offset.
func (k chunk) sameAt(ctx context.Context, r io.ReaderAt, at int64, block []byte) (bool, error) {
	sum := k.from
	for at < k.end {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := r.ReadAt(block[:min(int64(len(block)), k.end-at)], at)
		if n == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
			return false, nil
		}
		sum = crc32.Update(sum, castagnoli, block[:n])
		at += int64(n)
	}
	return sum == k.to, nil
}

// encode writes at most n chunks, none beyond the offset, those near it as they are and the
// others merged.
func (c *chunks) encode(off int64, n int) []byte {
	list := c.list
	for len(list) > 0 && list[len(list)-1].end > off {
		list = list[:len(list)-1]
	}
	for len(list) > n {
		list = thinned(list, len(list)-n/2, 2)
	}
	if len(list) == 0 {
		return nil
	}
	out := binary.AppendUvarint(nil, uint64(c.start))
	at, sum := c.start, uint32(0)
	for _, k := range list {
		flags := uint64(0)
		if k.blind {
			flags |= 1
		}
		if k.from != sum {
			flags |= 2
		}
		out = binary.AppendUvarint(out, uint64(k.end-at)<<2|flags)
		if k.from != sum {
			out = binary.BigEndian.AppendUint32(out, k.from)
		}
		out = binary.BigEndian.AppendUint32(out, k.to)
		at, sum = k.end, k.to
	}
	return out
}

var errChunks = errors.New("cursor is damaged: its sums cannot be read")

// decodeChunks reads what encode wrote.
func decodeChunks(b []byte) (c chunks, err error) {
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<62 {
			err, b = errChunks, nil
			return 0
		}
		b = b[n:]
		return v
	}
	word := func() (v uint32) {
		if len(b) < 4 {
			err, b = errChunks, nil
			return 0
		}
		v = binary.BigEndian.Uint32(b)
		b = b[4:]
		return v
	}
	if len(b) == 0 {
		return c, nil
	}
	c.start = int64(next())
	at, sum := c.start, uint32(0)
	for len(b) > 0 {
		v := next()
		k := chunk{end: at + int64(v>>2), from: sum, blind: v&1 != 0}
		if v&2 != 0 {
			k.from = word()
		}
		k.to = word()
		if err != nil || k.end <= at {
			return chunks{}, errChunks
		}
		c.list = append(c.list, k)
		at, sum = k.end, k.to
	}
	return c, err
}
