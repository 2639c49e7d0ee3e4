package queue

import (
	"encoding/json"
	"testing"
)

// What versions before wrote: one object, by the dispatcher as a whole.
const formerRecord = `{"paused":{"reason":"maintenance","since":"2026-01-02T03:04:05Z"},"held":{"since":"2026-01-02T03:00:00Z","failures":20}}`

func TestWebhookState_WhatVersionsBeforeWroteMeansTheSame(t *testing.T) {
	q := open(t, Options{})
	ctx := t.Context()
	if err := q.SetMemo(ctx, "a", []byte(formerRecord)); err != nil {
		t.Fatal(err)
	}
	pause, state := kept(t, q, "a")
	if pause != `{"reason":"maintenance","since":"2026-01-02T03:04:05Z"}` || state != `{"held":{"since":"2026-01-02T03:00:00Z","failures":20}}` {
		t.Fatalf("pause %s, state %s", pause, state)
	}
	// Each is changed without the other, and a version before would read both.
	if err := q.SetState(ctx, "a", 1, []byte(`{"throttled":{}}`)); err != nil {
		t.Fatal(err)
	}
	if again, state := kept(t, q, "a"); again != pause || state != `{"throttled":{}}` {
		t.Fatalf("pause %s, state %s after a change of the state", again, state)
	}
	if err := q.SetPause(ctx, "a", []byte(`{"reason":"again"}`)); err != nil {
		t.Fatal(err)
	}
	record, err := q.Memo("a")
	var former struct{ Paused, Held, Throttled map[string]any }
	if err != nil || json.Unmarshal(record, &former) != nil || former.Paused["reason"] != "again" || former.Throttled == nil || former.Held != nil {
		t.Fatalf("a version before would read %s, %v", record, err)
	}
	if err := q.SetPause(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	if pause, state := kept(t, q, "a"); pause != "" || state != `{"throttled":{}}` {
		t.Fatalf("pause %s, state %s once resumed", pause, state)
	}
}

func TestWebhookState_ThatCannotBeReadIsTheDispatchersToComplainAbout(t *testing.T) {
	q := open(t, Options{})
	ctx := t.Context()
	if err := q.SetMemo(ctx, "a", []byte(`{"held`)); err != nil {
		t.Fatal(err)
	}
	if pause, state := kept(t, q, "a"); pause != "" || state != `{"held` {
		t.Fatalf("pause %s, state %s", pause, state)
	}
	if err := q.SetPause(ctx, "a", []byte(`{"reason":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if pause, state := kept(t, q, "a"); pause != `{"reason":"x"}` || state != "" {
		t.Fatalf("pause %s, state %s", pause, state)
	}
}

func kept(t *testing.T, q *Queue, webhook string) (pause, state string) {
	t.Helper()
	p, err := q.Pause(webhook)
	if err != nil {
		t.Fatal(err)
	}
	s, err := q.State(webhook)
	if err != nil {
		t.Fatal(err)
	}
	return string(p), string(s)
}
