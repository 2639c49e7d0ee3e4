package postgres

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// queued queues n events of a size for webhook a.
func queued(t testing.TB, q *Queue, n, size int) {
	t.Helper()
	b := queue.Batch{Source: "log"}
	for i := range n {
		e := event(i, "a")
		e.Body = bytes.Repeat([]byte("x"), size)
		b.Events = append(b.Events, e)
	}
	commit(t, q, b)
}

// attempt says of all that is due of webhook a what its next attempt came to.
func attempt(t testing.TB, q *Queue, a *serving, status queue.Status, n int) {
	t.Helper()
	var outcomes []queue.Outcome
	for _, d := range due(t, q, "a") {
		o := outcome(d, a.epoch("a"), status, n)
		if o.Attempt.At = q.here(); status == queue.Retrying {
			o.Due = q.here()
		}
		outcomes = append(outcomes, o)
	}
	if len(outcomes) == 0 {
		t.Fatal("nothing is due")
	}
	if err := q.Record(t.Context(), outcomes...); err != nil {
		t.Fatal(err)
	}
}

func value[T any](t testing.TB, url, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A database that is too slow for what one statement would delete says so as PostgreSQL does.
func TestUpkeep_DeletesNoMoreThanTheDatabaseCanInAStatement(t *testing.T) {
	for _, test := range []struct {
		name, tooMuch string
		events, size  int
		refuses       bool
	}{
		{"large events go in parts", "(SELECT sum(octet_length(body)) FROM gone) > 16 << 20", 18, 1 << 20, false},
		{"what takes too long is halved", "(SELECT count(*) FROM gone) > 3", 20, 10, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := pgtest.Server(t)
			now := time.Now().Truncate(time.Second)
			q := open(t, Options{URL: url, Retention: time.Hour, Now: func() time.Time { return now }})
			a := serve(t, q, "a")
			a.await(t, "a")
			queued(t, q, test.events, test.size)
			attempt(t, q, a, queue.Success, 1)
			execute(t, url, fmt.Sprintf(`CREATE SEQUENCE agent.refused;
				CREATE FUNCTION agent.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF %s THEN PERFORM nextval('agent.refused'); RAISE 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END IF;
					RETURN NULL;
				END $$;
				CREATE TRIGGER slow AFTER DELETE ON agent.event REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION agent.slow()`, test.tooMuch))
			now = now.Add(2 * time.Hour)
			if err := q.Upkeep(t.Context()); err != nil {
				t.Error(err)
			}
			if n := value[int](t, url, "SELECT count(*) FROM agent.event"); n != 0 {
				t.Errorf("%d events are left", n)
			}
			if refused := value[bool](t, url, "SELECT is_called FROM agent.refused"); refused != test.refuses {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

// Where nothing is finished, looking for room is in nobody's way, and is not done all the time.
func TestUpkeep_LooksForRoomWithoutLocks(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url, MaxSize: 30_000})
	a := serve(t, q, "a")
	a.await(t, "a")
	queued(t, q, 3, 10_000)
	attempt(t, q, a, queue.Retrying, 1)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT FROM agent.delivery FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := q.shrink(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if !q.shorten.rests.After(began) {
		t.Error("it does not rest")
	}
	attempt(t, q, a, queue.Success, 2)
	for _, resting := range []bool{true, false} {
		q.shorten.rests = time.Time{}
		if resting {
			q.shorten.rests = time.Now().Add(time.Hour)
		}
		if err := q.shrink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if q.pressed() != resting {
			t.Errorf("resting: %v, pressed: %v", resting, q.pressed())
		}
	}
}

func TestUpkeep_GoesOnWhereItStopped(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url})
	a := serve(t, q, "a")
	a.await(t, "a")
	queued(t, q, 1, 10)
	attempt(t, q, a, queue.Retrying, 1)
	unfinished := value[int64](t, url, "SELECT max(seq) FROM agent.event")
	b := queue.Batch{Source: "log"}
	for n := range 3 {
		b.Events = append(b.Events, event(10+n, "b"))
	}
	commit(t, q, b)
	execute(t, url, "INSERT INTO agent.delivery SELECT seq, 0, 'b', 'x', 'success', now(), 1, '{}' FROM agent.event WHERE webhooks = '{b}'; DELETE FROM agent.due WHERE webhook = 'b'")
	now, err := q.now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	from := int64(0)
	for step, want := range []int{1, 1, 1, 0} {
		n, next, err := q.retain(t.Context(), now, now, from, 1)
		if err != nil || n != want || next <= unfinished && want > 0 || (next == 0) != (want == 0) {
			t.Fatalf("step %d: %d gone, %d after %d, %v", step, n, next, unfinished, err)
		}
		from = next
	}
	attempt(t, q, a, queue.Success, 2)
	if now, err = q.now(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{unfinished + 1, 0} {
		n, _, err := q.retain(t.Context(), now, now.Add(time.Second), from, 1)
		if err != nil || n == 0 != (from > 0) {
			t.Errorf("from %d: %d gone, %v", from, n, err)
		}
	}
}

const rejectedBytes = "SELECT (SELECT coalesce(sum(n), 0) FROM agent.delta WHERE status = 'rejected_bytes') - (SELECT coalesce(sum(octet_length(record) + 200), 0) FROM agent.rejected)"

// Broken records beside what waits do not stop the reading: the oldest go, in parts, and no more than must.
func TestShrink_RejectedRecordsKeepToTheirShare(t *testing.T) {
	const records, limit = 11_000, 4 << 20
	url := pgtest.Server(t)
	q := open(t, Options{URL: url, MaxSize: limit})
	b := queue.Batch{Source: "log"}
	for n := range records {
		b.Rejected = append(b.Rejected, queue.Rejected{Source: "log", Stream: "s", Offset: int64(n), Reason: "broken", At: time.Now(), Data: bytes.Repeat([]byte("x"), n%500)})
	}
	commit(t, q, b)
	if n := value[int64](t, url, rejectedBytes); n != 0 {
		t.Fatalf("what they take is known with an error of %d", n)
	}
	if q.measure(); !q.pressed() {
		t.Fatal("there is room for all")
	}
	for range 2 {
		if err := q.shrinkRejected(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	kept, _, err := q.Rejected(t.Context(), queue.RejectedFilter{Limit: records})
	if err != nil || len(kept) == 0 || len(kept) > records/5 {
		t.Fatalf("%d kept, %v", len(kept), err)
	}
	for i := range kept {
		if kept[i].Offset != int64(records-1-i) {
			t.Fatal("others than the oldest were dropped")
		}
	}
	if n := value[int64](t, url, rejectedBytes); n != 0 {
		t.Errorf("what they take is known with an error of %d", n)
	}
	if n := value[int64](t, url, "SELECT sum(octet_length(record) + 200) FROM agent.rejected"); n > limit/rejectedShare || n < limit/rejectedShare-1200 {
		t.Errorf("they take %d of %d", n, limit/rejectedShare)
	}
}
