package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"testing"
)

// The page says in order what happened to the agent, whether a webhook hears of it or not, also
// after a restart, and leads to where it can be put right.
func TestDashboard_LogsWhatHappenedToTheAgent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"down\"\nurl = \"http://%s\"\nbreaker_failures = 1\n", nobody))
	addr := r.listening()
	r.start()
	r.answering(addr)
	b := newBrowser(t, addr, r.token())
	entries := func(id string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('#%s li > div')].map((e) => e.innerText.split('\n')[0])`, id)
	}
	b.until("the start", entries("journal")+`.some((text) => text.startsWith('The agent started, version '))`)
	r.append(eventLine(1))
	b.until("the hold", entries("journal")+`[0] === 'Webhook down is held'`)
	b.until("why", `document.querySelector('#journal li')?.innerText.includes('refused the connection') && document.querySelector('#journal li').classList.contains('bad')`)
	back, err := net.Listen("tcp", nobody)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	t.Cleanup(func() { server.Close() })
	go server.Serve(back) // ends with its Close
	b.until("the recovery", entries("journal")+`[0] === 'Webhook down has recovered'`)
	r.append(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":`, `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":`)
	b.until("the rejected records", entries("journal")+`[0].includes('could not be read as events 2 times')`)
	good, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.toml, append(good, "colour = \"blue\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	b.until("the configuration's error", entries("journal")+`[0].startsWith('The new configuration has errors')`)
	if _, err := r.run("pause", "main"); err != nil {
		t.Fatal(err)
	}
	b.until("the pause", entries("journal")+`[0] === 'Webhook main was paused'`)
	if err := os.WriteFile(r.toml, good, 0o600); err != nil {
		t.Fatal(err)
	}
	b.until("the configuration", entries("journal")+`[0].startsWith('The configuration was loaded again: 1 source, 2 webhooks')`)
	b.shot("log")

	// It leads to what it is about.
	b.view("#/log")
	b.until("all of it", entries("journal-all")+`.length >= 7`)
	order := eval[[]int](b, fmt.Sprintf(`['The agent started', 'Webhook down is held', 'Webhook down has recovered', 'Records of', 'The new configuration', 'Webhook main was paused', 'The configuration was'].map((text) => %s.findLastIndex((e) => e.startsWith(text)))`, entries("journal-all")))
	if !slices.IsSortedFunc(order, func(x, y int) int { return y - x }) || order[len(order)-1] < 0 {
		t.Errorf("the entries stand at %v", order)
	}
	b.click(fmt.Sprintf(`#journal-all li:nth-child(%d) a`, order[1]+1))
	b.until("the webhook", `location.hash === '#/webhooks/down' && document.querySelector('#webhook').checkVisibility()`)

	r.kill(syscall.SIGTERM)
	r.start()
	r.answering(addr)
	b.view("#/log")
	b.until("the stop and the start", entries("journal-all")+`.length >= 9 && `+entries("journal-all")+`.slice(0, 3).some((text) => text.startsWith('The agent started')) && `+entries("journal-all")+`.includes('The agent stopped')`)
}
