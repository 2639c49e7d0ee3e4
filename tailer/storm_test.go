package tailer

import (
	"context"
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
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- renumber(ctx, path, files) }()
	for range 8 {
		s := &store{}
		r := follow(t, s, path)
		s.wait(t, len(w.written))
		r.stop()
		s.wantSet(t, w.written)
	}
	cancel()
	must(t, <-done)
}

// renumber renames .1 to .2 and so on, n at most, and back again, until ctx ends.
func renumber(ctx context.Context, path string, n int) error {
	name := func(i int) string { return fmt.Sprintf("%s.%d", path, i) }
	for ctx.Err() == nil {
		for i := n; i > 0; i-- {
			if err := os.Rename(name(i), name(i+1)); err != nil {
				return err
			}
		}
		for i := 1; i <= n; i++ {
			if err := os.Rename(name(i+1), name(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
