package tailer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// begun is a log of twenty lines of which ten were read.
func begun(t *testing.T) (*store, *writer) {
	t.Helper()
	s := &store{}
	w := newWriter(t, logPath(t))
	r := follow(t, s, w.path)
	w.lines(10)
	s.wait(t, 10)
	r.stop()
	w.lines(10)
	return s, w
}

// backlogged is one that was begun, then rotated into n files that were compressed, and
// written on.
func backlogged(t *testing.T, n int) (*store, *writer) {
	t.Helper()
	s, w := begun(t)
	w.rename(w.path + ".1000")
	w.reopen()
	at := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(w.path+".1000", at, at))
	for i := n; i > 0; i-- {
		w.lines(1)
		w.compress(fmt.Sprintf("%s.%d.gz", w.path, i))
		at := time.Now().Add(-time.Duration(i) * time.Second)
		must(t, os.Chtimes(fmt.Sprintf("%s.%d.gz", w.path, i), at, at))
	}
	return s, w
}

// While compressed files are renamed some are seen under no name, and some that were seen are
// gone before they are opened. None of them is given up, or taken for damaged.
func TestBacklog_WhatARotationHidIsReadWhenItIsSeen(t *testing.T) {
	t.Parallel()
	const files = 60
	for range 4 {
		s, w := backlogged(t, files)
		w.lines(1)
		storm := renumbering(w.path, ".gz", files)
		r := follow(t, s, w.path)
		must(t, <-storm)
		s.wait(t, len(w.written))
		r.settled(s)
		r.stop()
		s.wantSet(t, w.written)
		if n := s.gapCount(); n > 0 {
			t.Errorf("%d gaps: %+v", n, s.gaps[0])
		}
	}
}

// A log that nobody writes to any more has a backlog too.
func TestBacklog_IsReadWithNothingElseToRead(t *testing.T) {
	t.Parallel()
	s, w := backlogged(t, 3)
	r := follow(t, s, w.path)
	s.want(t, w.written)
	r.settled(s)
	r.stop()
	must(t, os.Remove(w.path))
	must(t, os.Remove(w.path+".1000"))
	w.reopen()
	w.lines(5)
	w.compress(w.path + ".0.gz")
	follow(t, s, w.path)
	s.want(t, w.written)
}

// What is younger is read, and the position with it, while what is older waits for its turn:
// the position says so.
func TestBacklog_OutlivesTheProcess(t *testing.T) {
	t.Parallel()
	s, w := begun(t)
	w.compress(w.path + ".3.gz") // with what was begun
	w.lines(2 * DefaultBatchLines)
	w.compress(w.path + ".2.gz") // in several batches
	w.lines(10)
	w.compress(w.path + ".1.gz")
	w.lines(10)
	s.fail = func(b *Batch) error { // the last of the backlog is not kept
		if slices.ContainsFunc(b.Records, func(r Record) bool { return r.Path == w.path+".1.gz" }) {
			return errors.New("the queue is full")
		}
		return nil
	}
	r := follow(t, s, w.path)
	s.wait(t, len(w.written)-10)
	eventually(t, "stuck", func() bool { return !r.log.Status().Ready })
	r.stop()
	s.fail = nil
	follow(t, s, w.path)
	s.wait(t, len(w.written))
	s.wantSet(t, w.written)
}
