package queue

import (
	"bytes"
	"testing"
	"time"
)

func TestMaxSize_IntakeWaitsAndGoesOnWhenItIsRaised(t *testing.T) {
	q := open(t, Options{})
	fill := Batch{}
	for n := range 2000 {
		fill.Events = append(fill.Events, bigEvent(n, "a"))
	}
	commit(t, q, fill)
	q.SetLimits(1<<20, 0, 0) // not before: a commit of several transactions waits between two of them
	intakeWaits(t, q, func() { q.SetLimits(1<<30, 0, 0) })
}

// intakeWaits has an event wait while the queue is full, and outcomes not, until there is room.
func intakeWaits(t *testing.T, q *Queue, makeRoom func()) {
	t.Helper()
	q.disk.measure()
	if s := q.Stats(); !s.Full || s.Reason == "" {
		t.Fatalf("%+v", s)
	}
	committed := make(chan error, 1)
	go func() {
		_, err := q.Commit(t.Context(), Batch{Events: []NewEvent{event(5000, "a")}})
		committed <- err
	}()
	for _, d := range due(t, q, "a", time.Now()) {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: time.Now()}})
	}
	select {
	case err := <-committed:
		t.Fatalf("it was committed while full: %v", err)
	default:
	}
	makeRoom()
	if err := <-committed; err != nil { // it continues by itself
		t.Fatal(err)
	}
}

func TestCommit_512EventsFor4WebhooksAreOneTransaction(t *testing.T) {
	q := open(t, Options{})
	b := Batch{Source: "/var/log/paperless.log", Cursor: bytes.Repeat([]byte("c"), 8000)}
	webhooks := []string{"slack-ai", "discord-team", "teams-documents", "archive"}
	for n := range 512 {
		b.Events = append(b.Events, bigEvent(n, webhooks...))
	}
	if _, c, last := q.part(b); !last {
		t.Errorf("it takes more than one: %+v of %+v", c, q.writer.room)
	}
	if got := commit(t, q, b); got.Deliveries != 4*512 {
		t.Fatalf("%+v", got)
	}
	long := Batch{Source: "x", Cursor: []byte("end")}
	name := string(bytes.Repeat([]byte("w"), 300))
	for n := range 2000 {
		e := event(10_000+n, name, name+"2", name+"3")
		e.Type = name
		long.Events = append(long.Events, e)
		long.Rejected = append(long.Rejected, Rejected{Source: "x", Offset: int64(n), Data: make([]byte, 100)})
	}
	if got := commit(t, q, long); got.Deliveries != 6000 || q.Stats().Rejected != 2000 {
		t.Fatalf("%+v", got)
	}
	if c, _, err := q.Cursor("x"); string(c) != "end" {
		t.Fatal(string(c), err)
	}
}

func TestMaxSize_ASmallQueueTakesTheLargestEvent(t *testing.T) {
	q := open(t, Options{MaxSize: 32 << 20})
	e := event(1, "a")
	// max_line_bytes of two-byte characters, each \uXXXX once it is canonical
	e.Body = bytes.Repeat([]byte(`\u00e9`), 1<<19)
	commit(t, q, Batch{Source: "log", Cursor: []byte("x"), Events: []NewEvent{e}})
	d := due(t, q, "a", time.Now())
	got, err := q.EventOf(d[0].ID)
	if err != nil || !bytes.Equal(got.Body, e.Body) {
		t.Fatalf("%d bytes, %v", len(got.Body), err)
	}
}
