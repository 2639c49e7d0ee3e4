package dispatch

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// What versions before stored about a webhook, as one, is in force in this one.
func TestPause_WhatVersionsBeforeStoredIsInForce(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	stored := map[string]string{
		"paused": `{"paused":{"reason":"maintenance","since":"2026-01-02T03:04:05Z"}}`,
		"gone":   `{"paused":{"reason":"the endpoint answered 410 Gone","since":"2026-01-02T03:04:05Z","gone":true,"digest":"1"}}`,
		"lifted": `{"paused":{"reason":"the endpoint answered 410 Gone","since":"2026-01-02T03:04:05Z","gone":true,"digest":"other"}}`,
		"held":   `{"held":{"since":"2026-01-02T03:04:05Z","failures":20,"delay":600000000000,"probe_at":"2126-01-01T00:00:00Z","digest":"1"}}`,
		"both":   `{"paused":{"reason":"maintenance","since":"2026-01-02T03:04:05Z"},"held":{"since":"2026-01-02T03:04:05Z","failures":20,"delay":600000000000,"probe_at":"2126-01-01T00:00:00Z","digest":"1"}}`,
		"well":   `{}`,
	}
	d := New(Options{Store: q, Logger: slog.New(slog.DiscardHandler)})
	var hooks []Webhook
	for name, record := range stored {
		if err := q.SetMemo(t.Context(), name, []byte(record)); err != nil {
			t.Fatal(err)
		}
		h := hook(name, answering(delivered))
		h.BreakerFailures = 20
		hooks = append(hooks, h)
	}
	if err := d.Apply(hooks); err != nil {
		t.Fatal(err)
	}
	want := map[string]Condition{"paused": Paused, "gone": Paused, "lifted": Healthy, "held": Held, "both": Paused, "well": Healthy}
	states := func() map[string]State {
		all := map[string]State{}
		for _, s := range d.States() {
			all[s.Webhook] = s
		}
		return all
	}
	for name, s := range states() {
		if s.State != want[name] {
			t.Errorf("%s is %s, want %s", name, s.State, want[name])
		}
	}
	if since := states()["paused"].Since; !since.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("paused since %s", since)
	}
	if err := d.Resume(t.Context(), "both"); err != nil {
		t.Fatal(err)
	}
	if s := states()["both"]; s.State != Healthy {
		t.Errorf("resumed, it is %s", s.State)
	}
	if record, err := q.Memo("both"); err != nil || string(record) != "{}" {
		t.Errorf("stored %s, %v", record, err)
	}
}
