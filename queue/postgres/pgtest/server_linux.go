package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is the one that the tests of this binary share, and usualServer that of its benchmarks.
var server, usualServer shared

type shared struct {
	sync.Once
	*node
	err error
}

// Server returns the URL of a fresh database that belongs to t, on a server that the whole
// test binary shares. It skips the test where PostgreSQL is not installed.
func Server(t testing.TB) string {
	t.Helper()
	return server.database(t, "server", "")
}

// UsualServer is Server with as much memory and log as PostgreSQL has by default.
func UsualServer(t testing.TB) string {
	t.Helper()
	return usualServer.database(t, "usual", usual)
}

func (s *shared) database(t testing.TB, name, settings string) string {
	t.Helper()
	bin := installed(t)
	s.Do(func() { s.node, s.err = single(bin, name, settings) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.freshDatabase(t)
}

// ServerAt is a server of the test's own whose clock is ahead of this machine's, or behind it.
func ServerAt(t testing.TB, ahead time.Duration) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		t.Skip("needs a clock that can be changed: apt install libfaketime")
	}
	n, err := single(installed(t), fmt.Sprintf("server%+d", ahead), "", "LD_PRELOAD="+found[0], fmt.Sprintf("FAKETIME=%+.0f", ahead.Seconds()), "FAKETIME_DONT_FAKE_MONOTONIC=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the database is dropped
		if err := errors.Join(n.kill(), os.RemoveAll(n.dir)); err != nil {
			t.Error(err)
		}
	})
	return n.freshDatabase(t)
}

func single(bin, name, settings string, env ...string) (*node, error) {
	base, err := keptDir()
	if err != nil {
		return nil, err
	}
	n, err := newNode(base, bin, name)
	if err != nil {
		return nil, err
	}
	n.env = env
	if err := n.initdb(); err != nil {
		return nil, err
	}
	if err := n.configure(settings); err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, err
	}
	return n, n.createRole()
}

// createRole makes the role that owns the tests' databases.
func (n *node) createRole() error {
	return n.asSuperuser(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", Role, Password))
}

// freshDatabase makes a database for a test, and drops it when the test ends.
func (n *node) freshDatabase(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:10])
	if err := n.asSuperuser("CREATE DATABASE " + name + " OWNER " + Role + " TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.asSuperuser("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return n.url(name)
}

func (n *node) url(database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", Role, Password, n.port, database)
}

func (n *node) superuserSocket() string {
	return fmt.Sprintf("host=%s port=%d user=%s database=postgres", n.sockets(), n.port, superuser)
}

// asSuperuser runs statements one after another.
func (n *node) asSuperuser(statements ...string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, n.superuserSocket())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
