package postgres

import (
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// A session that has fallen silent, as to a server whose machine is gone, does not use up the time of who is given it.
func TestAcquire_GoesPastASilentSession(t *testing.T) {
	q := open(t, Options{URL: pgtest.Server(t)})
	if _, err := q.List(t.Context(), queue.Filter{}); err != nil {
		t.Fatal(err)
	}
	q.pool.mu.Lock()
	for _, s := range q.pool.idle {
		s.used = time.Time{}
		pid := int(s.PgConn().PID())
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	}
	q.pool.mu.Unlock()
	if _, err := q.List(t.Context(), queue.Filter{}); err != nil {
		t.Error(err)
	}
}
