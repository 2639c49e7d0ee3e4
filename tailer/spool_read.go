package tailer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// read takes the records of one file into the batch.
func (s *Spool) read(ctx context.Context, name string) error {
	f, err := s.open(name)
	if err == nil && f != nil && f.c.Done {
		s.remove(f)
		return nil
	}
	s.leftovers.trouble(name, plain(err))
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
		s.lookout.again = true
		return nil, nil
	case err != nil:
		return nil, err
	}
	f := &spoolFile{name: name, path: filepath.Join(s.o.Path, name), settle: s.settle, f: fd, c: s.known.find(name, info, fd)}
	if f.c == nil {
		head, ok := fingerprintAt(fd, 0, int(min(info.Size(), headLen)))
		if !ok {
			fd.Close()
			s.lookout.again = true
			return nil, nil
		}
		f.c = newSpoolCheckpoint(name, info, head)
	} else if !s.resume(f, info) {
		f.close()
		s.lookout.again = true
		return nil, nil
	}
	if !f.c.Done {
		f.begin(info, s.o.MaxRecord)
	}
	return f, nil
}

// resume takes up a file that was read before. It is false where there is nothing new yet.
func (s *Spool) resume(f *spoolFile, info os.FileInfo) bool {
	c := f.c
	if c.unchanged(info) && c.Done {
		return true
	}
	if c.Done {
		c.Done, c.grown = false, true
	}
	if f.waits(info) {
		return false
	}
	delete(s.known, c.id()) // a copy of it may have another inode
	c.see(info)
	s.known[c.id()] = c
	return true
}

// readFrom takes records into the batch until the file ends.
func (s *Spool) readFrom(ctx context.Context, f *spoolFile) error {
	s.batch.part = f
	f.r.ctx = ctx
	for {
		if err := s.batch.takeTurn(ctx, DefaultBatchBytes); err != nil {
			return err
		}
		fr, err := f.next()
		var d *damage
		switch {
		case errors.Is(err, io.EOF):
			return s.finish(ctx, f)
		case err == nil && f.torn(&fr):
			s.wait(f)
			return nil
		case err == nil:
			f.take(fr, s.batch.pack)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &d):
			if d.short && f.mayGrow() {
				s.wait(f)
				return nil
			}
			f.takeDamaged(d, s.batch.pack)
			return s.finish(ctx, f)
		default:
			s.leftovers.trouble(f.name, plain(err))
			s.batch.part = nil
			f.close()
			return nil
		}
		if s.batch.full() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// wait leaves f for a later round.
func (s *Spool) wait(f *spoolFile) {
	f.c.at(f.f)
	s.batch.part, s.lookout.again = nil, true
	if !f.late {
		f.close()
	}
}

// finish adds f, all of which was read, to what the batch finishes.
func (s *Spool) finish(ctx context.Context, f *spoolFile) error {
	f.c.Done, f.c.scanned = true, 0
	f.c.at(f.f)
	s.batch.part = nil
	s.batch.finished = append(s.batch.finished, f)
	if len(s.batch.finished) >= maxFinished {
		return s.flush(ctx)
	}
	return nil
}

// flush hands over the batch and lets the files go that it finishes.
func (s *Spool) flush(ctx context.Context) error {
	b := &s.batch
	if b.empty() {
		b.endTurn()
		return nil
	}
	if err := b.takeTurn(ctx, DefaultBatchBytes); err != nil {
		return err
	}
	if err := b.offer(ctx, &s.feed, s.known); err != nil {
		return err
	}
	s.update(func(st *Status) {
		if len(b.pack.records) > 0 {
			st.LastRecord = time.Now()
		}
		for _, f := range b.finished {
			st.LagBytes = max(0, st.LagBytes-f.c.Size)
			st.Files = max(0, st.Files-1)
		}
	})
	b.endTurn()
	s.handled += len(b.finished)
	for _, f := range b.finished {
		s.remove(f)
	}
	b.finished = b.finished[:0]
	return nil
}
