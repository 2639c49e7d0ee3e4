package tailer

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"
)

// liveBatches is after how many batches of a busy live file the others get their turn.
const liveBatches = 16

// read hands over all whole lines of f. more: there may be others.
func (l *Log) read(ctx context.Context, f *file) (more bool, err error) {
	for n := 0; ; n++ {
		if n > 0 {
			l.files.scan(ctx) // a long read must not let new files slip away
		}
		if f == l.files.live && n == liveBatches {
			return true, nil
		}
		if !f.unread() {
			return false, nil
		}
		if err := f.open(); err != nil {
			f.trouble = err
			if elsewhere(err) {
				l.files.dir.full = noTime
				return true, nil
			}
			return false, nil
		}
		kept, err := l.step(ctx, f)
		switch {
		case errors.Is(err, errChanged):
			f.stale = true
			return true, nil
		case err != nil && ctx.Err() != nil:
			return false, err
		case err != nil:
			f.trouble = err
			l.files.dir.problem = err.Error()
			return false, nil
		case !kept:
			return false, nil
		}
	}
}

// step hands over one batch. It is false where there is no whole line.
func (l *Log) step(ctx context.Context, f *file) (bool, error) {
	s := f.s
	e, err := l.scan.next(ctx, f)
	if err != nil || e.lines == 0 && !e.long {
		return false, err
	}
	if err := l.takeTurn(ctx, e.end-e.start); err != nil {
		return false, err
	}
	defer l.endTurn()
	if e.long {
		err = l.takeLong(f, e.start, e.end, 1)
	} else {
		err = readLines(f.f.File, e, func(line string, off int64) {
			size := int64(len(line)) + 1
			l.take(f, trim(l.pack.keepLine(line), off), off, size)
		})
	}
	was := *s
	if err == nil {
		err = s.confirm(f.f, l.pack.arena, e.start, e.end)
	}
	if err == nil {
		l.join.giveUpFarBehind(s, e.end, l.pack.add)
		err = l.moveOffsets()
	}
	if err != nil {
		s.off, s.head, s.tail = was.off, was.head, was.tail
		l.rewind(s)
		return false, err
	}
	if e.start > was.pos && was.pos > 0 {
		l.o.Logger.Warn("NUL bytes skipped: data that never reached the disk, or a writer that kept its offset over a truncation",
			"source", l.o.Source, "file", f.path, "offset", was.pos, "bytes", e.start-was.pos)
	}
	return true, l.offerRecords(ctx, s)
}

// take adds a line to the batch, or to those whose end is waited for.
func (l *Log) take(f *file, line []byte, off, size int64) {
	r, whole := l.join.add(line, f.path, place{f.s, off}, size)
	if !whole {
		return
	}
	if off < f.s.trusted {
		r.Damage = damageOf(line)
	}
	l.pack.add(r)
}

// takeLong adds the line [start, end), which is over the limit, by its beginning.
func (l *Log) takeLong(f *file, start, end, terminator int64) error {
	buf := l.pack.room(min(HeadBytes, end-start-terminator))
	if n, _ := f.f.ReadAt(buf, start); n < len(buf) {
		return errChanged
	}
	l.pack.add(Record{
		Data: trim(buf, start), Path: f.path, Stream: f.s.id, Offset: start, Size: end - start, TooLong: true,
	})
	return nil
}

// moveOffsets moves the durable positions to where nothing held back begins.
func (l *Log) moveOffsets() error {
	for _, f := range l.files.files {
		if f.s == nil {
			continue
		}
		off := l.join.floor(f.s)
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
func (l *Log) rewind(s *stream) {
	s.advance(s.off)
	for key, h := range l.join.held {
		if !slices.ContainsFunc(h.starts, func(p place) bool { return p.s == s }) {
			continue
		}
		delete(l.join.held, key)
		for _, p := range h.starts {
			if p.s != s {
				l.rewind(p.s)
			}
		}
	}
}

// offerRecords offers the collected records of s.
func (l *Log) offerRecords(ctx context.Context, s *stream) error {
	s.read = time.Now()
	return l.offer(ctx, &Batch{Records: l.pack.records})
}

// endStream takes what a writer left without a terminator when it died.
func (l *Log) endStream(ctx context.Context, f *file) error {
	s := f.s
	if err := l.takeTurn(ctx, f.size-s.pos); err != nil {
		return err
	}
	defer l.endTurn()
	was := *s
	if start := s.pos; start < f.size {
		start, err := l.takeRest(ctx, f)
		if err == nil {
			err = s.confirm(f.f, l.pack.arena, start, f.size)
		}
		if err != nil {
			f.stale = true
			return nil
		}
	}
	l.join.giveUp(s, l.pack.add)
	if err := l.moveOffsets(); err != nil {
		f.stale = true
		s.off, s.head, s.tail = was.off, was.head, was.tail
		l.rewind(s)
		return nil
	}
	s.done = true
	return l.offerRecords(ctx, s)
}

// takeRest adds what is left of f, NUL bytes around it taken off, and returns where that
// begins.
func (l *Log) takeRest(ctx context.Context, f *file) (start int64, err error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	if start, err = l.scan.zerosEnd(ctx, f, f.s.pos); err != nil || start == f.size {
		return start, err
	}
	if f.size-start > int64(l.o.MaxLine) {
		return start, l.takeLong(f, start, f.size, 0)
	}
	buf := l.pack.room(f.size - start)
	if n, _ := f.f.ReadAt(buf, start); n < len(buf) {
		return start, errChanged
	}
	l.take(f, bytes.TrimRight(trim(buf, start), "\x00"), start, f.size-start)
	return start, nil
}
