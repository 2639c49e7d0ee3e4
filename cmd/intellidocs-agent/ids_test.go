package main

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestIDs_EveryCommandTakesShortOnes(t *testing.T) {
	r := newRig(t, "[[webhook]]\nname = \"other\"\nurl = \"http://127.0.0.1:9\"\n")
	r.append(eventLine(1), eventLine(2))
	if out, err := r.run("ingest", r.log); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rows := r.rows()
	if len(rows) != 4 {
		t.Fatalf("%d deliveries", len(rows))
	}
	id, event := rows[0].ID, rows[0].EventID
	for _, typed := range []string{id, id[:len(id)-0], strings.ToUpper(queue.ShortID(id)), queue.ShortID(id), event[:12], event} {
		if out, err := r.run("show", typed); err != nil || !strings.Contains(out, event) {
			t.Errorf("show %s: %v\n%s", typed, err, out)
		}
	}
	if out, err := r.run("replay", queue.ShortID(id)); err != nil || !strings.Contains(out, "1 delivery queued again") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := r.run("replay", event[:12]); err != nil || !strings.Contains(out, "2 deliveries queued again") {
		t.Errorf("%v\n%s", err, out)
	}
	for typed, want := range map[string]string{
		"dlv_": "several IDs begin with", id[:len(id)-1]: "several IDs begin with", "evt_": "several IDs begin with",
		"dlv_ffff": "intellidocs-agent deliveries", "0000000.0": "intellidocs-agent deliveries", "evt_zz": "intellidocs-agent deliveries",
		"x": "is not an ID", "": "is not an ID", "123.4": "is not an ID", "rej_1": "", "dlv_" + strings.Repeat("0", 200): "100",
	} {
		for _, command := range []string{"show", "replay"} {
			if out, err := r.run(command, typed); err == nil || !strings.Contains(out, want) {
				t.Errorf("%s %q: %v\n%s", command, typed, err, out)
			}
		}
	}
}

func TestFollow_ShowsWhatHappensAlsoOverARestart(t *testing.T) {
	r := newRig(t, "")
	if out, err := r.run("deliveries", "--follow"); err == nil || !strings.Contains(out, "intellidocs-agent run") {
		t.Errorf("without an agent: %v\n%s", err, out)
	}
	r.append(eventLine(1))
	r.start()
	r.until("the first", 20*time.Second, func() bool { return r.recv.distinct() == 1 })
	cmd := exec.Command("intellidocs-agent", "deliveries", "--follow", "--json", "-c", r.toml)
	out, errs := &output{}, &output{}
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	successes := func(n int) func() bool {
		return func() bool { return bytes.Count([]byte(out.String()), []byte(`"status":"success"`)) == n }
	}
	r.until("what was there", 20*time.Second, successes(1))
	r.append(eventLine(2))
	r.until("what comes", 20*time.Second, successes(2))
	r.kill(syscall.SIGTERM)
	r.until("a word about the agent", 20*time.Second, func() bool { return strings.Contains(errs.String(), "waiting for it") })
	r.append(eventLine(3))
	r.start()
	r.until("what came after a restart", 30*time.Second, successes(3))
	if n := strings.Count(errs.String(), "\n"); n != 2 {
		t.Errorf("it says %d times what happened to the agent:\n%s", n, errs)
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("an interrupt: %v", err)
	}
}
