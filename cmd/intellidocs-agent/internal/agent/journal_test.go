package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// keptLog is the queue as a journal sees it.
type keptLog struct {
	entries []queue.LogEntry
	mu      sync.Mutex
	failing error
}

func (k *keptLog) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failing = err
}

func (k *keptLog) AppendLog(_ context.Context, entries ...*queue.LogEntry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failing != nil {
		return k.failing
	}
	for _, e := range entries {
		if e.N == 0 {
			k.entries = append(k.entries, queue.LogEntry{})
			e.N = uint64(len(k.entries))
		}
		k.entries[e.N-1] = *e
	}
	return nil
}

func (k *keptLog) String() string {
	var lines []string
	for _, e := range k.entries {
		lines = append(lines, fmt.Sprintf("%s %s%s ×%d", e.Kind, e.Webhook, e.Source, e.Count))
	}
	return strings.Join(lines, "\n")
}

func TestJournal_KeepsTheOrderAndCountsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keptLog{}
		j := newJournal(nil, slog.New(slog.DiscardHandler))
		j.queue = k
		a := newAnnouncer(&kept{}, func(string, []byte, string) []string { return nil }, slog.New(slog.DiscardHandler))
		a.journal = j
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.run(ctx) }()

		j.add(queue.LogEntry{Kind: "started"})
		for range 3 { // a receiver that comes and goes: each time is an entry
			a.noticed(dispatch.Notice{Kind: dispatch.NoticeHeld, Webhook: "a", Reason: "it is down"})
			a.noticed(dispatch.Notice{Kind: dispatch.NoticeRecovered, Webhook: "a"})
			wait(time.Minute)
		}
		for i := range 1000 { // a flood is one
			a.rejected("log", "/log", int64(i), "odd")
			wait(10 * time.Millisecond)
		}
		next := time.Now().Add(10 * time.Minute)
		a.noticed(dispatch.Notice{Kind: dispatch.NoticeHeld, Webhook: "a", Reason: "again", NextProbe: next})
		wait(11 * time.Minute)
		a.rejected("log", "/log", 1, "odd")
		// What the queue does not take for now is written with what happens next.
		k.fail(errors.New("no"))
		wait(2 * time.Second)
		a.missed("log", "/log", "gone")
		wait(2 * time.Second)
		k.fail(nil)
		j.add(queue.LogEntry{Kind: "stopped"})
		cancel()
		<-done
		if err := j.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "started  ×1\n" + strings.Repeat("webhook_held a ×1\nwebhook_recovered a ×1\n", 3) +
			"record_rejected log ×1000\nwebhook_held a ×1\nrecord_rejected log ×1\ngap log ×1\nstopped  ×1"
		if got := k.String(); got != want {
			t.Errorf("it has\n%s\nwant\n%s", got, want)
		}
		if e := k.entries[1]; !e.Bad || e.Text != "Webhook a is held" || e.Detail != "it is down" {
			t.Errorf("%+v", e)
		}
		if e := k.entries[8]; e.Detail != "again; next tried at "+next.UTC().Format(time.RFC3339) {
			t.Errorf("it does not say until when: %+v", e)
		}
	})
}
