package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
