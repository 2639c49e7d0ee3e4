package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// TestQueueMove has an agent continue in the database where it was in its directory: what waited is delivered
// from there, what was delivered is not, and its log is read on.
func TestQueueMove(t *testing.T) {
	r := newRig(t, "")
	r.start()
	for n := range 5 {
		r.append(eventLine(n))
	}
	r.until("the first events to be delivered", time.Minute, func() bool { return r.recv.distinct() == 5 })
	if out, err := r.run("pause", "main"); err != nil {
		t.Fatal(out)
	}
	for n := 5; n < 10; n++ {
		r.append(eventLine(n))
	}
	r.until("the next to wait", time.Minute, func() bool { return len(r.rows("--status", "pending")) == 5 })
	if out, err := r.run("queue", "move"); err == nil || !strings.Contains(out, `engine = "postgres"`) {
		t.Errorf("without a database: %v, %s", err, out)
	}

	own, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	shared := string(own) + fmt.Sprintf("\n[queue]\nengine = \"postgres\"\nagent = \"agent-0\"\nreplication = \"trust\"\nurl = %q\n", pgtest.Server(t))
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(shared)
	if out, err := r.run("queue", "move"); err == nil || !strings.Contains(out, "stop the agent first") {
		t.Errorf("while the agent runs: %v, %s", err, out)
	}
	r.kill(syscall.SIGTERM)
	r.refused("queue move")
	out, err := r.run("queue", "move")
	if err != nil || !strings.Contains(out, "Moved 10 events with 10 deliveries, of which 5 wait, 0 rejected records and the positions of 1 sources") {
		t.Fatalf("%v, %s", err, out)
	}
	write(string(own))
	r.refused("moved away")

	write(shared)
	r.start()
	r.append(eventLine(10))
	if rows := r.rows("--status", "success"); len(rows) != 5 {
		t.Errorf("%d delivered in the history", len(rows))
	}
	if out, err := r.run("resume", "main"); err != nil { // it was paused, and still is
		t.Fatal(out)
	}
	r.until("the rest to be delivered", time.Minute, func() bool { return len(r.rows("--status", "success")) == 11 })
	if n := len(r.recv.snapshot()); n != 11 || r.recv.distinct() != 11 {
		t.Errorf("%d requests for %d events", n, r.recv.distinct())
	}
}

// refused fails the test unless the agent ends at once, saying why.
func (r *rig) refused(why string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "intellidocs-agent", "run", "-c", r.toml).CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(out), why) {
		r.t.Errorf("it runs: %v, %s", err, out)
	}
}
