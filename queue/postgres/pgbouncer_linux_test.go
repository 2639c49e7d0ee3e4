package postgres

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// bouncer runs a pgbouncer in transaction mode before a database, and returns its URL for it.
func bouncer(t *testing.T, database string) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("pgbouncer is not installed")
		}
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	dir, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	password, _ := u.User.Password()
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s password=%s\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\nauth_type=any\npool_mode=transaction\ndefault_pool_size=3\n",
		u.Hostname(), u.Port(), u.User.Username(), password, port)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, file)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // it refuses to run as root
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.Stderr = t.Output()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	u.Host = fmt.Sprintf("127.0.0.1:%d", port)
	for range 500 {
		if conn, err := net.Dial("tcp", u.Host); err == nil {
			_ = conn.Close()
			return u.String()
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("pgbouncer does not listen")
	return ""
}

// Behind a pgbouncer that lends out transactions there is no session: nothing is prepared or set in one,
// and what is due is polled for.
func TestPgbouncer_TransactionModeServes(t *testing.T) {
	direct := pgtest.Server(t)
	through := bouncer(t, direct)
	heard := make(chan struct{}, 1)
	q := agent(t, through, "server", Options{Notify: func([]string) {
		select {
		case heard <- struct{}{}:
		default:
		}
	}})
	if !q.pooled.Load() {
		t.Error("it takes pgbouncer for the server")
	}
	a := serve(t, q, "a", "b")
	a.await(t, "a", "b")
	other := agent(t, through, "reader", Options{})
	gen := int64(0)
	for n := range 20 {
		gen = commit(t, other, queue.Batch{Source: "log", Gen: gen, Cursor: fmt.Append(nil, n), Events: []queue.NewEvent{event(n, "a", "b")}}).Gen
	}
	select {
	case <-heard:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody looked")
	}
	q.pooled.Store(false) // as if it had come between only now
	s, err := q.dial(t.Context(), connectTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if s.close(); s.direct || s.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheDescribe || !q.pooled.Load() {
		t.Error("what it prepares is another's")
	}
	for _, webhook := range []string{"a", "b"} {
		ds := due(t, q, webhook)
		if len(ds) != 20 {
			t.Fatalf("%d are due", len(ds))
		}
		var outcomes []queue.Outcome
		for _, d := range ds {
			outcomes = append(outcomes, outcome(d, a.epoch(webhook), queue.Success, 1))
		}
		if err := q.Record(t.Context(), outcomes...); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := other.Counts()["a"][queue.Success]; n != 20 {
		t.Errorf("%d delivered", n)
	}
}
