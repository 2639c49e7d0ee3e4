package postgres

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// other is a transaction of somebody else's that holds what its statements lock, until the result is called or the test
// ends.
func other(t *testing.T, url string, statements ...string) (tx pgx.Tx, end func()) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	end = func() { _ = conn.Close(ctx) }
	t.Cleanup(end)
	if tx, err = conn.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	return tx, end
}

// awaitLock returns once somebody waits for a lock in the database.
func awaitLock(t *testing.T, tx pgx.Tx) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var waits bool
		const sql = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND pg_stat_clear_snapshot() IS NOT NULL)`
		if err := tx.QueryRow(t.Context(), sql).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		if waits {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("nobody waits for a lock")
		}
	}
}

// silent is the address of a host that lets everybody in and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

// A host that is silent does not use up the time that the others need.
func TestOwn_GoesPastASilentHost(t *testing.T) {
	url := strings.Replace(pgtest.Server(t), "@", "@"+silent(t)+","+silent(t)+",", 1) + "&connect_timeout=1"
	serve(t, agent(t, url, "one", Options{}), "a").await(t, "a")
}

// An agent that stands still amid its beat keeps the upkeep, but not the others from theirs.
func TestOwn_WaitsForNobodysUpkeep(t *testing.T) {
	url := pgtest.Server(t)
	serve(t, agent(t, url, "first", Options{}), "a").await(t, "a")
	other(t, url, `SELECT FROM agent.webhook WHERE name = '' FOR UPDATE`)
	serve(t, agent(t, url, "second", Options{}), "a", "b").await(t, "b")
}

// What an agent serves is extended in the order in which outcomes lock it: else each may wait for the other.
func TestOwn_LocksInOneOrder(t *testing.T) {
	url := pgtest.Server(t)
	webhooks := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	q := open(t, Options{URL: url, Lease: 30 * time.Second})
	a := serve(t, q, webhooks...)
	a.await(t, webhooks...)
	tx, _ := other(t, url, `SELECT FROM agent.webhook WHERE name = 'a' FOR SHARE`)
	a.configure(webhooks...) // a beat
	awaitLock(t, tx)
	if _, err := tx.Exec(t.Context(), `SELECT FROM agent.webhook WHERE name > 'a' FOR UPDATE NOWAIT`); err != nil {
		t.Errorf("while it waits for the first, it has locked others: %v", err)
	}
}

// Looking for what is due does not take the time that a lease has.
func TestOwn_KeepsItsLeaseWhileNothingCanBeRead(t *testing.T) {
	url := pgtest.Server(t)
	const lease = 8 * time.Second
	a := serve(t, open(t, Options{URL: url, Lease: lease}), "a")
	a.await(t, "a")
	epoch := a.epoch("a")
	_, end := other(t, url, `LOCK agent.due`)
	time.Sleep(lease + pollEvery)
	end()
	until := time.Now().Add(lease)
	a.until(t, "go on", func(held map[string]queue.Holding) bool { return held["a"].Until.After(until) })
	if now := a.epoch("a"); now != epoch {
		t.Errorf("it has lost what it served: epoch %d, then %d", epoch, now)
	}
}

// While configurations differ, a webhook is served though its agent has its share, and the others have room for what it
// has. Where all have it they share it again.
func TestOwn_WhatOneAloneIsConfiguredForIsServed(t *testing.T) {
	url := pgtest.Server(t)
	second := serve(t, agent(t, url, "second", Options{}), "b", "c")
	second.await(t, "b", "c")
	first := serve(t, agent(t, url, "first", Options{}), "b", "c")
	first.until(t, "serve one", holds(1))
	first.configure("a", "b", "c", "d", "e")
	first.await(t, "a", "d", "e")
	second.until(t, "serve", func(held map[string]queue.Holding) bool { return len(held) > 0 })
	second.configure("a", "b", "c", "d", "e")
	second.until(t, "serve its share", func(held map[string]queue.Holding) bool { return len(held) >= 2 })
	first.until(t, "serve its share", func(held map[string]queue.Holding) bool { return len(held) <= 3 })
}

// What has been free for a lease is served by whoever sees it, whatever its share.
func TestOwn_TakesWhatNobodyElseDoes(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "one", Options{})
	tx, _ := other(t, url, `INSERT INTO agent.member (name, process, seen, version, status)
		VALUES ('idle', 'x', now() + interval '1 h', '', '{"configured": ["a", "b"]}')`)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := serve(t, q, "a", "b")
	a.until(t, "serve its share", holds(1))
	a.until(t, "serve the other too", holds(2))
}

// What is not due yet is not looked at, however much it is.
func TestOwn_LooksAtWhatIsDueAlone(t *testing.T) {
	url := pgtest.Server(t)
	open(t, Options{URL: url})
	tx, _ := other(t, url, byKeySQL)
	since := []pgtype.Timestamptz{dueRef{}.key()}
	rows, err := tx.Query(t.Context(), "EXPLAIN "+sqlAnyDue, []string{"a"}, since)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(plan, func(line string) bool {
		return strings.Contains(line, "Index Cond") && strings.Contains(line, "<= statement_timestamp()")
	}) {
		t.Error(strings.Join(plan, "\n"))
	}
}

// A webhook that is no longer configured is not another's before its requests have ended, however long they may take.
func TestOwn_WhatWasRemovedIsNotLetGoWhileBusy(t *testing.T) {
	url := pgtest.Server(t)
	first := serve(t, agent(t, url, "first", Options{}))
	first.mu.Lock()
	first.busy["a"], first.webhooks = true, []queue.Served{{Webhook: "a", Timeout: time.Hour}}
	first.mu.Unlock()
	first.changed <- struct{}{}
	first.await(t, "a")
	second := serve(t, agent(t, url, "second", Options{}), "a")
	first.configure()
	first.until(t, "begin nothing of it", holds(0))
	time.Sleep(lease + pollEvery)
	if held := second.holding(); len(held) != 0 {
		t.Errorf("the second serves %v already", held)
	}
	first.mu.Lock()
	clear(first.busy)
	first.mu.Unlock()
	second.await(t, "a")
}

// Agents wait for each other to number what they log, and their outcomes do not.
func TestRecord_WaitsForNobodysLog(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url})
	a := serve(t, q, "a")
	a.await(t, "a")
	commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{event(1, "a")}})
	tx, end := other(t, url, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(logLock)))
	logged := make(chan error, 1)
	go func() { logged <- q.AppendLog(context.Background(), &queue.LogEntry{}) }()
	awaitLock(t, tx)
	if err := q.Record(t.Context(), outcome(due(t, q, "a")[0], a.epoch("a"), queue.Success, 1)); err != nil {
		t.Error(err)
	}
	select {
	case err := <-logged:
		t.Fatalf("it waited for what was logged first: %v", err)
	default:
	}
	end()
	if err := <-logged; err != nil {
		t.Error(err)
	}
}
