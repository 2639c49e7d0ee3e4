package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exported is all events, by their parts.
func exported(t *testing.T, q *Queue) (all []ExportedEvent) {
	t.Helper()
	for after := uint64(0); ; {
		part, err := q.Export(after)
		if err != nil || len(part.Damaged) > 0 {
			t.Fatal(err, part.Damaged)
		}
		all, after = append(all, part.Events...), part.Next
		if part.Last {
			return all
		}
	}
}

func TestExport_AllThatIsKeptInTheOrderItWasRead(t *testing.T) {
	now := time.Now()
	q := open(t, Options{DedupWindow: time.Hour, Retention: 24 * time.Hour, Now: func() time.Time { return now }})
	commit(t, q, Batch{Source: "s", Cursor: []byte("1"), Events: []NewEvent{event(0, "a")}})
	record(t, q, Outcome{DeliveryID: due(t, q, "a", now)[0].ID, Status: Success, Attempt: Attempt{N: 1, At: now}})
	now = now.Add(2 * time.Hour) // the id is known no longer
	long := strings.Repeat("long/", 100)
	const many = 2*exportEvents + 10
	var events []NewEvent
	for n := range many {
		events = append(events, event(n, "a", "b"))
	}
	events[1].Body = []byte(strings.Repeat("x", ownRecord))
	events[2].PayloadID = "evt_payload"
	commit(t, q, Batch{Source: long, Cursor: []byte("2"), Events: events})
	tried := due(t, q, "b", now.Add(time.Second))[3]
	record(t, q, Outcome{DeliveryID: tried.ID, Status: Retrying, Due: now.Add(time.Minute), Attempt: Attempt{N: 1, At: now, Error: "no"}})

	all := exported(t, q)
	if len(all) != many+1 {
		t.Fatalf("%d events", len(all))
	}
	first := all[0]
	if first.Latest || first.Deliveries[0].Status != Success || len(first.Deliveries[0].History) != 1 {
		t.Errorf("the first: %+v %+v", first, first.Deliveries[0])
	}
	for i, e := range all[1:] {
		want := events[i]
		if e.Event.ID != want.ID || string(e.Event.Body) != string(want.Body) || !e.Latest || e.PayloadID != want.PayloadID || len(e.Deliveries) != 2 {
			t.Fatalf("event %d: %+v", i, e)
		}
		if d := e.Deliveries[1]; (d.ID == tried.ID) != (d.Status == Retrying) || d.Webhook != "b" || d.NextAttemptAt.IsZero() {
			t.Fatalf("event %d: %+v", i, d)
		}
	}
	cursors, err := q.ExportCursors([]string{long})
	if err != nil || string(cursors["s"]) != "1" || string(cursors[long]) != "2" || len(cursors) != 2 {
		t.Errorf("cursors %q, %v", cursors, err)
	}
}

// TestExport_IDsOutliveTheirEvents: an id that is remembered without its event must go along, or what
// is read once more would be queued twice.
func TestExport_IDsOutliveTheirEvents(t *testing.T) {
	now := time.Now()
	q := open(t, Options{DedupWindow: 48 * time.Hour, Retention: time.Hour, Now: func() time.Time { return now }})
	commit(t, q, Batch{Source: "s", Cursor: []byte("1"), Events: []NewEvent{event(1, "a"), event(2)}})
	record(t, q, Outcome{DeliveryID: due(t, q, "a", now)[0].ID, Status: Success, Attempt: Attempt{N: 1, At: now}})
	now = now.Add(2 * time.Hour)
	if _, err := q.maintenance.retain(context.Background(), now.Add(-time.Hour), -1); err != nil {
		t.Fatal(err)
	}
	ids, next, err := q.ExportIDs(nil)
	if err != nil || len(ids) != 2 || next != nil || ids[0].ID != event(1).ID || ids[1].ID != event(2).ID || ids[0].Seq == 0 {
		t.Errorf("ids %+v, next %v, %v", ids, next, err)
	}
}

func TestOpen_RefusesAQueueThatWasMovedAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	q, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		done bool
		want string
	}{{false, "queue move"}, {true, `engine = "postgres"`}} {
		if err := MarkMoved(dir, "PostgreSQL at db", c.done); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), Options{Dir: dir}); !errors.Is(err, ErrMovedAway) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("done %v: %v", c.done, err)
		}
		open(t, Options{Dir: dir, Moving: true}).Close()
	}
	if err := os.WriteFile(filepath.Join(dir, movedName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), Options{Dir: dir}); !errors.Is(err, ErrMovedAway) {
		t.Errorf("with an odd mark: %v", err)
	}
}
