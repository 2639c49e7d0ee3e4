package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

func open(t testing.TB, o Options) *Queue {
	t.Helper()
	if o.URL == "" {
		o.URL = pgtest.Server(t)
	}
	if o.Agent == "" {
		o.Agent = "agent-0"
	}
	if o.Replication == "" {
		o.Replication = "trust"
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

func event(n int, webhooks ...string) queue.NewEvent {
	return queue.NewEvent{
		Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", n), Type: "scan_completed", Source: "log", Path: "/log", Offset: int64(n), Body: fmt.Appendf(nil, `{"n": %d}`, n)},
		Webhooks: webhooks,
	}
}

func commit(t testing.TB, q *Queue, b queue.Batch) queue.Committed {
	t.Helper()
	done, err := q.Commit(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func due(t testing.TB, q *Queue, webhook string) []queue.Delivery {
	t.Helper()
	out, _, err := q.Due(webhook, time.Now().Add(time.Second), 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The database's batch numbers repeat after a failover that lost the latest; a commit that is lost with them
// must not be taken for one that another agent has made since.
func TestCommit_CursorIsKnownByMoreThanItsBatchNumber(t *testing.T) {
	q := open(t, Options{})
	var tokens [2]int64
	for i := range tokens {
		commit(t, q, queue.Batch{Source: "log", Cursor: []byte("1")})
		conn, err := q.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = conn.QueryRow(t.Context(), "DELETE FROM agent.source RETURNING token").Scan(&tokens[i])
		if err == nil {
			_, err = conn.Exec(t.Context(), "ALTER SEQUENCE agent.batch RESTART")
		}
		q.release(conn)
		if err != nil {
			t.Fatal(err)
		}
	}
	if tokens[0] == tokens[1] {
		t.Errorf("two commits of the same batch number have the same token, %d", tokens[0])
	}
}

// A failover that lost a source's only cursor is told once: what is read again has none that could be lost.
func TestCursor_ForgetsWhatTheDatabaseHasLost(t *testing.T) {
	q := open(t, Options{})
	commit(t, q, queue.Batch{Source: "log", Cursor: []byte("1")})
	conn, err := q.acquire(t.Context())
	if err == nil {
		_, err = conn.Exec(t.Context(), "DELETE FROM agent.source")
		q.release(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c, gen, err := q.Cursor("log"); err != nil || c != nil || gen != 0 {
		t.Errorf("%q, %d, %v", c, gen, err)
	}
	if sources, gens := q.known.all(); len(sources) != 0 {
		t.Errorf("%v %v would be missed at each beat", sources, gens)
	}
}

// Its outcome is all that is ever said of it: it must not be due again.
func TestRecord_EndsWhatIsLeftOfADeliveryWithoutItsEvent(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "agent-0", Options{})
	a := serve(t, q, "w")
	a.await(t, "w")
	commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "w"), event(2, "w")}})
	conn, err := q.acquire(t.Context())
	if err == nil {
		_, err = conn.Exec(t.Context(), "DELETE FROM agent.event WHERE id = $1", event(1).ID)
		q.release(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	left := due(t, q, "w")
	if len(left) != 2 || left[0].EventID != "" {
		t.Fatalf("%+v", left)
	}
	err = q.Record(t.Context(), queue.Outcome{DeliveryID: left[0].ID, Epoch: a.epoch("w"), Status: queue.Failed, Attempt: queue.Attempt{N: 1, At: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if left := due(t, q, "w"); len(left) != 1 || left[0].EventID != event(2).ID {
		t.Errorf("still due: %+v", left)
	}
}

func TestCommit_EventsDeliveriesAndCursorAreThereAfterReopening(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url, DedupWindow: time.Hour})
	done := commit(t, q, queue.Batch{Source: "log", Cursor: []byte("here"), Events: []queue.NewEvent{event(1, "a", "b"), event(2, "b"), event(1, "a")}})
	if len(done.Queued) != 2 || done.Duplicates != 1 || done.Deliveries != 3 || done.Gen != 1 {
		t.Fatalf("%+v", done)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, Options{URL: url, DedupWindow: time.Hour})
	if c, gen, err := q.Cursor("log"); err != nil || string(c) != "here" || gen != 1 {
		t.Fatalf("cursor %q %d, %v", c, gen, err)
	}
	got := due(t, q, "b")
	if len(got) != 2 || got[0].EventID != event(1).ID || got[0].Status != queue.Pending {
		t.Fatalf("due for b: %+v", got)
	}
	if got := q.Counts(); got["a"][queue.Pending] != 1 || got["b"][queue.Pending] != 2 {
		t.Fatalf("counts %v", got)
	}
	if e, err := q.EventOf(got[0].ID); err != nil || string(e.Body) != `{"n": 1}` {
		t.Fatalf("%+v %v", e, err)
	}
}
