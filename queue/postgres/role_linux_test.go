package postgres_test

import (
	"context"
	"net/url"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// TestRole: what examples/fleet/role.sql gives the agents is enough, and shows them nothing of IntelliDocs'.
func TestRole(t *testing.T) {
	theirs := pgtest.Server(t)
	super := pgtest.Superuser(t, theirs)
	u, err := url.Parse(theirs)
	if err != nil {
		t.Fatal(err)
	}
	psql := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("psql", append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1", super}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		psql("-c", "DROP DATABASE IF EXISTS intellidocs_agent WITH (FORCE)", "-c", "DROP ROLE IF EXISTS intellidocs_agent")
	})
	psql("-v", "password=it's", "-v", "intellidocs="+u.Path[1:], "-f", "../../examples/fleet/role.sql")

	u.User = url.UserPassword("intellidocs_agent", "it's")
	if c, err := pgx.Connect(context.Background(), u.String()); err == nil {
		c.Close(context.Background())
		t.Error("the agents' role can look into IntelliDocs' database")
	}
	u.Path = "/intellidocs_agent"
	q := openAt(t, postgres.Options{URL: u.String()})
	if _, err := q.Commit(t.Context(), queue.Batch{Source: "s", Cursor: []byte("1"), Events: []queue.NewEvent{numbered(1, "a")}}); err != nil {
		t.Error(err)
	}
	q.Close()
}
