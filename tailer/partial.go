package tailer

import "bytes"

// maxHeld bounds how many cut lines are put together at once. A container has two
// streams; a line that would be one more is handed over as it is.
const maxHeld = 16

// farBehind is how many times the longest line may follow a piece before its end is no
// longer waited for: pieces are written in one go, and what follows the held one is read
// again after a restart.
const farBehind = 4

// brokenLine is one whose end has not been seen.
type brokenLine struct {
	// record is what will be handed over; its Data is what is kept so far.
	record Record
	// length is that of all pieces, kept or not.
	length int
	// starts are the places where its pieces begin, the first in each stream.
	starts []place
	// last is where its last piece begins.
	last place
}

type place struct {
	s   *stream
	off int64
}

// joiner puts the pieces of cut lines together, also when they lie in two files.
type joiner struct {
	partial func(line []byte) (key string, more bool)
	maxLine int
	held    map[string]*brokenLine
}

// addFrame takes a line of s from a file that is read in one pass; data is what is kept of it.
func (j *joiner) addFrame(f frame, data []byte, path string, s *stream) (Record, bool) {
	if f.tooLong {
		return Record{Data: data, Path: path, Stream: s.id, Offset: f.off, Size: f.size, TooLong: true}, true
	}
	r, whole := j.add(data, path, place{s, f.off}, f.size)
	if whole {
		r.Damage = damageOf(data)
	}
	return r, whole
}

// add takes a line that begins at p and fills size bytes. It returns the record to
// hand over, if there is one by now. The record's Data may be line itself.
func (j *joiner) add(line []byte, path string, p place, size int64) (Record, bool) {
	r := Record{Data: line, Path: path, Stream: p.s.id, Offset: p.off, Size: size}
	if j.partial == nil {
		return r, true
	}
	key, more := j.partial(line)
	if key == "" {
		return r, true
	}
	h := j.held[key]
	if h != nil && h.last.s == p.s && p.off <= h.last.off {
		h = nil // the file is read again from before that piece
		delete(j.held, key)
	}
	if h == nil {
		if !more || len(j.held) >= maxHeld {
			return r, true
		}
		r.Data, r.Size = nil, 0
		h = &brokenLine{record: r}
		if j.held == nil {
			j.held = map[string]*brokenLine{}
		}
		j.held[key] = h
	}
	h.add(line, p, size, j.maxLine)
	if more {
		return Record{}, false
	}
	delete(j.held, key)
	return h.record, true
}

func (h *brokenLine) add(line []byte, p place, size int64, maxLine int) {
	h.last = p
	known := false
	for _, q := range h.starts {
		known = known || q.s == p.s
	}
	if !known {
		h.starts = append(h.starts, p)
	}
	r := &h.record
	r.Size += size
	if h.length > 0 {
		h.length++
	}
	h.length += len(line)
	if r.TooLong && len(r.Data) >= HeadBytes {
		return // as much as is kept of it
	}
	if r.Size > size {
		r.Data = append(r.Data, '\n')
	}
	r.Data = append(r.Data, line...)
	if r.TooLong = h.length > maxLine; r.TooLong && len(r.Data) > HeadBytes {
		r.Data = bytes.Clone(r.Data[:HeadBytes])
	}
}

// floor is how far the position of s may become durable.
func (j *joiner) floor(s *stream) int64 {
	off := s.pos
	for _, h := range j.held {
		for _, p := range h.starts {
			if p.s == s {
				off = min(off, p.off)
			}
		}
	}
	return off
}

// giveUpFarBehind ends the lines in s that were left without an end far before off.
func (j *joiner) giveUpFarBehind(s *stream, off int64, take func(Record)) {
	for key, h := range j.held {
		if len(h.starts) == 1 && h.last.s == s && off-h.last.off > farBehind*int64(j.maxLine) {
			delete(j.held, key)
			take(h.record)
		}
	}
}

// giveUp ends the lines that began in s: their ends will not come.
func (j *joiner) giveUp(s *stream, take func(Record)) {
	for key, h := range j.held {
		if h.starts[0].s == s {
			delete(j.held, key)
			take(h.record)
		}
	}
}
