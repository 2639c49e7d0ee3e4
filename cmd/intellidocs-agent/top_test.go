package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func TestTop_ShowsTheSickFirstAndNothingThatDrivesATerminal(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("\x1b[31mred\x07"))
	}))
	defer sick.Close()
	r := newRig(t, "[[webhook]]\nname = \"zz-sick\"\nurl = \""+sick.URL+"\"\nmax_retries = 0\n")
	if out, err := r.run("top"); err != nil || !strings.Contains(out, "main") || !strings.Contains(out, "No agent is running") { // without an agent, and to no terminal
		t.Errorf("%v\n%s", err, out)
	}
	r.append(eventLine(1))
	r.start()
	r.until("the delivery", 20*time.Second, func() bool { return r.recv.distinct() == 1 })
	var out string
	r.until("the failure, and the sick one first", 20*time.Second, func() bool { // the list may be newer than the table
		out, _ = r.run("top", "--once")
		return strings.Contains(out, "LAST FAILURES") && strings.Index(out, "zz-sick") < strings.Index(out, "healthy    main")
	})
	if strings.ContainsAny(out, "\x1b\x07") || !strings.Contains(out, "zz-sick: chaos") {
		t.Errorf("%q", out)
	}
	cmd, screen, in := r.onTerminal(60, "top", "--every", "50ms")
	defer in.Close()
	r.until("the screen", 20*time.Second, func() bool { return strings.Contains(screen.String(), "LAST FAILURES") })
	r.append(eventLine(2))
	r.until("what has changed", 20*time.Second, func() bool { return strings.Contains(screen.String(), "2 delivered") })
	if n := strings.Count(screen.String(), "LAST FAILURES"); n != 1 {
		t.Errorf("what has not changed was drawn %d times", n)
	}
	if _, err := in.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.HasSuffix(strings.TrimRight(screen.String(), "\r\n^C"), "\x1b[?1049l") {
		t.Errorf("the terminal was not given back: %v %q", err, screen.String()[max(0, len(screen.String())-100):])
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(line); n > 141 {
			t.Errorf("a line has %d columns", n)
		}
	}
}

// Ten minutes that a receiver asks for are in every place where people look, with their end,
// also where it has asked for a second before.
func TestTop_AWaitThatTheReceiverAskedForIsSaidEverywhere(t *testing.T) {
	var asked atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		if asked.Add(1) > 1 {
			w.Header().Set("Retry-After", "600")
		}
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer busy.Close()
	r := newRig(t, "[[webhook]]\nname = \"busy\"\nurl = \""+busy.URL+"\"\n")
	r.append(eventLine(1))
	r.start()
	r.until("the second refusal", time.Minute, func() bool { return asked.Load() == 2 })
	next := ""
	r.status(func(st admin.Status) bool {
		for _, w := range st.Webhooks {
			if w.Name == "busy" && time.Until(w.NextProbe) > time.Minute {
				next = w.NextProbe.UTC().Format(time.RFC3339)
			}
		}
		return next != ""
	})
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "state", "agent.sock"))
	}}}
	defer client.CloseIdleConnections()
	said := ""
	r.until("the entry in the log", 20*time.Second, func() bool {
		resp, err := client.Get("http://agent/api/v1/log")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		said = string(text)
		return err == nil && strings.Contains(said, "Webhook busy is held")
	})
	if !strings.Contains(said, "; next tried at "+next) {
		t.Errorf("the dashboard's log, without %s:\n%s", next, said)
	}
	if !strings.Contains(r.agentLog(), "until="+next) {
		t.Errorf("the agent's log, without %s:\n%s", next, r.agentLog())
	}
	out, err := r.run("top", "--once")
	at := strings.NewReplacer("T", " ", "Z", " UTC").Replace(next)
	if err != nil || !strings.Contains(out, "It is probed at "+at) || !regexp.MustCompile(`held +busy .* next try in [0-9]+m`).MatchString(out) {
		t.Errorf("top: %v\n%s", err, out)
	}
}
