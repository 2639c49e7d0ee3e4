package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// kept is the queue as an announcer sees it.
type kept struct {
	mu     sync.Mutex
	events []map[string]any
	state  []byte
	fail   error
}

func (k *kept) Commit(_ context.Context, b queue.Batch) (queue.Committed, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return queue.Committed{}, k.fail
	}
	for _, e := range b.Events {
		var payload map[string]any
		if err := json.Unmarshal(e.Body, &payload); err != nil {
			return queue.Committed{}, err
		}
		payload["to"] = fmt.Sprint(e.Webhooks)
		k.events = append(k.events, payload)
	}
	return queue.Committed{}, nil
}

func (k *kept) Memo(string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, nil
}

func (k *kept) SetMemo(_ context.Context, _ string, state []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = state
	return nil
}

func (k *kept) take() []map[string]any {
	k.mu.Lock()
	defer k.mu.Unlock()
	events := k.events
	k.events = nil
	return events
}

func announcing(t *testing.T, k *kept) (a *announcer, stop func()) {
	t.Helper()
	a = newAnnouncer(k, func(_ string, _ []byte, about string) []string {
		if about == "nobody hears of it" {
			return nil
		}
		return []string{"ops"}
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return a, func() { cancel(); <-done }
}

func wait(d time.Duration) {
	time.Sleep(d) // of the false clock
	synctest.Wait()
}

func failedTo(webhook string, n int) announcement {
	return announcement{kind: "delivery_failed", about: webhook, title: "t", message: "m", bad: true, fields: map[string]any{"reason": fmt.Sprint(n)}}
}

func TestAnnounce_OncePerWebhookInTenMinutesWithTheNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{}
		a, stop := announcing(t, k)
		for i := range 100 {
			a.Announce(failedTo("a", i))
		}
		a.Announce(failedTo("b", 1))
		wait(3 * time.Second)
		got := k.take()
		if len(got) != 2 || got[0]["count"] != 100.0 || got[0]["reason"] != "99" || got[0]["event_type"] != "agent.delivery_failed" || got[0]["severity"] != "warning" || got[1]["count"] != 1.0 {
			t.Fatalf("after a burst: %v", got)
		}
		for i := range 540 { // one a second, for nine minutes
			a.Announce(failedTo("a", i))
			wait(time.Second)
		}
		if got := k.take(); len(got) != 0 {
			t.Fatalf("within ten minutes: %v", got)
		}
		wait(2 * time.Minute)
		if got := k.take(); len(got) != 1 || got[0]["count"] != 540.0 {
			t.Fatalf("after them: %v", got)
		}
		stop()

		a, stop = announcing(t, k) // started again, and again
		defer func() { stop() }()
		for range 5 {
			a.Announce(failedTo("a", 1))
			wait(20 * time.Second)
			stop()
			a, stop = announcing(t, k)
		}
		if got := k.take(); len(got) != 0 {
			t.Fatalf("said again after a restart: %v", got)
		}
		wait(10 * time.Minute)
		a.Announce(failedTo("a", 1))
		wait(3 * time.Second)
		if got := k.take(); len(got) != 1 {
			t.Fatalf("ten minutes later: %v", got)
		}
	})
}

func TestAnnounce_AQueueThatFailsDelaysAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{fail: errors.New("no space left on device")}
		a, stop := announcing(t, k)
		defer stop()
		a.Announce(failedTo("a", 1))
		a.Announce(failedTo("nobody hears of it", 1))
		wait(time.Minute)
		a.Announce(failedTo("a", 2))
		k.mu.Lock()
		k.fail = nil
		k.mu.Unlock()
		wait(time.Minute)
		if got := k.take(); len(got) != 1 || got[0]["count"] != 2.0 || got[0]["to"] != "[ops]" {
			t.Fatalf("%v", got)
		}
	})
}
