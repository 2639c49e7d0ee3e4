package pgtest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// table is what the harness's own tests write: numbers, one a commit.
func table(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c := connect(t, url)
	exec1(t, c, "CREATE TABLE told (n int PRIMARY KEY)")
	return c
}

func insert(t *testing.T, c *pgx.Conn, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		exec1(t, c, "INSERT INTO told VALUES ($1)", n)
	}
}

func rows(t *testing.T, url string) int {
	t.Helper()
	return value[int](t, connect(t, url), "SELECT count(*) FROM told")
}

func lose(c *Replicas) {
	p := c.Primary()
	p.Kill()
	p.RemoveData()
}

// TestAsynchronous: a primary that stands still answers afterwards, a client's network is its own, and
// what a standby did not have when the primary went is lost.
func TestAsynchronous(t *testing.T) {
	c := Cluster(t, Asynchronous)
	db := table(t, c.URL())
	stopped(t, c, db)
	heldAndCut(t, c)
	// Killed alone, a primary has all that it committed.
	c.Primary().Kill()
	c.Primary().Start()
	db = connect(t, c.URL())
	insert(t, db, 4, 10)
	c.awaitReceived()
	c.HoldStandbys()
	insert(t, db, 10, 20)
	lose(c)
	c.Failover()
	if got := rows(t, c.URL()); got != 10 {
		t.Errorf("%d rows, of 10 that were replicated and 10 that were not", got)
	}
}

func stopped(t *testing.T, c *Replicas, db *pgx.Conn) {
	t.Helper()
	c.Primary().Stop()
	done := make(chan error, 1)
	go func() {
		_, err := db.Exec(context.Background(), "INSERT INTO told VALUES (0)")
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("a stopped server answers: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	c.Primary().Cont()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func heldAndCut(t *testing.T, c *Replicas) {
	t.Helper()
	way := c.Client()
	db := connect(t, way.URL())
	insert(t, db, 1, 2)
	way.Hold()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("through a held network: %v", err)
	}
	way.Cut()
	if _, err := pgx.Connect(context.Background(), way.URL()); err == nil {
		t.Error("connected through a network that is cut")
	}
	insert(t, connect(t, c.URL()), 2, 3)
	way.Restore()
	insert(t, connect(t, way.URL()), 3, 4)
}

// awaitReceived returns once both standbys have what the primary has.
func (c *Replicas) awaitReceived() {
	c.t.Helper()
	at := c.Primary().number("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")
	for _, m := range c.Standbys() {
		for deadline := time.Now().Add(time.Minute); m.received() < at; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				c.t.Fatal("a standby does not catch up")
			}
		}
	}
}

// TestQuorum: what was committed survives the primary and its disk, with one of the standbys behind. And
// the trap: a commit whose wait is cancelled succeeds, with a warning, and is lost.
func TestQuorum(t *testing.T) {
	c := Cluster(t, Quorum)
	db := table(t, c.URL())
	insert(t, db, 0, 10)
	c.awaitReceived()
	behind, ahead := c.Standbys()[0], c.Standbys()[1]
	behind.Link.Hold()
	insert(t, db, 10, 20)
	ahead.Link.Hold()
	cancelCommit(t, c, 20)
	lose(c)
	c.Failover()
	if c.Primary() != ahead {
		t.Fatal("the standby that is behind was promoted")
	}
	if got := rows(t, c.URL()); got != 20 {
		t.Errorf("%d rows of 20 committed", got)
	}
	insert(t, connect(t, c.URL()), 20, 30) // the one that was behind follows now
}

// cancelCommit commits n, and cancels the wait for the standbys.
func cancelCommit(t *testing.T, c *Replicas, n int) {
	t.Helper()
	config, err := pgx.ParseConfig(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	var warned atomic.Bool
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Code == "01000" && n.Severity == "WARNING" {
			warned.Store(true)
		}
	}
	db, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	pid := value[int](t, db, "SELECT pg_backend_pid()")
	done := make(chan error, 1)
	go func() {
		_, err := db.Exec(context.Background(), "INSERT INTO told VALUES ($1)", n)
		done <- err
	}()
	other := connect(t, c.URL())
	for !value[bool](t, other, "SELECT coalesce(bool_or(wait_event = 'SyncRep'), false) FROM pg_stat_activity WHERE pid = $1", pid) {
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("a commit did not wait for the quorum: %v", err)
	default:
	}
	exec1(t, other, "SELECT pg_cancel_backend($1)", pid)
	if err := <-done; err != nil || !warned.Load() {
		t.Errorf("error %v, warning 01000 %v", err, warned.Load())
	}
}

func TestPowerCut(t *testing.T) {
	c := ClusterOnDisks(t, Quorum)
	db := table(t, c.URL())
	insert(t, db, 0, 20)
	// Else this test could not fail: what nobody waited for is gone.
	super := connect(t, Superuser(t, c.URL()))
	exec1(t, super, "ALTER SYSTEM SET wal_writer_delay = '10s'") // nor does anybody write it meanwhile
	exec1(t, super, "SELECT pg_reload_conf()")
	exec1(t, db, "SET synchronous_commit = off")
	insert(t, db, 20, 21)
	c.PowerCut()
	if got := rows(t, c.URL()); got != 20 {
		t.Errorf("%d rows of 20", got)
	}
}
