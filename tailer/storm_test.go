package tailer

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// A writer that numbers its files renames all of them at each rotation, and a directory that
// is read meanwhile does not show each of them. What was not seen must not be taken for
// something that was read before once younger ones have been.
func TestRotation_WhatADirectoryDidNotShowIsNotTakenForOld(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	w := newWriter(t, path)
	const files = 3 * maxStreams
	for i := files; i > 0; i-- {
		w.lines(1)
		w.rename(fmt.Sprintf("%s.%d", path, i))
		at := time.Now().Add(-time.Duration(i) * time.Second)
		must(t, os.Chtimes(fmt.Sprintf("%s.%d", path, i), at, at))
		w.reopen()
	}
	w.lines(1)
	for range 5 {
		storm := renumbering(path, "", files)
		s := &store{}
		r := follow(t, s, path)
		must(t, <-storm)
		s.wait(t, len(w.written))
		r.stop()
		s.wantSet(t, w.written)
	}
}

// renumbering renames .1 to .2 and so on, n at most, and back again, many times. What becomes of
// it is sent when it has ended.
func renumbering(path, ext string, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		name := func(i int) string { return fmt.Sprintf("%s.%d%s", path, i, ext) }
		var err error
		for range 4_000 / n {
			for i := n; i > 0; i-- {
				err = errors.Join(err, os.Rename(name(i), name(i+1)))
			}
			for i := 1; i <= n; i++ {
				err = errors.Join(err, os.Rename(name(i+1), name(i)))
			}
		}
		done <- err
	}()
	return done
}
