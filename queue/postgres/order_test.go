package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// An agent whose commit takes long has a seq below those that others commit meanwhile. It must be met
// before what its source commits next.
func TestHead_IsTheOldestAlsoWhereItsCommitWasLate(t *testing.T) {
	url := pgtest.Server(t)
	fast, slow := agent(t, url, "fast", Options{}), agent(t, url, "slow", Options{})
	late := event(1, "w")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err == nil { // whoever wants to commit the late event must wait for its id
		_, err = tx.Exec(t.Context(), "INSERT INTO agent.dedup (id, seq, payload) VALUES ($1, 1, '')", late.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := slow.Commit(t.Context(), queue.Batch{Source: "slow", Cursor: []byte("1"), Events: []queue.NewEvent{late}})
		ended <- err
	}()
	for waits, deadline := 0, time.Now().Add(time.Minute); waits == 0; time.Sleep(10 * time.Millisecond) {
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waits); err != nil || time.Now().After(deadline) {
			t.Fatalf("the commit does not wait: %v", err)
		}
	}
	commit(t, fast, queue.Batch{Source: "fast", Cursor: []byte("1"), Events: []queue.NewEvent{event(2, "w")}})
	for range 3 {
		if d, ok, err := fast.Head("w"); err != nil || !ok || d.EventID != event(2).ID {
			t.Fatalf("%+v %v %v", d, ok, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if d, ok, err := fast.Head("w"); err != nil || !ok || d.EventID != late.ID {
		t.Errorf("the head is %+v, %v, %v", d, ok, err)
	}
}

// An agent remembers where its webhooks begin. What another replays before that must go before what was read later,
// also where no notice comes, as through a pgbouncer.
func TestHead_IsWhatAnotherAgentHasReplayed(t *testing.T) {
	url := pgtest.Server(t)
	hourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
	past, q, other := agent(t, url, "past", Options{Now: hourAgo}), agent(t, url, "q", Options{}), agent(t, url, "other", Options{})
	commit(t, past, queue.Batch{Source: "log", Cursor: []byte("1"), Events: []queue.NewEvent{event(1, "w")}})
	commit(t, q, queue.Batch{Source: "log", Gen: 1, Cursor: []byte("2"), Events: []queue.NewEvent{event(2, "w")}})
	head := func(n int) (id string) {
		t.Helper()
		d, ok, err := q.Head("w")
		if err != nil || !ok || d.EventID != event(n).ID {
			t.Errorf("the head is %+v, %v, %v", d, ok, err)
		}
		return d.ID
	}
	first := head(1)
	err := q.Record(t.Context(), queue.Outcome{DeliveryID: first, Status: queue.Success, Attempt: queue.Attempt{N: 1, At: time.Now()}})
	if err != nil && !errors.Is(err, queue.ErrNotOwner) {
		t.Fatal(err)
	}
	q.places.forget("w") // or it begins at the first
	head(2)
	head(2)
	if n, err := other.Replay(t.Context(), "cli", []string{first}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	head(1)
	head(1)
}
