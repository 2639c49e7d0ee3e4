package queue

import (
	"testing"
	"time"
)

// An id that its producer chose, and that came before with another payload, takes no event away.
func TestConflict_AnIDWithAnotherPayloadIsQueuedUnderItsOwn(t *testing.T) {
	now := time.Now()
	q := open(t, Options{DedupWindow: time.Hour, Now: func() time.Time { return now }})
	first, second, third := event(1, "a"), event(1, "a"), event(1, "a")
	first.PayloadID, second.PayloadID, third.PayloadID = event(101).ID, event(102).ID, event(103).ID
	second.Body, third.Body = []byte(`{"n": 2}`), []byte(`{"n": 3}`)
	all := Batch{Events: []NewEvent{first, second, first, second, third}}
	got := commit(t, q, all)
	if len(got.Queued) != 3 || got.Queued[0] != first.ID || got.Queued[1] != second.PayloadID || got.Queued[2] != third.PayloadID || got.Duplicates != 2 || len(got.Conflicts) != 2 {
		t.Fatalf("%+v", got)
	}
	now = now.Add(time.Minute)
	if got := commit(t, q, all); len(got.Queued) != 0 || got.Duplicates != 5 || len(got.Conflicts) != 0 {
		t.Fatalf("read again: %+v", got)
	}
	// An event without an id of its own never conflicts.
	plain := event(1, "a")
	if got := commit(t, q, Batch{Events: []NewEvent{plain}}); got.Duplicates != 1 {
		t.Fatalf("%+v", got)
	}
	// What came first may be gone by then.
	now = now.Add(2 * time.Hour)
	if got := commit(t, q, Batch{Events: []NewEvent{second}}); len(got.Queued) != 1 || got.Queued[0] != second.ID || len(got.Conflicts) != 0 {
		t.Fatalf("after the window: %+v", got)
	}
}
