package queue

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Whoever looks for what is due reads no large event, and no delivery carries its long type.
func TestDue_OfLargeEventsReadsNoneOfThem(t *testing.T) {
	q := open(t, Options{Dir: t.TempDir()})
	const n, size = 20, 1 << 20
	longType := strings.Repeat("t", size)
	for i := range n {
		body := append(fmt.Appendf(nil, "%d", i), bytes.Repeat([]byte("x"), size)...)
		e := NewEvent{Event: Event{ID: fmt.Sprintf("evt_%032x", i+1), Type: longType, ReadAt: time.Now(), Body: body}, Webhooks: []string{"a", "b"}}
		if _, err := q.Commit(t.Context(), Batch{Source: "s", Events: []NewEvent{e}}); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	due, _, err := q.Due("b", time.Now(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; len(due) != n || used > 2<<20 {
		t.Errorf("%d due, for which %d bytes were allocated", len(due), used)
	}
	for _, d := range due {
		if len(d.EventType) > MaxType+3 || d.Size < size || d.Status != Pending || d.Webhook != "b" || d.NextAttemptAt.IsZero() {
			t.Fatalf("%d bytes of type, size %d, %s for %s, due %s", len(d.EventType), d.Size, d.Status, d.Webhook, d.NextAttemptAt)
		}
	}
	e, err := q.EventOf(due[0].ID)
	if err != nil || len(e.Body) < size {
		t.Errorf("%d bytes, %v", len(e.Body), err)
	}
	page, err := q.List(t.Context(), Filter{Webhook: "a", EventType: due[0].EventType})
	if err != nil || len(page.Deliveries) != n {
		t.Errorf("%d listed by the type, %v", len(page.Deliveries), err)
	}
}

// A large event is encoded before it is known under which id it will be queued, and when.
func TestCommit_ALargeEventIsKeptAsWhatItTurnsOutToBe(t *testing.T) {
	now := time.Now()
	q := open(t, Options{DedupWindow: 24 * time.Hour, Now: func() time.Time { return now }})
	large := func(fill string) NewEvent {
		e := event(1, "a")
		e.Body = fmt.Appendf(nil, `{"z": %q}`, strings.Repeat(fill, ownRecord))
		e.PayloadID = "evt_" + strings.Repeat(fill, 32)
		return e
	}
	first, second, third := large("1"), large("2"), large("3")
	commit(t, q, Batch{Events: []NewEvent{first}})
	if got := commit(t, q, Batch{Events: []NewEvent{first, second, third}}); got.Duplicates != 1 || len(got.Conflicts) != 2 {
		t.Fatalf("%+v", got)
	}
	for id, want := range map[string]NewEvent{first.ID: first, second.PayloadID: second, third.PayloadID: third} {
		e, err := q.Event(id)
		if err != nil || e.ID != id || !bytes.Equal(e.Body, want.Body) {
			t.Errorf("%s is %s with %d bytes, %v", id, e.ID, len(e.Body), err)
			continue
		}
		ds, err := q.DeliveriesOf(id)
		if err != nil || len(ds) != 1 {
			t.Errorf("%s: %+v, %v", id, ds, err)
		}
	}
	now = now.Add(-time.Hour) // the clock is set back
	fourth := large("4")
	fourth.ID = fourth.PayloadID
	commit(t, q, Batch{Events: []NewEvent{fourth}})
	var at time.Time
	if err := q.view(func(txn *badger.Txn) error {
		seq, err := get(txn, dedupKey(fourth.ID), "it")
		if err == nil {
			var e *storedEvent
			if e, err = loadEvent(txn, seqOf(seq)); err == nil {
				at = e.QueuedAt
			}
		}
		return err
	}); err != nil || !at.Equal(now) {
		t.Errorf("while the clock is behind, it was queued at %s, not %s: %v", at, now, err)
	}
}
