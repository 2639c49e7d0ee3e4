package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mailbox keeps the bodies that were posted, with their paths.
type mailbox struct {
	mu     sync.Mutex
	bodies []map[string]any
	paths  []string
}

func newMailbox(t *testing.T) (*mailbox, string) {
	t.Helper()
	m := &mailbox{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var body map[string]any
		if err := json.Unmarshal(data, &body); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.bodies, m.paths = append(m.bodies, body), append(m.paths, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return m, s.URL
}

// has reports whether a body holds each of the texts.
func (m *mailbox) has(texts ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.bodies {
		text, _ := json.Marshal(b)
		all := true
		for _, want := range texts {
			all = all && strings.Contains(string(text), want)
		}
		if all {
			return true
		}
	}
	return false
}

// A home user's whole set-up: one webhook, and another to a phone that names "agent.*". When
// the first one's receiver dies and returns, the phone and the channel say so; so they do
// after a start into a broken state, and of records that could not be read.
func TestOwnEvents_PeopleHearOfAReceiverThatDiesAndReturns(t *testing.T) {
	phone, phoneURL := newMailbox(t)
	channel, channelURL := newMailbox(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // nobody is there
	r := newRig(t, fmt.Sprintf(`
[[webhook]]
name = "archive"
url = "http://%s/hook"
breaker_failures = 3
retry_delay = 1

[[webhook]]
name = "phone"
url = "%s/intellidocs"
format = "ntfy"
events = ["agent.*"]

[[webhook]]
name = "channel"
url = "%s/services/x"
format = "slack"
rate_limit = 100
events = ["agent.*"]
`, addr, phoneURL, channelURL))
	r.start()
	for n := range 5 {
		r.append(eventLine(n))
	}
	r.append(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type": "scan_completed", broken`)
	r.until("the phone hears that it is held", time.Minute, func() bool {
		return phone.has(`"topic":"intellidocs"`, `"title":"Webhook archive is held"`, `"priority":4`, "refused the connection")
	})
	r.until("the channel hears it", time.Minute, func() bool {
		return channel.has(`"type":"header"`, `"text":"Webhook archive is held"`)
	})
	r.until("the phone hears of the record", time.Minute, func() bool {
		return phone.has("could not be read as events", "intellidocs-agent rejected")
	})
	if phone.paths[0] != "/" {
		t.Errorf("ntfy's message went to %s", phone.paths[0])
	}

	// Killed before that is durable it would rightly say it again, under the same webhook-id.
	for _, webhook := range []string{"phone", "channel"} {
		r.until("what was said is recorded", time.Minute, func() bool {
			out, err := r.run("deliveries", "--webhook", webhook, "--status", "pending,retrying", "--json")
			return err == nil && out == ""
		})
	}
	r.kill(syscall.SIGKILL)
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	r.start()
	for _, m := range []*mailbox{phone, channel} {
		r.until("they hear that it has recovered", time.Minute, func() bool { return m.has("Webhook archive has recovered") })
	}
	held := 0
	phone.mu.Lock()
	defer phone.mu.Unlock()
	for _, b := range phone.bodies {
		if b["title"] == "Webhook archive is held" {
			held++
		}
	}
	if held != 1 {
		t.Errorf("said %d times that it is held", held)
	}
}
