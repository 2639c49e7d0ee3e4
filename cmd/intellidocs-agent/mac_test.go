package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authenticated is an event with the MAC of a key.
func authenticated(key string, n int) string {
	h := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(h, `{"event_type": "custom", "n": %d}`, n)
	return fmt.Sprintf(`{"event_type": "custom", "mac": "%s", "n": %d}`, hex.EncodeToString(h.Sum(nil)), n)
}

func TestMAC_NobodyElsesEventComesInByAnyWay(t *testing.T) {
	r := newRig(t, "")
	keyFile := filepath.Join(r.dir, "events-key")
	keep := func(key string) {
		t.Helper()
		if err := os.WriteFile(keyFile, []byte("\ufeff"+key+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := strings.Repeat("first-", 6), strings.Repeat("second", 6)
	keep(first)
	text, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	keyed := strings.Replace(string(text), `type = "log"`, `type = "log"`+"\nkey_file = \"events-key\"", 1)
	if err := os.WriteFile(r.toml, []byte(keyed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run("check"); err != nil || strings.Contains(out, first) {
		t.Fatalf("%v\n%s", err, out)
	}
	r.start()
	forged := `{"event_type": "custom", "n": 7}`
	r.append(forged, authenticated(first, 1), authenticated("somebody else's, as long as that", 8), authenticated(first, 2))
	r.until("the producer's", 10*time.Second, func() bool { return r.recv.distinct() == 2 })
	rejected, err := r.run("rejected")
	if err != nil || strings.Count(rejected, "MAC") < 2 {
		t.Errorf("%v\n%s", err, rejected)
	}
	// Neither by trying a rejected record again nor out of an old log.
	if out, _ := r.run("rejected", "--retry"); r.recv.distinct() != 2 {
		t.Errorf("tried again, it is sent:\n%s", out)
	}
	old := filepath.Join(r.dir, "paperless.log.3")
	if err := os.WriteFile(old, []byte(forged+"\n"+authenticated(first, 3)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := r.run("ingest", old); !strings.Contains(out, "1 rejected") {
		t.Errorf("ingest:\n%s", out)
	}
	r.until("the one of the old log", 10*time.Second, func() bool { return r.recv.distinct() == 3 })
	// The key may change while the agent runs.
	keep(second)
	n := 10
	r.kickUntil("one of the new key", func() bool {
		n++
		r.append(authenticated(second, n))
		return r.recv.distinct() > 3
	})
	r.recv.mu.Lock()
	defer r.recv.mu.Unlock()
	for body := range r.recv.ids {
		if strings.Contains(body, "mac") || strings.Contains(body, `"n": 7`) || strings.Contains(body, `"n": 8`) {
			t.Errorf("sent: %s", body)
		}
	}
	if log := r.agentLog(); strings.Contains(log, first) || strings.Contains(log, second) {
		t.Error("a key is in the agent's log")
	}
}
