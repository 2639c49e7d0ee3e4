package tailer

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"
)

// liveBatches is after how many batches of a busy live file the others get their turn.
const liveBatches = 16

// logReader makes batches of what files hold and hands each over with the cursor behind it.
//
// It reads one file at a time, whole lines, as many as a batch takes: scan finds where they
// end, the pack takes their bytes, join keeps back the pieces of lines that a container runtime
// cut, and stream.confirm moves the position once the file is known to hold still what was read
// of it. Until the handler has kept the batch nothing of that is durable, and whatever fails
// before takes the positions back (rewind).
type logReader struct {
	o     *LogOptions
	files *fileset
	feed  feed
	scan  scanner
	join  joiner
	share
	// kept is called for each batch that was.
	kept func(*Batch)
}

// read hands over all whole lines of f. more: there may be others.
func (r *logReader) read(ctx context.Context, f *file) (more bool, err error) {
	for n := 0; ; n++ {
		if n > 0 {
			r.files.scan(ctx) // a long read must not let new files slip away
		}
		if f == r.files.live && n == liveBatches {
			return true, nil
		}
		if !f.unread() {
			return false, nil
		}
		if err := f.open(); err != nil {
			f.trouble = err
			if elsewhere(err) {
				r.files.dir.full = noTime
				return true, nil
			}
			return false, nil
		}
		kept, err := r.step(ctx, f)
		switch {
		case errors.Is(err, errChanged):
			f.stale = true
			return true, nil
		case err != nil && ctx.Err() != nil:
			return false, err
		case err != nil:
			f.trouble = err
			r.files.dir.problem = err.Error()
			return false, nil
		case !kept:
			return false, nil
		}
	}
}

// step hands over one batch. It is false where there is no whole line.
func (r *logReader) step(ctx context.Context, f *file) (bool, error) {
	s := f.s
	e, err := r.scan.next(ctx, f)
	if err != nil || e.lines == 0 && !e.long {
		return false, err
	}
	if err := r.takeTurn(ctx, e.end-e.start); err != nil {
		return false, err
	}
	defer r.endTurn()
	if e.long {
		err = r.takeLong(f, e.start, e.end, 1)
	} else {
		err = readLines(f.f.File, e, func(line string, off int64) {
			size := int64(len(line)) + 1
			r.take(f, trim(r.pack.keepLine(line), off), off, size)
		})
	}
	was := *s
	if err == nil {
		err = s.confirm(f.f, r.pack.arena, e.start, e.end)
	}
	if err == nil {
		r.join.giveUpFarBehind(s, e.end, r.pack.add)
		err = r.moveOffsets()
	}
	if err != nil {
		s.off, s.head, s.tail = was.off, was.head, was.tail
		r.rewind(s)
		return false, err
	}
	if e.start > was.pos && was.pos > 0 {
		r.o.Logger.Warn("NUL bytes skipped: data that never reached the disk, or a writer that kept its offset over a truncation",
			"source", r.o.Source, "file", f.path, "offset", was.pos, "bytes", e.start-was.pos)
	}
	return true, r.offerRecords(ctx, s)
}

// take adds a line to the batch, or to those whose end is waited for.
func (r *logReader) take(f *file, line []byte, off, size int64) {
	rec, whole := r.join.add(line, f.path, place{f.s, off}, size)
	if !whole {
		return
	}
	if off < f.s.trusted {
		rec.Damage = damageOf(line)
	}
	r.pack.add(rec)
}

// takeLong adds the line [start, end), which is over the limit, by its beginning.
func (r *logReader) takeLong(f *file, start, end, terminator int64) error {
	buf := r.pack.room(min(HeadBytes, end-start-terminator))
	if n, _ := f.f.ReadAt(buf, start); n < len(buf) {
		return errChanged
	}
	r.pack.add(Record{
		Data: trim(buf, start), Path: f.path, Stream: f.s.id, Offset: start, Size: end - start, TooLong: true,
	})
	return nil
}

// moveOffsets moves the durable positions to where nothing held back begins.
func (r *logReader) moveOffsets() error {
	for _, f := range r.files.files {
		if f.s == nil {
			continue
		}
		off := r.join.floor(f.s)
		if off == f.s.off || f.size < off {
			continue
		}
		if err := f.open(); err != nil {
			return err
		}
		if err := f.s.moveTo(off, f.f); err != nil {
			return err
		}
	}
	return nil
}

// rewind forgets what was read of s, and of all that is held with it, since the
// last batch that was kept.
func (r *logReader) rewind(s *stream) {
	s.advance(s.off)
	for key, h := range r.join.held {
		if !slices.ContainsFunc(h.starts, func(p place) bool { return p.s == s }) {
			continue
		}
		delete(r.join.held, key)
		for _, p := range h.starts {
			if p.s != s {
				r.rewind(p.s)
			}
		}
	}
}

// offerRecords offers the collected records of s.
func (r *logReader) offerRecords(ctx context.Context, s *stream) error {
	s.read = time.Now()
	return r.offer(ctx, &Batch{Records: r.pack.records})
}

// endStream takes what a writer left without a terminator when it died.
func (r *logReader) endStream(ctx context.Context, f *file) error {
	s := f.s
	if err := r.takeTurn(ctx, f.size-s.pos); err != nil {
		return err
	}
	defer r.endTurn()
	was := *s
	if start := s.pos; start < f.size {
		start, err := r.takeRest(ctx, f)
		if err == nil {
			err = s.confirm(f.f, r.pack.arena, start, f.size)
		}
		if err != nil {
			f.stale = true
			return nil
		}
	}
	r.join.giveUp(s, r.pack.add)
	if err := r.moveOffsets(); err != nil {
		f.stale = true
		s.off, s.head, s.tail = was.off, was.head, was.tail
		r.rewind(s)
		return nil
	}
	s.done = true
	return r.offerRecords(ctx, s)
}

// takeRest adds what is left of f, NUL bytes around it taken off, and returns where that
// begins.
func (r *logReader) takeRest(ctx context.Context, f *file) (start int64, err error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	if start, err = r.scan.zerosEnd(ctx, f, f.s.pos); err != nil || start == f.size {
		return start, err
	}
	if f.size-start > int64(r.o.MaxLine) {
		return start, r.takeLong(f, start, f.size, 0)
	}
	buf := r.pack.room(f.size - start)
	if n, _ := f.f.ReadAt(buf, start); n < len(buf) {
		return start, errChanged
	}
	r.take(f, bytes.TrimRight(trim(buf, start), "\x00"), start, f.size-start)
	return start, nil
}

// offer hands over a batch with the cursor behind it.
func (r *logReader) offer(ctx context.Context, b *Batch) error {
	r.files.prune()
	var err error
	if b.Cursor, err = r.files.cur.encode(filepath.Dir(r.o.Path)); err != nil {
		return err
	}
	r.files.dirty = false
	if _, err := r.feed.offer(ctx, b); err != nil {
		return err
	}
	r.kept(b)
	return nil
}
