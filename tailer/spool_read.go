package tailer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// spoolFile is one open file of the spool.
type spoolFile struct {
	name string
	c    *spoolCheckpoint
	f    *os.File
	r    *spoolReader
	next func() (frame, error)
	// array: the values are elements of an array.
	array bool
	// late: it was removed, and may still be written to.
	late bool
	// quiet is since when a late file has not changed.
	quiet time.Time
}

func (f *spoolFile) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// read takes the records of one file into the batch.
func (s *Spool) read(ctx context.Context, name string) error {
	f, err := s.open(name)
	if err == nil && f != nil && f.c.Done {
		s.remove(f)
		return nil
	}
	s.trouble(name, plain(err))
	if err != nil || f == nil {
		return nil
	}
	s.known[f.c.id()] = f.c
	return s.readFrom(ctx, f)
}

// plain takes off what is said of a file elsewhere: its name.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && err == error(pe) {
		return pe.Err
	}
	return err
}

// open returns nil where there is nothing to read.
func (s *Spool) open(name string) (*spoolFile, error) {
	fd, info, err := s.root.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errChanged) || errors.Is(err, errOther):
		s.relist = true
		return nil, nil
	case err != nil:
		return nil, err
	}
	f := &spoolFile{name: name, f: fd, c: s.known.find(name, info, fd)}
	if f.c == nil {
		head, ok := fingerprintAt(fd, 0, int(min(info.Size(), headLen)))
		if !ok {
			fd.Close()
			s.relist = true
			return nil, nil
		}
		f.c = newSpoolCheckpoint(name, info, head)
	} else if err := s.again(f, info); err != nil || f.f == nil {
		return nil, err
	}
	if f.c.Done {
		return f, nil
	}
	f.frames(newSpoolReader(fd, info), s.o.MaxRecord)
	return f, nil
}

// again takes a file up that was read before. It closes f where there is nothing new.
func (s *Spool) again(f *spoolFile, info os.FileInfo) error {
	c := f.c
	if c.unchanged(info) && c.Done {
		return nil
	}
	if c.Done {
		c.Done, c.grown = false, true
	}
	waits := c.scanned > 0 && s.unfinished(f, info)
	if waits && (info.Size() == c.scanned || c.scanned-c.Off > DefaultMaxLine && info.Size()-c.Off < 2*(c.scanned-c.Off)) {
		s.relist = true
		f.close()
		return nil
	}
	delete(s.known, c.id()) // a copy of it may have another inode
	c.see(info)
	s.known[c.id()] = c
	return nil
}

// unfinished reports whether somebody may still write to the file.
func (s *Spool) unfinished(f *spoolFile, info os.FileInfo) bool {
	age := time.Since(info.ModTime())
	return writersOf(f.f) == someWriter || age >= 0 && age < s.settle
}

// frames makes f ready to be read from its offset on.
func (f *spoolFile) frames(r *spoolReader, maxRecord int) {
	f.r = r
	r.off = f.c.Off
	if filepath.Ext(f.name) != ".json" {
		f.next = newLineReader(r, r.off, maxRecord).next
		return
	}
	sp := newSplitter(r, maxRecord)
	if sp.off = r.off; r.off > 0 {
		if sp.state = atEnd; f.c.Array {
			sp.array, sp.state = true, atSep
		}
	}
	f.next = func() (frame, error) {
		fr, err := sp.next()
		f.array = sp.array
		return fr, err
	}
}

// readFrom takes records into the batch until the file ends.
func (s *Spool) readFrom(ctx context.Context, f *spoolFile) error {
	s.part = f
	f.r.ctx = ctx
	for {
		if err := s.takeTurn(ctx); err != nil {
			return err
		}
		fr, err := f.next()
		var d *damage
		switch {
		case errors.Is(err, io.EOF):
			return s.end(ctx, f)
		case err == nil && s.torn(f, &fr):
			return s.wait(f)
		case err == nil:
			s.add(f, fr)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &d):
			if d.short && s.mayGrow(f) {
				return s.wait(f)
			}
			s.addDamage(f, d)
			return s.end(ctx, f)
		default:
			s.trouble(f.name, plain(err))
			s.part = nil
			f.close()
			return nil
		}
		if len(s.pack.records) >= DefaultBatchLines || len(s.pack.arena) >= DefaultBatchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// torn reports whether fr is the last line of a file, not a whole event, and may yet become
// one.
func (s *Spool) torn(f *spoolFile, fr *frame) bool {
	if filepath.Ext(f.name) == ".json" || len(fr.data) == 0 {
		return false
	}
	var last [1]byte
	end := f.r.real(fr.off + fr.size)
	if n, _ := f.f.ReadAt(last[:], end-1); n == 1 && last[0] == '\n' {
		return false
	}
	if !fr.tooLong && json.Valid(fr.data) && fr.data[0] == '{' {
		return false
	}
	return s.mayGrow(f)
}

// mayGrow: in place, against the rules, somebody is still writing the file.
func (s *Spool) mayGrow(f *spoolFile) bool {
	info, err := f.f.Stat()
	if err != nil || !s.unfinished(f, info) {
		return false
	}
	f.c.scanned = info.Size()
	return true
}

// wait leaves f for a later round.
func (s *Spool) wait(f *spoolFile) error {
	f.c.at(f.f)
	s.part, s.relist = nil, true
	if !f.late {
		f.close()
	}
	return nil
}

func (s *Spool) add(f *spoolFile, fr frame) {
	off := f.r.real(fr.off)
	end := f.r.real(fr.off + fr.size)
	f.c.Off, f.c.Array = end, f.array
	if len(fr.data) == 0 {
		return // a blank line
	}
	s.pack.records = append(s.pack.records, Record{
		Data: s.pack.keep(fr.data), Path: filepath.Join(s.o.Path, f.name), Stream: f.c.Stream,
		Offset: off, Size: end - off, Time: f.c.modTime(), TooLong: fr.tooLong,
	})
}

// addDamage makes a record of the rest of f.
func (s *Spool) addDamage(f *spoolFile, d *damage) {
	real := *d
	real.off, real.from = f.r.real(d.off), f.r.real(d.from)
	size := max(0, f.c.Size-real.from)
	data := s.pack.room(min(HeadBytes, size))
	n, _ := f.f.ReadAt(data, real.from)
	s.pack.records = append(s.pack.records, Record{
		Data: data[:n], Path: filepath.Join(s.o.Path, f.name), Stream: f.c.Stream,
		Offset: real.from, Size: size, Time: f.c.modTime(), Damage: real.Error(),
	})
	f.c.Off = max(f.c.Off, real.from)
}

// end: all of f is in the batch.
func (s *Spool) end(ctx context.Context, f *spoolFile) error {
	f.c.Done, f.c.scanned = true, 0
	f.c.at(f.f)
	s.part = nil
	s.finished = append(s.finished, f)
	if len(s.finished) >= maxFinished {
		return s.flush(ctx)
	}
	return nil
}

// takeTurn waits for room for a batch, if there is none begun.
func (s *Spool) takeTurn(ctx context.Context) (err error) {
	if s.turn != nil {
		return nil
	}
	if s.turn, err = s.o.Budget.take(ctx, DefaultBatchBytes, s.o.Sweep, func(context.Context) {}); err == nil {
		s.pack = s.turn.pack
	}
	return err
}

func (s *Spool) endTurn() {
	if s.turn != nil {
		s.o.Budget.give(s.turn)
		s.turn, s.pack = nil, nil
	}
}

// flush hands over the batch and lets the files go that it finishes.
func (s *Spool) flush(ctx context.Context) error {
	if len(s.finished) == 0 && (s.turn == nil || len(s.pack.records) == 0) {
		s.endTurn()
		return nil
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	if s.part != nil {
		s.part.c.at(s.part.f)
	}
	b := &Batch{Records: s.pack.records, seal: func(r []Rejection) []byte { return s.known.encode(s.reasons(r)) }}
	verdicts, err := s.feed.offer(ctx, b)
	if err != nil {
		return err
	}
	rejected := s.reasons(verdicts)
	for _, f := range s.finished {
		f.c.reject(rejected[f.c.Stream])
		delete(rejected, f.c.Stream)
	}
	for _, c := range s.known {
		c.reject(rejected[c.Stream])
	}
	s.mu.Lock()
	if len(s.pack.records) > 0 {
		s.status.LastRecord = time.Now()
	}
	for _, f := range s.finished {
		s.status.LagBytes = max(0, s.status.LagBytes-f.c.Size)
		s.status.Files = max(0, s.status.Files-1)
	}
	s.mu.Unlock()
	s.handled += len(s.finished)
	s.endTurn()
	for _, f := range s.finished {
		s.remove(f)
	}
	s.finished = s.finished[:0]
	return nil
}

// reasons collects why records of the batch could not be used, by stream.
func (s *Spool) reasons(verdicts []Rejection) map[string][]reason {
	why := map[int]string{}
	for i, r := range s.pack.records {
		if r.Damage != "" {
			why[i] = r.Damage
		}
	}
	for _, v := range verdicts {
		why[v.Record] = v.Reason
	}
	all := map[string][]reason{}
	for _, i := range slices.Sorted(maps.Keys(why)) {
		r, text := s.pack.records[i], why[i]
		all[r.Stream] = append(all[r.Stream], reason{r.Offset, text[:min(len(text), maxReason)]})
	}
	return all
}
