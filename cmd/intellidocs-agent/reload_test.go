package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestDisabledAgent_WhatIsIngestedGoesOutOnceItIsEnabled(t *testing.T) {
	r := newRig(t, "")
	enabled, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.toml, append([]byte("enabled = false\n"), enabled...), 0o600); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(r.dir, "old.log")
	if err := os.WriteFile(old, []byte(eventLine(1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run("ingest", old); err != nil || !strings.Contains(out, "1 queued for 1 ") {
		t.Fatal(out, err)
	}
	r.start()
	r.until("the agent", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "msg=running") })
	if rows := r.rows(); len(rows) != 1 || rows[0].Status != "pending" || rows[0].Attempts != 0 {
		t.Errorf("%+v", rows)
	}
	if err := os.WriteFile(r.toml, enabled, 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("the delivery", 30*time.Second, func() bool { return r.recv.distinct() == 1 })
}

func TestReload_AFileThatIsStillBeingWrittenChangesNothing(t *testing.T) {
	r := newRig(t, "")
	whole, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	r.append(eventLine(1))
	r.until("the first event", 30*time.Second, func() bool { return r.recv.distinct() == 1 })
	if err := os.Truncate(r.toml, 0); err != nil {
		t.Fatal(err)
	}
	r.until("the error in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "is it still being written?") })
	r.append(eventLine(2))
	r.until("an event under the configuration in force", 30*time.Second, func() bool { return r.recv.distinct() == 2 })
	if err := os.WriteFile(r.toml, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("the end of the writing", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "configuration reloaded") })
}

func TestHangup_WhileTheAgentStillWaitsForItsStateDoesNotEndIt(t *testing.T) {
	r := newRig(t, "")
	state := filepath.Join(r.dir, "state")
	q, err := queue.Open(t.Context(), queue.Options{Dir: state})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.until("it to look at the state", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "it is now 0700") })
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	r.until("the configuration to be read again", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "why=hangup") })
}

func TestReload_ASlipInTheFileHidesTheRunningAgentFromNobody(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.until("the agent", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "msg=running") })
	whole, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.toml, append(whole, "[[webhook]\nname = \"half\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("the error in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "has errors and is ignored") })
	for _, command := range []string{"healthcheck", "deliveries"} {
		if out, err := r.run(command); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}
