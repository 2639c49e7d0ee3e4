package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// What is recorded while people replay, discard and move the same deliveries, while outcomes are late and connections are
// lost amid commits, is there once: in the deliveries, in what is due, in the counts and in the charts.
func TestRecord_MeetsEverythingElse(t *testing.T) {
	url := pgtest.Server(t)
	way, through := pgtest.Through(t, url)
	q := agent(t, through, "agent-0", Options{})
	a := serve(t, q, "a", "b")
	a.await(t, "a", "b")
	other := agent(t, url, "agent-1", Options{})
	stop := everythingElse(t, other, way)
	for n := range 40 {
		var outcomes []queue.Outcome
		for _, w := range []string{"a", "b"} {
			ds, _, _ := q.Due(w, time.Now().Add(time.Second), 40, func(string) bool { return rand.IntN(2) == 0 })
			for _, d := range ds {
				status, epoch := queue.Success, a.epoch(w)
				if rand.IntN(6) == 0 {
					status = queue.Retrying
				}
				if rand.IntN(8) == 0 {
					epoch-- // it is late
				}
				o := outcome(d, epoch, status, d.Attempts+1)
				if outcomes = append(outcomes, o); rand.IntN(20) == 0 {
					outcomes = append(outcomes, o)
				}
			}
		}
		for limit := time.Now().Add(time.Minute); ; {
			err := q.Record(t.Context(), outcomes...)
			if (err == nil || errors.Is(err, queue.ErrNotOwner)) && n%5 == 0 { // as where that was not known
				err = q.Record(t.Context(), outcomes...)
			}
			if err == nil || errors.Is(err, queue.ErrNotOwner) {
				break
			}
			if time.Now().After(limit) {
				t.Fatal(err)
			}
		}
	}
	stop()
	consistent(t, url)
	attempts, counted := attemptsIn(t, url), uint64(0)
	for _, w := range []string{"a", "b"} {
		all, err := other.History(w, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			counted += b.Delivered + b.Failed
		}
	}
	if attempts != counted || attempts == 0 {
		t.Errorf("%d attempts are in the deliveries, and %d in the charts", attempts, counted)
	}
}

// everythingElse has events come, and deliveries be changed in all other ways, until stop is called.
func everythingElse(t *testing.T, q *Queue, way *pgtest.Proxy) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	meanwhile := func(every time.Duration, f func() error) {
		all.Go(func() {
			for sleep(ctx, ctx, every) == nil {
				if err := f(); err != nil && ctx.Err() == nil && !transient(err) {
					t.Error(err)
				}
			}
		})
	}
	gen, n := int64(0), 0
	meanwhile(5*time.Millisecond, func() error {
		b := queue.Batch{Source: "log", Gen: gen, Cursor: []byte{1}}
		for range 10 {
			n++
			b.Events = append(b.Events, event(n, "a", "b"))
		}
		done, err := q.Commit(context.WithoutCancel(ctx), b)
		gen = done.Gen
		return err
	})
	meanwhile(20*time.Millisecond, func() error {
		page, err := q.List(ctx, queue.Filter{Limit: 300})
		var ids []string
		for _, d := range page.Deliveries {
			if rand.IntN(30) == 0 {
				ids = append(ids, d.ID)
			}
		}
		if err == nil {
			_, err = q.Replay(ctx, "test", ids)
		}
		return err
	})
	meanwhile(300*time.Millisecond, func() error { _, err := q.Discard(ctx, "test", queue.Filter{Webhook: "a"}); return err })
	meanwhile(150*time.Millisecond, func() error { _, err := q.Move(ctx, "b", "a"); return err })
	meanwhile(30*time.Millisecond, func() error { return q.fold(ctx) })
	meanwhile(100*time.Millisecond, func() error {
		time.Sleep(time.Duration(rand.IntN(50_000)) * time.Microsecond)
		way.Cut()
		time.Sleep(time.Duration(rand.IntN(5_000)) * time.Microsecond)
		way.Restore()
		return nil
	})
	return func() { cancel(); all.Wait() }
}

// consistent fails the test unless the deliveries, what is due and the counts tell the same.
func consistent(t *testing.T, url string) {
	t.Helper()
	for what, sql := range map[string]string{
		"counts that are wrong": `SELECT count(*) FROM (
			SELECT webhook, status, type, sum(n) FROM (
				SELECT webhook, status, type, n FROM agent.delta WHERE webhook <> ''
				UNION ALL SELECT webhook, status, type, -1 FROM agent.delivery
				UNION ALL SELECT d.webhook, 'pending', e.type, -1 FROM agent.due d JOIN agent.event e USING (seq) WHERE NOT tried) x
			GROUP BY 1, 2, 3 HAVING sum(n) <> 0) x`,
		"finished and due, or neither": `SELECT count(*) FROM (SELECT webhook, seq, idx FROM agent.delivery WHERE status IN ('pending', 'retrying')) d
			FULL JOIN (SELECT webhook, seq, idx FROM agent.due WHERE tried) u USING (webhook, seq, idx) WHERE d.seq IS NULL OR u.seq IS NULL`,
		"tried, and said not to be": `SELECT count(*) FROM agent.due u JOIN agent.delivery d USING (seq, idx) WHERE NOT u.tried`,
		"lost": `SELECT count(*) FROM agent.event e, generate_subscripts(webhooks, 1) i
			WHERE NOT EXISTS (SELECT FROM agent.delivery d WHERE d.seq = e.seq AND d.idx = i - 1)
				AND NOT EXISTS (SELECT FROM agent.due u WHERE u.seq = e.seq AND u.idx = i - 1)`,
	} {
		if n := value[int64](t, url, sql); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

// attemptsIn is how many attempts the deliveries know of.
func attemptsIn(t *testing.T, url string) (n uint64) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT record FROM agent.delivery")
	if err != nil {
		t.Fatal(err)
	}
	records, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		var d queue.Delivery
		if err := json.Unmarshal(record, &d); err != nil {
			t.Fatal(err)
		}
		n += uint64(len(d.History))
		for i, a := range d.History {
			if slices.ContainsFunc(d.History[i+1:], func(b queue.Attempt) bool { return a.N == b.N && a.At.Equal(b.At) }) {
				t.Errorf("%s has an attempt twice", d.ID)
			}
		}
	}
	return n
}
