package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is damaged in the state while nobody looks is told by name when the agent starts again,
// and reading the log again brings it back under the id that it had.
func TestDamage_IsToldAndIngestBringsItBack(t *testing.T) {
	const events = 50
	r := newRig(t, "")
	for n := range events {
		r.append(fmt.Sprintf(`%s{"event_type":"chaos","n":%d,"pad":%q,"timestamp":"2025-11-14T15:00:00Z"}`, oursAt, n, strings.Repeat("x", 500)))
	}
	r.start()
	r.until("all events", time.Minute, func() bool { return r.recv.distinct() == events })
	r.kill(syscall.SIGTERM)
	logs, err := filepath.Glob(filepath.Join(r.dir, "state", "queue", "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	flipped := false
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(`"n": 17,`)); at >= 0 && !flipped {
			data[at+30] ^= 1
			flipped = true
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !flipped {
		t.Fatal("the event was not found")
	}

	said := len(r.agentLog())
	r.start()
	r.until("it to name what is damaged", time.Minute, func() bool {
		return strings.Contains(r.agentLog()[said:], "events in the queue cannot be read") && strings.Contains(r.agentLog()[said:], "events=1 ")
	})
	requests := r.requests()
	out, err := r.run("ingest", r.log)
	if err != nil || !strings.Contains(out, "1 queued for 1 delivery; 49 were queued before") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
	r.until("the event to be sent again", time.Minute, func() bool { return r.requests() == requests+1 })
	if got := r.recv.distinct(); got != events {
		t.Errorf("%d distinct events of %d", got, events)
	}
	r.wantOneID()
}

func (r *rig) requests() int {
	r.recv.mu.Lock()
	defer r.recv.mu.Unlock()
	return len(r.recv.requests)
}
