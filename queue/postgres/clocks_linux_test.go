package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// TestPromise_ClocksAnHourApart: what is due, and who serves a webhook, does not depend on an agent's clock.
func TestPromise_ClocksAnHourApart(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			url := pgtest.ServerAt(t, ahead)
			if off := stored[float64](t, url, "SELECT extract(epoch FROM clock_timestamp())::float8") - float64(time.Now().Unix()); off/ahead.Seconds() < 0.9 {
				t.Fatalf("the database's clock is ahead by %.0f s", off)
			}
			q := openAt(t, postgres.Options{URL: url, Lease: 3 * time.Second, DedupWindow: 30 * time.Minute})
			for want := range 2 { // read again, it is known
				done, err := q.Commit(t.Context(), queue.Batch{Source: "s", Events: []queue.NewEvent{numbered(1, "a")}})
				if err != nil || done.Duplicates != want {
					t.Fatalf("%+v, %v", done, err)
				}
			}
			served(t, q, url)
		})
	}
}

// retried has a delivery due when it is said to be, by the agent's clock, however it is asked for, and
// still then when it was held.
func retried(t *testing.T, q *postgres.Queue, epoch int64) {
	t.Helper()
	due := func(at time.Time) ([]queue.Delivery, time.Time) {
		t.Helper()
		out, next, err := q.Due("a", at, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out, next
	}
	same := func(again time.Time) queue.Delivery {
		t.Helper()
		head, ok, err := q.Head("a")
		if err != nil || !ok || head.NextAttemptAt.Sub(again).Abs() > time.Minute/2 {
			t.Errorf("the head is due in %s, not in %s; %v, %v", time.Until(head.NextAttemptAt), time.Until(again), ok, err)
		}
		got, err := q.Get(head.ID)
		if err != nil || got.NextAttemptAt.Sub(again).Abs() > time.Minute/2 {
			t.Errorf("it is due in %s, not in %s; %v", time.Until(got.NextAttemptAt), time.Until(again), err)
		}
		if oldest := q.OldestDue("a"); oldest.Sub(again).Abs() > time.Minute/2 {
			t.Errorf("the oldest is due in %s, not in %s", time.Until(oldest), time.Until(again))
		}
		return head
	}
	same(time.Now())
	first, _ := due(time.Now())
	if len(first) != 1 {
		t.Fatalf("%d are due of one that was just read", len(first))
	}
	again := time.Now().Add(10 * time.Minute)
	err := q.Record(t.Context(), queue.Outcome{DeliveryID: first[0].ID, Epoch: epoch, Status: queue.Retrying, Due: again, Attempt: queue.Attempt{N: 1, At: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if early, next := due(again.Add(-time.Minute)); len(early) != 0 || next.Sub(again).Abs() > time.Minute/2 {
		t.Errorf("%d are due too early; the next is in %s", len(early), time.Until(next))
	}
	same(again)
	late, _ := due(again.Add(time.Minute))
	if len(late) != 1 {
		t.Fatalf("%d are due afterwards", len(late))
	}
	held := queue.Outcome{DeliveryID: first[0].ID, Epoch: epoch, Status: queue.Retrying, Free: true, Due: late[0].NextAttemptAt, Attempt: queue.Attempt{N: 2, At: time.Now()}}
	if err := q.Record(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	same(again)
}

// served has the agent serve its webhook, and another one take it over when it ends without a word.
func served(t *testing.T, q *postgres.Queue, url string) {
	t.Helper()
	own := func(q *postgres.Queue) (held chan queue.Holding, end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		held = make(chan queue.Holding, 1)
		done := make(chan error, 1)
		go func() {
			done <- q.Own(ctx, queue.Server{
				Webhooks: func() []queue.Served { return []queue.Served{{Webhook: "a", Timeout: time.Second}} },
				Hold: func(all []queue.Holding) {
					for _, h := range all {
						select {
						case held <- h:
						default:
						}
					}
				},
				Busy:   func(string) bool { return false },
				Status: func() queue.AgentStatus { return queue.AgentStatus{} },
			})
		}()
		return held, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	held, end := own(q)
	defer end()
	h := <-held
	if left := time.Until(h.Until); left > 3*time.Second || left < -time.Minute {
		t.Errorf("it is served for another %s", left)
	}
	retried(t, q, h.Epoch)
	q.Close() // as if it were gone: it lets nothing go
	held, end = own(openAt(t, postgres.Options{URL: url, Agent: "agent-1", Lease: 3 * time.Second}))
	defer end()
	if next := <-held; next.Epoch <= h.Epoch {
		t.Errorf("served again under epoch %d, after %d", next.Epoch, h.Epoch)
	}
}
