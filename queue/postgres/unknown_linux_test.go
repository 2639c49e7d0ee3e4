package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// hanging is a commit that waits for standbys which do not answer.
type hanging struct {
	done chan error
	got  queue.Committed
}

// hang commits an event while both standbys are held, and returns once the database waits for them.
func hang(t *testing.T, c *pgtest.Replicas, q *postgres.Queue, b queue.Batch) *hanging {
	t.Helper()
	c.HoldStandbys()
	h := &hanging{done: make(chan error, 1)}
	go func() {
		var err error
		h.got, err = q.Commit(t.Context(), b)
		h.done <- err
	}()
	eventually(t, "the commit to wait for the standbys", func() bool { return waiting(t, c) > 0 })
	return h
}

// waiting is how many commits wait for the standbys.
func waiting(t *testing.T, c *pgtest.Replicas) int {
	t.Helper()
	return stored[int](t, c.URL(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
}

// durable fails the test unless the commit says so, and the database has its event once.
func (h *hanging) durable(t *testing.T, c *pgtest.Replicas, n int, cursor string) {
	t.Helper()
	if err := <-h.done; err != nil {
		t.Fatal(err)
	}
	if len(h.got.Queued) != 1 || h.got.Duplicates != 0 || h.got.Deliveries != 1 {
		t.Errorf("%+v", h.got)
	}
	for sql, want := range map[string]int{
		"SELECT count(*) FROM agent.event WHERE id = $1":                                                      1,
		"SELECT count(*) FROM agent.due d JOIN agent.event e ON e.seq = d.seq WHERE e.id = $1":                1,
		"SELECT count(*) FROM agent.source WHERE name = 'agent-0:/log' AND gen = " + cursor + " AND $1 <> ''": 1,
	} {
		if got := stored[int](t, c.URL(), sql, numbered(n).ID); got != want {
			t.Errorf("%s: %d", sql, got)
		}
	}
}

func (h *hanging) stillWaits(t *testing.T) {
	t.Helper()
	select {
	case err := <-h.done:
		t.Fatalf("taken for durable: %+v, %v", h.got, err)
	default:
	}
}

// cancel cancels a commit's wait, as an administrator may: PostgreSQL then answers that it has committed.
func cancel(t *testing.T, c *pgtest.Replicas) {
	t.Helper()
	ctx := context.Background()
	super, err := pgx.Connect(ctx, pgtest.Superuser(t, c.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(ctx)
	if _, err := super.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
		t.Fatal(err)
	}
}

func one(n int, gen int64, cursor string) queue.Batch {
	return queue.Batch{Source: "agent-0:/log", Gen: gen, Cursor: []byte(cursor), Events: []queue.NewEvent{numbered(n, "a")}}
}

// TestPromise_CursorIsOneThatTheStandbysHave: an agent that ends while its commit waits for the standbys has it committed
// on the primary alone. What comes next must not take the cursor for durable: a spool's files are removed at its word.
func TestPromise_CursorIsOneThatTheStandbysHave(t *testing.T) {
	c := pgtest.Cluster(t, pgtest.Quorum)
	q := openAt(t, postgres.Options{URL: c.URL(), Replication: "check"})
	h := hang(t, c, q, one(1, 0, "1"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-h.done; err == nil {
		t.Fatalf("taken for durable: %+v", h.got)
	}
	eventually(t, "the commit to be seen", func() bool { return stored[int](t, c.URL(), "SELECT count(*) FROM agent.source") == 1 })
	q = openAt(t, postgres.Options{URL: c.URL(), Replication: "check"})
	if cursor, _, err := q.Cursor("agent-0:/log"); err == nil {
		t.Errorf("the cursor is said to be %q, which no standby has", cursor)
	}
	c.ReleaseStandbys()
	if cursor, gen, err := q.Cursor("agent-0:/log"); err != nil || string(cursor) != "1" || gen != 1 {
		t.Errorf("%q, %d, %v", cursor, gen, err)
	}
	neverAStandby(t, c)
}

// TestPromise_CommitOfUnknownOutcome: whatever became of it, its event is there once, and it is not said to be
// durable before it is.
func TestPromise_CommitOfUnknownOutcome(t *testing.T) {
	c := pgtest.Cluster(t, pgtest.Quorum)
	way := c.Client()
	q := openAt(t, postgres.Options{URL: way.URL(), Replication: "check"})

	// The answer does not arrive, and what was committed becomes durable.
	h := hang(t, c, q, one(1, 0, "1"))
	way.Cut()
	h.stillWaits(t)
	c.ReleaseStandbys()
	way.Restore()
	h.durable(t, c, 1, "1")

	// The wait is cancelled: it is committed on the primary alone, where it becomes durable later.
	h = hang(t, c, q, one(2, 1, "2"))
	cancel(t, c)
	eventually(t, "it to be asked for", func() bool { return waiting(t, c) > 0 })
	h.stillWaits(t)
	c.ReleaseStandbys()
	h.durable(t, c, 2, "2")

	// The wait is cancelled, and the primary is lost with it.
	h = hang(t, c, q, one(3, 2, "3"))
	cancel(t, c)
	eventually(t, "it to be asked for", func() bool { return waiting(t, c) > 0 })
	h.stillWaits(t)
	c.Primary().Kill()
	c.Primary().RemoveData()
	c.Failover()
	h.durable(t, c, 3, "3")
}

// neverAStandby fails the test unless an agent goes past the standbys to the primary, whatever its URL says of them: it
// would keep the connection, though nothing can be written there.
func neverAStandby(t *testing.T, c *pgtest.Replicas) {
	t.Helper()
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	hosts := strings.Split(u.Host, ",")
	slices.Reverse(hosts)
	u.Host, u.RawQuery = strings.Join(hosts, ","), "sslmode=disable"
	eventually(t, "the standbys to have the database", func() bool {
		q, err := postgres.Open(t.Context(), postgres.Options{URL: u.String(), Replication: "check"})
		if err != nil {
			t.Log(err)
			return false
		}
		defer q.Close()
		_, err = q.Commit(t.Context(), queue.Batch{Source: "x", Cursor: []byte("1")})
		if err != nil {
			t.Error(err)
		}
		return true
	})
	u.Host = hosts[0]
	if _, err := postgres.Open(t.Context(), postgres.Options{URL: u.String()}); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("of a standby alone it says: %v", err)
	}
}
