package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
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
	r.until("the failure", 20*time.Second, func() bool {
		out, _ = r.run("top", "--once")
		return strings.Contains(out, "LAST FAILURES")
	})
	if strings.ContainsAny(out, "\x1b\x07") || !strings.Contains(out, "zz-sick: chaos") || strings.Index(out, "zz-sick") > strings.Index(out, "healthy    main") {
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
