package queue

import (
	"bytes"
	"errors"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// A machine whose clock is years ahead when it starts, until the network sets it right.
func TestClock_SetBackPutsNothingOffAndKeepsNothingForEver(t *testing.T) {
	right := time.Now()
	now := right.AddDate(4, 0, 0)
	q := open(t, Options{Retention: 24 * time.Hour, DedupWindow: time.Hour, Now: func() time.Time { return now }})
	upkeep := func() {
		t.Helper()
		if err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a"), event(3, "a"), event(4, "a")}})
	ds := due(t, q, "a", now.Add(time.Second))
	retry := Outcome{DeliveryID: ds[0].ID, Status: Retrying, Due: now.Add(10 * time.Minute), Attempt: Attempt{N: 1, At: now}}
	failed := Outcome{DeliveryID: ds[1].ID, Status: Failed, Attempt: Attempt{N: 1, At: right}}
	replayed := Outcome{DeliveryID: ds[2].ID, Status: Failed, Attempt: Attempt{N: 1, At: right}}
	record(t, q, retry, failed, replayed)
	if _, err := q.Replay(t.Context(), "cli", []string{replayed.DeliveryID}); err != nil {
		t.Fatal(err)
	}

	now = right
	upkeep()
	if got := due(t, q, "a", now.Add(time.Second)); len(got) != 2 || got[0].ID != ds[2].ID || got[1].ID != ds[3].ID {
		t.Errorf("due at once: %+v", got)
	}
	if d, err := q.Get(retry.DeliveryID); err != nil || !d.NextAttemptAt.Equal(now.Add(10*time.Minute)) || d.Status != Retrying {
		t.Errorf("the retry is due at %s, %v", d.NextAttemptAt, err)
	}
	record(t, q, Outcome{DeliveryID: ds[3].ID, Status: Retrying, Due: now.Add(time.Hour), Attempt: Attempt{N: 1, At: now}})
	upkeep()
	if d, err := q.Get(ds[3].ID); err != nil || !d.NextAttemptAt.Equal(now.Add(time.Hour)) {
		t.Errorf("an ordinary retry was moved to %s, %v", d.NextAttemptAt, err)
	}

	// What comes from now on expires as ever.
	commit(t, q, Batch{Events: []NewEvent{event(5, "b"), event(6, "b")}})
	ds = due(t, q, "b", now.Add(time.Second))
	record(t, q, Outcome{DeliveryID: ds[0].ID, Status: Success, Attempt: Attempt{N: 1, At: now}})
	now = now.Add(48 * time.Hour)
	upkeep()
	if got := q.Counts()["b"]; got[Success] != 0 || got[Pending] != 1 {
		t.Errorf("after two days %v", got)
	}
}

func TestUpkeep_WhatIsReplayedWhileItExpiresExpiresLater(t *testing.T) {
	now := time.Now()
	q := open(t, Options{Retention: time.Hour, DedupWindow: time.Hour, Now: func() time.Time { return now }})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a")}})
	for _, d := range due(t, q, "a", now.Add(time.Second)) {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: now}})
	}
	page, err := q.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	id := page.Deliveries[1].ID
	now = now.Add(2 * time.Hour)

	// The replay waits for the writer, and behind it what the upkeep would delete.
	begun, hold, ended := make(chan struct{}), make(chan struct{}), make(chan error, 3)
	within := func(call string) func() bool {
		return func() bool {
			var stacks bytes.Buffer
			return pprof.Lookup("goroutine").WriteTo(&stacks, 1) == nil && strings.Contains(stacks.String(), call)
		}
	}
	go func() {
		ended <- q.writer.exclusive(t.Context(), func() error { close(begun); <-hold; return nil })
	}()
	<-begun
	go func() { _, err := q.Replay(t.Context(), "cli", []string{id}); ended <- err }()
	eventually(t, "no replay", within("(*changes).replay"))
	go func() { ended <- q.Upkeep(t.Context()) }()
	eventually(t, "no upkeep", within("(*maintenance).forgetAll"))
	close(hold)
	for range 3 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if got := q.Counts()["a"]; got[Retrying] != 1 || got[Success] != 0 {
		t.Fatalf("%v", got)
	}
	record(t, q, Outcome{DeliveryID: id, Status: Success, Attempt: Attempt{N: 2, At: now}})
	now = now.Add(2 * time.Hour)
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := q.Counts()["a"]; len(got) != 0 {
		t.Errorf("it never expires: %v", got)
	}
}

func TestReplay_CountsWhatIsThere(t *testing.T) {
	now := time.Now()
	q := open(t, Options{Retention: time.Hour, Now: func() time.Time { return now }})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a")}})
	var ids []string
	for _, d := range due(t, q, "a", now.Add(time.Second)) {
		ids = append(ids, d.ID)
	}
	record(t, q, Outcome{DeliveryID: ids[0], Status: Success, Attempt: Attempt{N: 1, At: now}})
	now = now.Add(2 * time.Hour)
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := q.replay(t.Context(), "cli", ids); n != 1 || err != nil { // selected before
		t.Errorf("%d replayed, %v", n, err)
	}
	if n, err := q.Replay(t.Context(), "cli", ids); n != 0 || !errors.Is(err, ErrNotFound) { // asked for
		t.Errorf("%d replayed, %v", n, err)
	}
}
