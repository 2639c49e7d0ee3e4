package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// rows lists deliveries by the command.
func (r *rig) rows(args ...string) []admin.Row {
	r.t.Helper()
	out, err := r.run(append([]string{"deliveries", "--json"}, args...)...)
	if err != nil {
		r.t.Fatalf("deliveries: %v\n%s", err, out)
	}
	var rows []admin.Row
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var row admin.Row
		if err := d.Decode(&row); err != nil {
			r.t.Fatalf("%v\n%s", err, out)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestRetries_AttemptsAtTheDocumentedTimesAcrossARestart(t *testing.T) {
	r := newRig(t, "")
	rec, url := newRecorder(t, receiver.Options{Fail: 3})
	r.recv, r.url = rec, url
	r.configure("breaker_failures = 0\nretry_jitter = 0\n")
	r.start()
	r.append(eventLine(1))
	// Killed before its outcome is kept, an attempt would rightly be made again.
	r.until("the second attempt", 30*time.Second, func() bool { rows := r.rows(); return len(rows) == 1 && rows[0].Attempts == 2 })
	r.kill(syscall.SIGKILL)
	r.start()
	r.until("the fourth attempt", 60*time.Second, func() bool { return rec.distinct() == 1 })
	got := rec.snapshot()
	if len(got) != 4 {
		t.Fatalf("%d attempts, want 4", len(got))
	}
	// Never early: 0, r, 3r and 7r with r = 1 s. How late they may be is a matter of load.
	for i, least := range []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second} {
		if at := got[i].At.Sub(got[0].At); at < least-100*time.Millisecond {
			t.Errorf("attempt %d came after %s, want %s at least", i+1, at, least)
		}
		if n := got[i].Header.Get("X-IntelliDocs-Attempt"); n != fmt.Sprint(i+1) {
			t.Errorf("attempt %d is numbered %s", i+1, n)
		}
		if id := got[i].Header.Get("webhook-id"); id != got[0].Header.Get("webhook-id") {
			t.Errorf("attempt %d has another webhook-id", i+1)
		}
	}
	r.until("the outcome", 10*time.Second, func() bool { rows := r.rows(); return len(rows) == 1 && rows[0].Status == "success" })
	if row := r.rows()[0]; row.Attempts != 4 || row.CompletedAt == nil || row.NextAttemptAt != nil {
		t.Errorf("%+v", row)
	}
}

func (r *recorder) snapshot() []receiver.Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]receiver.Received(nil), r.requests...)
}

func TestFailed_IsKeptAndCanBeReplayedUnderTheSameID(t *testing.T) {
	r := newRig(t, "")
	rec, url := newRecorder(t, receiver.Options{Fail: 2})
	r.recv, r.url = rec, url
	r.configure("max_retries = 1\nretry_delay = 0\n")
	r.start()
	r.append(eventLine(1))
	r.until("the delivery to fail", 30*time.Second, func() bool { rows := r.rows("--status", "failed"); return len(rows) == 1 })
	row := r.rows()[0]
	if row.Attempts != 2 || row.ResponseStatusCode == nil || *row.ResponseStatusCode != 500 {
		t.Errorf("%+v", row)
	}
	if out, err := r.run("replay", row.ID); err != nil || !strings.Contains(out, "1 delivery queued again") {
		t.Fatal(out, err)
	}
	r.until("the replay", 30*time.Second, func() bool { return rec.distinct() == 1 })
	got := rec.snapshot()
	if a, b := got[0].Header.Get("webhook-id"), got[2].Header.Get("webhook-id"); a != b {
		t.Errorf("the replay's webhook-id is %s, was %s", b, a)
	}
	out, err := r.run("show", row.EventID)
	for _, want := range []string{"attempt 1", "attempt 3", "replayed", "by cli", "< HTTP/1.1 500 Internal Server Error\n", "< Content-Length: ", `"n": 1`, r.log} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("show lacks %q (%v):\n%s", want, err, out)
		}
	}
}

func TestSickWebhooks_DelayNoOther(t *testing.T) {
	hanging, hangingURL := newRecorder(t, receiver.Options{Delay: time.Hour})
	_ = hanging
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"hanging\"\nurl = %q\ntimeout = 3600\n[[webhook]]\nname = \"dead\"\nurl = \"http://127.0.0.1:1/\"\n", hangingURL))
	r.start()
	for i := range 200 {
		r.append(eventLine(i))
	}
	r.until("the healthy webhook's deliveries", 60*time.Second, func() bool { return r.recv.distinct() == 200 })
	for _, name := range []string{"hanging", "dead"} {
		if n := len(r.rows("--webhook", name, "--limit", "0")); n != 200 {
			t.Errorf("%s has %d deliveries, want 200", name, n)
		}
		if n := len(r.rows("--webhook", name, "--status", "success")); n != 0 {
			t.Errorf("%s had %d deliveries", name, n)
		}
	}
}

func TestReload_WebhooksAndSourcesComeAndGoWhileRunning(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.append(eventLine(1))
	r.until("the first event", 30*time.Second, func() bool { return r.recv.distinct() == 1 })
	second, secondURL := newRecorder(t, receiver.Options{})
	other := filepath.Join(r.dir, "log", "other.log")
	r.configure(fmt.Sprintf("[[webhook]]\nname = \"second\"\nurl = %q\nsecret = %q\n[[source]]\npath = %q\n", secondURL, testSecret, other))
	r.reloaded(2)
	if err := os.WriteFile(other, []byte(eventLine(2)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.until("the new source's event at both", 30*time.Second, func() bool { return r.recv.distinct() == 2 && second.distinct() == 1 })

	// A file with errors changes nothing, and says so.
	good, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.toml, append(good, "\nnonsense = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("the error in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "has errors and is ignored") })
	r.append(eventLine(3))
	r.until("an event under the configuration in force", 30*time.Second, func() bool { return r.recv.distinct() == 3 && second.distinct() == 2 })

	// What is queued for a webhook that goes stays parked and continues when it returns.
	r.configure("enabled = false\n")
	r.until("the change", 30*time.Second, func() bool { return strings.Count(r.agentLog(), "configuration reloaded") >= 2 })
	r.append(eventLine(4))
	r.configure("")
	r.kickUntil("the webhook's return", func() bool { return r.recv.distinct() >= 3 && len(r.rows("--webhook", "second")) == 2 })
}

// kickUntil sends SIGHUP once and waits.
func (r *rig) kickUntil(what string, ok func() bool) {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGHUP)
	r.until(what, 30*time.Second, ok)
}

func (r *rig) agentLog() string {
	data, err := os.ReadFile(r.out.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// reloaded waits until the agent has so many webhooks.
func (r *rig) reloaded(webhooks int) {
	r.t.Helper()
	r.until("the new configuration", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), fmt.Sprintf("webhooks=%d", webhooks)) })
}

func TestSpool_FilesGoOnlyAfterTheirEventsAreQueued(t *testing.T) {
	r := newRig(t, "")
	spool := filepath.Join(r.dir, "spool")
	if err := os.Mkdir(spool, 0o755); err != nil {
		t.Fatal(err)
	}
	r.configure(fmt.Sprintf("[[source]]\ntype = \"spool\"\npath = %q\nafter = \"archive\"\n", spool))
	r.start()
	put := func(name, text string) {
		tmp := filepath.Join(spool, name+".tmp")
		if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(spool, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("a.json", "{\n  \"event_type\": \"chaos\",\n  \"n\": 1\n}\n")
	put("b.json", `[{"event_type": "chaos", "n": 2}, {"event_type": "chaos", "n": 3}]`)
	put("c.ndjson", "{\"event_type\": \"chaos\", \"n\": 4}\n{\"event_type\": \"chaos\", \"n\": 5}")
	put("d.json", `{"event_type": "chaos", "n": `)
	put(".hidden.json", `{"event_type": "chaos", "n": 99}`)
	exists := func(parts ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{spool}, parts...)...))
		return err == nil
	}
	r.until("five events", 30*time.Second, func() bool { return r.recv.distinct() == 5 })
	r.until("the files to be put away", 30*time.Second, func() bool {
		return exists("archive", "a.json") && exists("archive", "b.json") && exists("archive", "c.ndjson") && exists("rejected", "d.json") && exists("rejected", "d.json.reason")
	})
	if !exists(".hidden.json") {
		t.Error("a hidden file was taken")
	}
	out, err := r.run("rejected")
	if err != nil || !strings.Contains(out, "d.json") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSIGTERM_LetsRequestsUnderWayFinish(t *testing.T) {
	r := newRig(t, "")
	rec, url := newRecorder(t, receiver.Options{Delay: 2 * time.Second})
	r.recv, r.url = rec, url
	r.configure("")
	r.start()
	r.append(eventLine(1))
	r.until("the request", 30*time.Second, func() bool {
		out, _ := r.run("deliveries", "--json")
		return strings.Contains(out, "pending")
	})
	r.pause(300 * time.Millisecond)
	r.kill(syscall.SIGTERM)
	if n := rec.distinct(); n != 1 {
		t.Errorf("%d requests had finished when the agent ended", n)
	}
	if rows := r.rows(); len(rows) != 1 || rows[0].Status != "success" {
		t.Errorf("%+v", rows)
	}
}

func TestWhileDown_SeveralRotationsAreCaughtUp(t *testing.T) {
	r := newRig(t, "")
	r.start()
	n := 0
	write := func(count int) {
		for range count {
			r.append(eventLine(n))
			n++
		}
	}
	rotate := func() {
		for i := 9; i > 0; i-- {
			_ = os.Rename(fmt.Sprintf("%s.%d", r.log, i), fmt.Sprintf("%s.%d", r.log, i+1))
		}
		if err := os.Rename(r.log, r.log+".1"); err != nil {
			t.Fatal(err)
		}
	}
	write(10)
	r.until("the first events", 30*time.Second, func() bool { return r.recv.distinct() == 10 })
	r.kill(syscall.SIGKILL)
	for range 4 {
		write(10)
		rotate()
	}
	write(10)
	r.start()
	r.wantAll(60)
}
