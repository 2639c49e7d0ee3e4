package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func exec1(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, c *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	a, b := Server(t), Server(t)
	ca, cb := connect(t, a), connect(t, b)
	exec1(t, ca, "CREATE TABLE only_here (n int)")
	if value[bool](t, cb, "SELECT to_regclass('only_here') IS NOT NULL") {
		t.Error("one test sees another's table")
	}
	if got := value[string](t, ca, "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
}

func TestRoleIsOrdinary(t *testing.T) {
	url := Server(t)
	_, err := connect(t, url).Exec(context.Background(), "ALTER SYSTEM SET fsync = off")
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "42501" {
		t.Errorf("not refused: %v", err)
	}
	if !value[bool](t, connect(t, Superuser(t, url)), "SELECT usesuper FROM pg_user WHERE usename = current_user") {
		t.Error("the superuser is none")
	}
	if _, err := pgx.Connect(context.Background(), strings.Replace(url, Password, "wrong", 1)); err == nil {
		t.Error("a wrong password is taken")
	}
}

const child = "PGTEST_CHILD"

// TestNothingOutlivesTheTestBinary kills a test binary that has a server.
func TestNothingOutlivesTheTestBinary(t *testing.T) {
	if os.Getenv(child) != "" {
		Server(t)
		dir, _ := keptDir()
		fmt.Println("server in", dir)
		select {}
	}
	installed(t)
	c := exec.Command(os.Args[0], "-test.run", t.Name(), "-test.v")
	c.Env = append(os.Environ(), child+"=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for s := bufio.NewScanner(out); dir == "" && s.Scan(); {
		_, dir, _ = strings.Cut(s.Text(), "server in ")
	}
	c.Process.Kill()
	c.Wait()
	if dir == "" {
		t.Fatal("the child did not start a server")
	}
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := os.Stat(dir)
		ps, err2 := exec.Command("pgrep", "-f", dir).Output() // the keeper has it in its arguments, as the server has
		if os.IsNotExist(err) && len(ps) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %s (%v), processes %s (%v)", dir, err, ps, err2)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
