package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// member makes a rig whose agent shares the queue at a URL.
func member(t testing.TB, name, database, to string) *rig {
	t.Helper()
	r := newRig(t, "")
	r.url = to
	r.configure(fmt.Sprintf("timeout = 2\n[[webhook]]\nname = \"second\"\nurl = %q\nsecret = %q\ntimeout = 2\n[queue]\nengine = \"postgres\"\nurl_file = \"queue-url\"\nagent = %q\nlease = 3\nreplication = \"trust\"\n", to, testSecret, name))
	if err := os.WriteFile(filepath.Join(r.dir, "queue-url"), []byte(database), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// say runs a command that must succeed.
func (r *rig) say(args ...string) string {
	r.t.Helper()
	out, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", args, err, out)
	}
	if strings.Contains(out, pgtest.Password) {
		r.t.Errorf("%s tells the database's password:\n%s", args, out)
	}
	return out
}

func TestFleet_AnAgentThatIsKilledIsReplaced(t *testing.T) {
	database := pgtest.Server(t)
	recv, to := newRecorder(t, receiver.Options{})
	one, two := member(t, "pod-0", database, to), member(t, "pod-1", database, to)
	one.recv, two.recv = recv, recv
	if out := one.say("check", "--connect"); !strings.Contains(out, "[queue]") || !strings.Contains(out, "reached PostgreSQL ") {
		t.Errorf("check --connect:\n%s", out)
	}
	// Without an agent commands use the database.
	if out := one.say("deliveries"); !strings.Contains(out, "No deliveries") {
		t.Errorf("deliveries:\n%s", out)
	}
	one.start()
	two.start()
	served := func(r *rig, name string) (n int) {
		for _, w := range r.status(func(admin.Status) bool { return true }).Webhooks {
			if w.Agent == name {
				n++
			}
		}
		return n
	}
	two.until("one webhook for each", time.Minute, func() bool { return served(two, "pod-0") == 1 && served(two, "pod-1") == 1 })
	one.append(eventLine(1), eventLine(2))
	two.append(eventLine(2), eventLine(3))
	delivered := func(r *rig) int64 { return r.status(func(admin.Status) bool { return true }).Counts["success"] }
	two.until("the deliveries", time.Minute, func() bool { return delivered(two) == 6 })

	one.kill(syscall.SIGKILL)
	two.append(eventLine(4))
	two.until("its webhook to be served by the other", time.Minute, func() bool { return served(two, "pod-1") == 2 })
	two.until("the delivery", time.Minute, func() bool { return delivered(two) == 8 })
	two.until("its end to be seen", time.Minute, func() bool {
		return strings.Contains(two.say("agents"), "gone")
	})
	var gone admin.AgentView
	for line := range strings.Lines(two.say("agents", "--json")) {
		var a admin.AgentView
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err, line)
		}
		if a.Name == "pod-0" {
			gone = a
		}
	}
	if gone.State != admin.AgentGone || len(gone.Webhooks) != 0 || len(gone.Sources) != 1 {
		t.Errorf("%+v", gone)
	}
	if out, err := two.run("agents", "forget", "pod-1"); err == nil {
		t.Errorf("one that is alive was forgotten: %s", out)
	}
	if out, err := exec.Command("intellidocs-agent", "__complete", "-c", two.toml, "agents", "forget", "").Output(); err != nil || !strings.HasPrefix(string(out), "pod-0\n") {
		t.Errorf("the Tab key offers, %v:\n%s", err, out)
	}
	if out := two.say("agents", "forget", "pod-0"); !strings.Contains(out, "pod-0 is forgotten") || strings.Contains(two.say("agents"), "pod-0") {
		t.Errorf("forget: %s", out)
	}

	// Another queue, or another name in it, is for the next start.
	text, err := os.ReadFile(two.toml)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two.toml, []byte(strings.Replace(string(text), `agent = "pod-1"`, `agent = "pod-9"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	two.until("the change to be said", time.Minute, func() bool {
		said, err := os.ReadFile(two.out.Name())
		return err == nil && strings.Contains(string(said), `takes effect at the next start" key=[queue]`)
	})
	if st := two.status(func(admin.Status) bool { return true }); st.Sources[0].Name != "pod-1:"+two.log {
		t.Errorf("its source is %s", st.Sources[0].Name)
	}
	// Of two with one name the later one stays: it is taken for the first, started again.
	one.configure("[queue]\nengine = \"postgres\"\nurl_file = \"queue-url\"\nagent = \"pod-1\"\nlease = 3\nreplication = \"trust\"\n")
	one.start()
	if err := two.cmd.Wait(); err == nil {
		t.Error("it ended without an error")
	}
	two.cmd = nil
	if said, err := os.ReadFile(two.out.Name()); err != nil || !strings.Contains(string(said), "another agent has this agent's name") {
		t.Errorf("it does not say why it ended, %v", err)
	}
	for _, r := range []*rig{one, two} {
		if said, err := os.ReadFile(r.out.Name()); err != nil || strings.Contains(string(said), pgtest.Password) {
			t.Errorf("the log tells the database's password, %v", err)
		}
	}
}

// The page shows who shares the queue, and who serves a webhook.
func TestFleet_ThePageShowsTheAgents(t *testing.T) {
	database := pgtest.Server(t)
	recv, to := newRecorder(t, receiver.Options{})
	r := member(t, "pod-0", database, to)
	r.recv = recv
	addr := r.listening()
	r.start()
	r.answering(addr)
	b := newBrowser(t, addr, r.token())
	b.until("the agents", `!document.querySelector('#fleet').hidden && document.querySelector('#agents tbody').innerText.includes('pod-0')`)
	b.until("who serves a webhook", `document.querySelector('[data-webhook=main]').innerText.includes('served by pod-0')`)
	b.until("the engine", `document.querySelector('#disk').innerText.includes('PostgreSQL')`)
}
