package queue

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestCommit_WhatAnUnfinishedBatchQueuedIsNotQueuedAgainHoweverMuchLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	now := time.Now()
	o := Options{Dir: dir, DedupWindow: time.Minute, Now: func() time.Time { return now }}
	var events []NewEvent
	for n := range 6000 {
		events = append(events, bigEvent(n, "a"))
	}
	end := event(6000, "a")

	// Stopped between two transactions, as by a queue that is full of the first.
	small := o
	small.MaxSize = 1
	q := open(t, small)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := q.Commit(ctx, Batch{Source: "log", Cursor: []byte("end"), Events: events})
		stopped <- err
	}()
	eventually(t, "it is not full", func() bool { return q.Stats().Full })
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	first := int(q.Counts()["a"][Pending])
	if c, _, err := q.Cursor("log"); first == 0 || first == len(events) || c != nil || err != nil {
		t.Fatalf("%d events, cursor %q, %v", first, c, err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}

	// The next day it is read again, cut otherwise, beside another source.
	now = now.Add(24 * time.Hour)
	q = open(t, o)
	commit(t, q, Batch{Source: "other", Cursor: []byte("x"), Events: []NewEvent{event(7000, "a")}})
	commit(t, q, Batch{Source: "log", Cursor: []byte("skipped")})
	cut := first / 2
	got := commit(t, q, Batch{Source: "log", Cursor: []byte("cut"), Events: events[:cut]})
	if got.Duplicates != cut {
		t.Errorf("%d of %d were queued twice", len(got.Queued), cut)
	}
	got = commit(t, q, Batch{Source: "log", Cursor: []byte("end"), Events: append(events[cut:], end)})
	if got.Duplicates != first-cut || len(got.Queued) != len(events)-first+1 {
		t.Errorf("%d of %d were queued twice", first-cut-got.Duplicates, first-cut)
	}

	// With that it is over: what comes again after the window is an event of its own.
	now = now.Add(24 * time.Hour)
	if got := commit(t, q, Batch{Source: "log", Cursor: []byte("later"), Events: events[:1]}); len(got.Queued) != 1 {
		t.Error("an event was merged with one from before the window")
	}
}
