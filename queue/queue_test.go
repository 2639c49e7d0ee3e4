package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func open(t testing.TB, o Options) *Queue {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "state")
	}
	q, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func event(n int, webhooks ...string) NewEvent {
	return NewEvent{
		Event:    Event{ID: fmt.Sprintf("evt_%032x", n), Type: "scan_completed", Source: "log", Path: "/log", Offset: int64(n), Body: fmt.Appendf(nil, `{"n": %d}`, n)},
		Webhooks: webhooks,
	}
}

func commit(t testing.TB, q *Queue, b Batch) Committed {
	t.Helper()
	done, err := q.Commit(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func due(t testing.TB, q *Queue, webhook string, now time.Time) []Delivery {
	t.Helper()
	out, _, err := q.Due(webhook, now, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func record(t testing.TB, q *Queue, outcomes ...Outcome) {
	t.Helper()
	if err := q.Record(context.Background(), outcomes...); err != nil {
		t.Fatal(err)
	}
}

func TestCommit_EventsDeliveriesAndCursorAreThereAfterReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	q := open(t, Options{Dir: dir, DedupWindow: time.Hour})
	commit(t, q, Batch{Source: "log", Cursor: []byte("here"), Events: []NewEvent{event(1, "a", "b"), event(2, "b")}})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, Options{Dir: dir, DedupWindow: time.Hour})
	if c, _, err := q.Cursor("log"); err != nil || string(c) != "here" {
		t.Fatalf("cursor %q, %v", c, err)
	}
	if got := due(t, q, "b", time.Now()); len(got) != 2 || got[0].EventID != event(1).ID || got[0].Status != Pending {
		t.Fatalf("due for b: %+v", got)
	}
	if got := q.Counts(); got["a"][Pending] != 1 || got["b"][Pending] != 2 {
		t.Fatalf("counts %v", got)
	}
	e, err := q.EventOf(due(t, q, "a", time.Now())[0].ID)
	if err != nil || string(e.Body) != `{"n": 1}` {
		t.Fatalf("%s %v", e.Body, err)
	}
}

func TestCommit_TheSameEventWithinTheWindowIsQueuedOnce(t *testing.T) {
	now := time.Now()
	q := open(t, Options{DedupWindow: time.Hour, Now: func() time.Time { return now }})
	b := Batch{Events: []NewEvent{event(1, "a"), event(1, "a")}}
	if got := commit(t, q, b); len(got.Queued) != 1 || got.Duplicates != 1 {
		t.Fatalf("%+v", got)
	}
	now = now.Add(59 * time.Minute)
	if got := commit(t, q, b); got.Duplicates != 2 {
		t.Fatalf("%+v", got)
	}
	now = now.Add(2 * time.Minute)
	b.Backfill = true
	if got := commit(t, q, b); got.Duplicates != 2 {
		t.Fatalf("a backfill queued it again: %+v", got)
	}
	b.Backfill = false
	if got := commit(t, q, b); len(got.Queued) != 1 {
		t.Fatalf("after the window: %+v", got)
	}
	if n := q.Counts()["a"][Pending]; n != 2 {
		t.Fatalf("%d deliveries", n)
	}
}

func TestRecord_MovesADeliveryThroughItsStatuses(t *testing.T) {
	q := open(t, Options{})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a")}})
	d := due(t, q, "a", time.Now())[0]
	later := time.Now().Add(time.Hour)
	record(t, q, Outcome{DeliveryID: d.ID, Status: Retrying, Due: later, URL: "u", Attempt: Attempt{N: 1, At: time.Now(), Status: 500, Error: "no"}})
	got, next, err := q.Due("a", time.Now(), 10, nil)
	if err != nil || len(got) != 1 || got[0].EventID != event(2).ID || next.UnixNano() != later.UnixNano() {
		t.Fatalf("%+v %s %v", got, next, err)
	}
	if head, ok, _ := q.Head("a"); !ok || head.ID != d.ID {
		t.Fatalf("the head is %+v", head)
	}
	record(t, q, Outcome{DeliveryID: d.ID, Status: Failed, Attempt: Attempt{N: 2, At: time.Now()}})
	if one, err := q.Get(d.ID); err != nil || one.Status != Failed || one.Attempts != 2 || one.Spent != 2 || len(one.History) != 2 || one.CompletedAt.IsZero() {
		t.Fatalf("%+v %v", one, err)
	}
	if n, err := q.Replay(t.Context(), "cli", []string{d.ID}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if one, _ := q.Get(d.ID); one.Status != Retrying || one.Spent != 0 || one.Attempts != 2 || len(one.Replays) != 1 {
		t.Fatalf("%+v", one)
	}
	if _, err := q.Replay(t.Context(), "cli", []string{d.ID, "dlv_x"}); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if got := q.Counts()["a"]; got[Retrying] != 1 || got[Pending] != 1 || got[Failed] != 0 {
		t.Fatal(got)
	}
}

func TestList_FiltersNewestFirstInParts(t *testing.T) {
	q := open(t, Options{})
	for i := range 120 {
		commit(t, q, Batch{Events: []NewEvent{event(i, "a", "b")}})
	}
	for _, d := range due(t, q, "a", time.Now())[:30] {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Failed, Attempt: Attempt{N: 1, At: time.Now(), Error: "odd"}})
	}
	for name, c := range map[string]struct {
		f    Filter
		want int
	}{
		"all": {Filter{}, 240}, "webhook": {Filter{Webhook: "a"}, 120}, "status": {Filter{Status: []Status{Failed}}, 30},
		"both": {Filter{Webhook: "b", Status: []Status{Failed}}, 0}, "type": {Filter{EventType: "scan_completed"}, 240}, "search": {Filter{Search: "ODD"}, 30},
		"payload": {Filter{Search: `"n": 77}`}, 2}, "since": {Filter{Since: time.Now()}, 0}, "until": {Filter{Until: time.Now()}, 240},
	} {
		c.f.Limit = 7
		seen, last := map[string]bool{}, ""
		for {
			page, err := q.List(t.Context(), c.f)
			if err != nil {
				t.Fatal(name, err)
			}
			for _, d := range page.Deliveries {
				if last != "" && d.ID >= last || seen[d.ID] {
					t.Fatalf("%s: %s after %s", name, d.ID, last)
				}
				seen[d.ID], last = true, d.ID
			}
			if page.Next == "" {
				break
			}
			c.f.Before = page.Next
		}
		if len(seen) != c.want {
			t.Errorf("%s: %d, want %d", name, len(seen), c.want)
		}
		c.f.Before = ""
		if n, err := q.Count(t.Context(), c.f); err != nil || n != c.want {
			t.Errorf("%s: counted %d, %v", name, n, err)
		}
	}
}

func TestOpen_RefusesWhatItWouldDestroy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	q := open(t, Options{Dir: dir})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a")}})
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "queue", "MANIFEST")
	if err := os.Rename(manifest, manifest+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrDamaged) {
		t.Errorf("without MANIFEST: %v", err)
	}
	if err := os.Rename(manifest+".away", manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "queue.json"), []byte(`{"format": 99, "instance": "00000000"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
}

func TestUpkeep_RetentionDeletesOnlyWhatIsFinishedAndOld(t *testing.T) {
	now := time.Now()
	q := open(t, Options{Retention: time.Hour, DedupWindow: 3 * time.Hour, Now: func() time.Time { return now }})
	commit(t, q, Batch{
		Events:   []NewEvent{event(1, "a"), event(2, "a", "b"), event(3)},
		Rejected: []Rejected{{Source: "log", Offset: 1, Reason: "x"}, {Source: "log", Offset: 1, Reason: "x"}},
	})
	for _, d := range due(t, q, "a", now.Add(time.Second)) {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: now}})
	}
	if q.Stats().Rejected != 1 {
		t.Fatalf("%d rejected", q.Stats().Rejected)
	}
	now = now.Add(2 * time.Hour)
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := q.Counts(); got["a"][Success] != 1 || got["b"][Pending] != 1 || q.Stats().Rejected != 0 {
		t.Fatalf("%v", got)
	}
	if got := commit(t, q, Batch{Events: []NewEvent{event(1, "a")}}); got.Duplicates != 1 {
		t.Fatal("an event that is gone is not known within the dedup window")
	}
	now = now.Add(2 * time.Hour)
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := commit(t, q, Batch{Events: []NewEvent{event(1, "a")}}); len(got.Queued) != 1 {
		t.Fatal("an id is still known after the dedup window")
	}
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
