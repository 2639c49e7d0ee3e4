package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// What is delivered at its first attempt is written without having been looked up: somebody else may have changed it.
func TestRecord_FirstAttemptsAreWhatTheDatabaseHas(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "agent-0", Options{})
	a := serve(t, q, "w")
	a.await(t, "w")
	commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "w"), event(2, "w"), event(3, "w")}})
	ds := due(t, q, "w")
	if len(ds) != 3 {
		t.Fatalf("%d are due", len(ds))
	}
	other := agent(t, url, "agent-1", Options{})
	earlier := queue.Outcome{DeliveryID: ds[0].ID, Epoch: a.epoch("w") - 1, Status: queue.Retrying, Due: time.Now(), Attempt: queue.Attempt{N: 1, At: time.Now().Add(-time.Minute)}}
	_ = other.Record(t.Context(), earlier) // it is late, and in the history
	r, err := q.parseDeliveryID(ds[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	s, err := q.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Exec(context.Background(), "WITH d AS (DELETE FROM agent.due WHERE seq = $1) DELETE FROM agent.event WHERE seq = $1", r.seq)
	q.release(s)
	if err != nil {
		t.Fatal(err)
	}

	var outcomes []queue.Outcome
	for _, d := range ds {
		outcomes = append(outcomes, outcome(d, a.epoch("w"), queue.Success, 1))
	}
	for range 2 { // as where it is not known whether the first was committed
		for _, o := range outcomes { // each by itself: one that is not as it was has all be read
			if err := q.Record(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, attempts := range []int{2, 0, 1} {
		d, err := q.Get(ds[i].ID)
		if attempts == 0 {
			if err == nil {
				t.Errorf("what was gone is there again: %+v", d)
			}
			continue
		}
		if err != nil || d.Status != queue.Success || len(d.History) != attempts {
			t.Errorf("%d: %+v, %v", i, d, err)
		}
	}
	if got := q.Counts()["w"]; got[queue.Success] != 2 || got[queue.Pending] != 1 { // of the one that was deleted by hand
		t.Errorf("counts %v", got)
	}
	if left := due(t, q, "w"); len(left) != 0 {
		t.Errorf("still due: %+v", left)
	}
}

// In a session of its own a statement is prepared once; the test of pgbouncer has the other half.
func TestDial_PreparesOnlyInASessionOfItsOwn(t *testing.T) {
	q := open(t, Options{URL: pgtest.Server(t)})
	s, err := q.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer q.release(s)
	var n int
	if err := s.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $1", "%pg_prepared_statements%").Scan(&n); err != nil || n != 1 || !s.direct {
		t.Errorf("%d prepared, direct %v, %v", n, s.direct, err)
	}
}
