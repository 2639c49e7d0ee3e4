package tailer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

// gate is a handler's refusal for as long as it is shut.
func gate(s *store) (shut *atomic.Bool) {
	shut = &atomic.Bool{}
	shut.Store(true)
	s.fail = func(*Batch) error {
		if shut.Load() {
			return errors.New("the queue is full")
		}
		return nil
	}
	return shut
}

// gzipAs does to a rotated file what gzip does: the compressed one has its time.
func gzipAs(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path+".gz", gzipped(t, b), 0o644))
	must(t, os.Chtimes(path+".gz", info.ModTime(), info.ModTime()))
	must(t, os.Remove(path))
}

// More rotated files wait to be read than are kept open, since the queue is full, and meanwhile
// they are compressed: each is read from where it is now.
func TestBacklog_WhatIsCompressedWhileItWaitsIsRead(t *testing.T) {
	t.Parallel()
	for _, files := range []int{5, maxOpen + 10, maxStreams + 10} {
		for _, stopped := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d,stopped=%v", files, stopped), func(t *testing.T) {
				t.Parallel()
				s, w := begun(t)
				var r *running
				if !stopped {
					r = follow(t, s, w.path)
					s.wait(t, len(w.written))
					r.settled(s)
				}
				s.mu.Lock()
				shut := gate(s)
				s.mu.Unlock()
				w.lines(1)
				name := func(i int) string { return fmt.Sprintf("%s.%d", w.path, i) }
				for i := files; i > 0; i-- {
					w.rename(name(i))
					w.reopen()
					w.lines(3)
				}
				if stopped {
					r = follow(t, s, w.path)
				}
				eventually(t, "stuck", func() bool { return !r.log.Status().Ready })
				r.quiet() // they were seen
				for i := files; i > 0; i-- {
					gzipAs(t, name(i))
				}
				shut.Store(false)
				s.wait(t, len(w.written))
				r.settled(s)
				r.quiet()
				r.stop()
				if files < maxStreams { // of more the checkpoint cannot know each
					s.wantSet(t, w.written)
				}
				if n := s.gapCount(); n > 0 {
					t.Errorf("%d gaps: %+v", n, s.gaps[0])
				}
				got := map[string]bool{}
				for _, line := range s.got() {
					got[line] = true
				}
				if len(got) != len(w.written) {
					t.Errorf("%d of %d lines", len(got), len(w.written))
				}
			})
		}
	}
}

// A file is made, rotated and compressed between two looks, since the process stood still: no name
// of it was ever seen. What was read and compressed meanwhile is not read again.
func TestBacklog_WhatNobodySawIsRead(t *testing.T) {
	t.Parallel()
	s, w := &store{}, newWriter(t, logPath(t))
	l, pass := byHand(t, s, w.path)
	w.lines(5)
	eventually(t, "a directory at rest, read", func() bool {
		pass()
		return l.files.complete && s.count() == 5
	})
	for i := 3; i > 0; i-- {
		rotated := fmt.Sprintf("%s.%d", w.path, i)
		w.rename(rotated)
		gzipAs(t, rotated)
		w.reopen()
		w.lines(2)
	}
	eventually(t, "all lines", func() bool {
		pass()
		return s.count() >= len(w.written) && l.files.cur.behind.IsZero()
	})
	pass()
	s.want(t, w.written)
	if n := s.gapCount(); n > 0 {
		t.Errorf("%d gaps: %+v", n, s.gaps[0])
	}
}

// onErr does something when the nth look whether the context has ended is taken, which is before
// each reading of a compressed file.
type onErr struct {
	context.Context
	n  int
	do func()
}

func (c *onErr) Err() error {
	if c.n--; c.n == 0 {
		c.do()
	}
	return c.Context.Err()
}

// A rotated file that was read is compressed, and looked into meanwhile: not a line of it is read
// again, whatever the moment at which the rest of the compressed one is written.
func TestBacklog_WhatIsBeingCompressedIsNotReadAgain(t *testing.T) {
	t.Parallel()
	s, w := &store{}, newWriter(t, logPath(t))
	l, pass := byHand(t, s, w.path)
	w.lines(400)
	eventually(t, "what was written", func() bool {
		pass()
		return s.count() == len(w.written)
	})
	b, err := os.ReadFile(w.path)
	must(t, err)
	whole := gzipped(t, b)
	for _, written := range []int{0, 5, len(whole) / 2, len(whole) - 1} {
		for n, reached := 1, true; reached; n++ {
			reached = false
			path := fmt.Sprintf("%s.%d.%d.gz", w.path, written, n)
			f, err := os.Create(path)
			must(t, err)
			_, err = f.Write(whole[:written])
			must(t, err)
			info, err := f.Stat()
			must(t, err)
			ctx := &onErr{t.Context(), n, func() {
				reached = true
				if _, err := f.Write(whole[written:]); err != nil {
					t.Error(err)
				}
			}}
			if _, err := l.lookInto(ctx, compressedFile{path, info}); err != nil {
				t.Errorf("%d bytes, the others at reading %d: %v", written, n, err)
			}
			must(t, f.Close())
			if got := s.count(); got != len(w.written) || s.gapCount() > 0 {
				t.Fatalf("%d bytes, the others at reading %d: %d of %d lines, %d gaps", written, n, got, len(w.written), s.gapCount())
			}
			if looked, err := l.lookInto(t.Context(), compressedFile{path, info}); err != nil || reached && !looked || s.count() != len(w.written) {
				t.Fatalf("%d bytes, looked into once it is whole: %v, %v, %d lines", written, looked, err, s.count())
			}
		}
	}
}
