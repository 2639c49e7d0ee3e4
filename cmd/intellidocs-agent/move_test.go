package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// A webhook that was renamed leaves its deliveries behind: the reload and check say so, and
// move and discard do something about it.
func TestMove_WhatWaitsForARenamedWebhookGoesToTheNewOne(t *testing.T) {
	dead := "\n[[webhook]]\nname = \"old\"\nurl = \"http://127.0.0.1:1/\"\n[[webhook]]\nname = \"older\"\nurl = \"http://127.0.0.1:1/\"\n"
	r := newRig(t, dead)
	r.start()
	r.append(eventLine(1), eventLine(2))
	r.until("both wait", 30*time.Second, func() bool { return len(r.rows("--status", "retrying")) == 4 })
	if out, err := r.run("move", "old", "new", "--yes"); err == nil || !strings.Contains(out, `"old" is in use`) {
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
	if out, err := r.run("move", "old", "nowhere", "--yes"); err == nil || !strings.Contains(out, "no such webhook") {
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

func TestMoveAndDiscard_AMistypedWebhookIsAnErrorWithTheNearestName(t *testing.T) {
	r := newRig(t, "")
	for _, args := range [][]string{{"discard", "--webhook", "mian"}, {"move", "mian", "main"}} {
		if out, err := r.run(args...); err == nil || !strings.Contains(out, `"mian" is not known; did you mean "main"?`) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if out, err := r.run("discard", "--webhook", "gone-for-long"); err != nil || !strings.Contains(out, "nothing to discard") {
		t.Errorf("%v\n%s", err, out)
	}
}
