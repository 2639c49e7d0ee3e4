package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

// A webhook that was renamed leaves its deliveries behind: the reload and check say so, and
// move and discard do something about it.
func TestMove_WhatWaitsForARenamedWebhookGoesToTheNewOne(t *testing.T) {
	dead := "\n[[webhook]]\nname = \"old\"\nurl = \"http://127.0.0.1:1/\"\n[[webhook]]\nname = \"older\"\nurl = \"http://127.0.0.1:1/\"\n"
	r := newRig(t, dead)
	r.start()
	r.append(eventLine(1), eventLine(2))
	r.until("both wait", 30*time.Second, func() bool { return len(r.rows("--status", "retrying")) == 4 })
	if out, err := r.run("move", "old", "main", "--yes"); err == nil || !strings.Contains(out, `"old" is in use`) {
		t.Errorf("%s %v", out, err)
	}
	news, newURL := newMailbox(t)
	r.configure("\n[[webhook]]\nname = \"new\"\nurl = \"" + newURL + "/\"\n")
	r.kickUntil("the reload says so", func() bool {
		return strings.Contains(r.agentLog(), `2 deliveries wait for webhook \"old\", which is not in the configuration`)
	})
	if out, err := r.run("check"); err != nil || !strings.Contains(out, `2 deliveries wait for webhook "older"`) || !strings.Contains(out, "intellidocs-agent move older NEW") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := r.run("replay", "--webhook", "old", "--yes"); err != nil || !strings.Contains(out, "Nothing is sent to old now: it is not in the configuration") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := r.run("move", "old", "nowhere", "--yes"); err == nil || !strings.Contains(out, `webhook "nowhere" is not known; there are main, new, `) {
		t.Errorf("%s %v", out, err)
	}
	if out, err := r.run("move", "old", "new", "--yes"); err != nil || !strings.Contains(out, "2 deliveries moved to new") {
		t.Fatalf("%s %v", out, err)
	}
	r.until("they arrive", 30*time.Second, func() bool { news.mu.Lock(); defer news.mu.Unlock(); return len(news.bodies) == 2 })
	if out, err := r.run("discard", "--webhook", "older", "--yes"); err != nil || !strings.Contains(out, "2 deliveries discarded") {
		t.Fatalf("%s %v", out, err)
	}
	if rows := r.rows("--status", "failed"); len(rows) != 2 || rows[0].Webhook != "older" || rows[0].ErrorMessage != "discarded by cli" {
		t.Errorf("%+v", rows)
	}
	if rows := r.rows("--webhook", "new"); len(rows) != 2 || rows[0].Status != "success" {
		t.Errorf("%+v", rows)
	}
	r.append(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type": "x", broken`)
	r.until("a record is rejected", 30*time.Second, func() bool { out, _ := r.run("rejected"); return strings.Contains(out, "rej_") })
	r.kill(syscall.SIGTERM)
	if out, err := r.run("discard", "--rejected", "--yes"); err != nil || !strings.Contains(out, "1 rejected record deleted") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := r.run("check"); err != nil || strings.Contains(out, "wait") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := r.run("discard"); err == nil || !strings.Contains(out, "--webhook") {
		t.Errorf("%s %v", out, err)
	}
}

// Wherever a webhook is named, a slip is answered alike, by a running agent and without one.
func TestCommands_AMistypedWebhookIsAnErrorWithTheNearestName(t *testing.T) {
	r := newRig(t, "[[webhook]]\nname = \"second\"\nurl = \"http://127.0.0.1:1/\"\n")
	const near, all = `"mian" is not known; did you mean "main"?`, `"elsewhere" is not known; there are main and second`
	for _, running := range []bool{false, true} {
		if running {
			r.start()
			r.status(func(st admin.Status) bool { return st.Running })
		}
		for _, args := range [][]string{
			{"pause"}, {"resume"}, {"test"}, {"deliveries", "--webhook"}, {"replay", "--webhook"}, {"discard", "--webhook"}, {"move", "NAME", "second"},
		} {
			for name, want := range map[string]string{"mian": near, "elsewhere": all} {
				// Deliveries may wait for one that is gone; where none do there is nothing to drop.
				if (args[0] == "discard" || args[0] == "move") && want == all {
					want = ""
				}
				command := append(slices.Clone(args), name)
				if i := slices.Index(command, "NAME"); i >= 0 {
					command = slices.Replace(command[:len(command)-1], i, i+1, name)
				}
				out, err := r.run(command...)
				var exit *exec.ExitError
				if want == "" && err != nil || want != "" && (!errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(out, want)) {
					t.Errorf("running %v, %v: %v\n%s", running, command, err, out)
				}
			}
		}
	}
}
