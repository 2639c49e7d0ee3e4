package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/internal/race"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// An ordered webhook's failed deliveries are replayed as one, the oldest first: none
// overtakes, neither among them nor of those that come in meanwhile, with a head that
// fails, and a restart within.
func TestReplay_OfAnOrderedWebhookKeepsTheOrder(t *testing.T) {
	failed, fresh := race.Rounds(3000, 600), 40
	for _, byID := range []bool{false, true} {
		t.Run(fmt.Sprintf("by ID %v", byID), func(t *testing.T) {
			var mu sync.Mutex
			var d *Dispatcher
			q, err := queue.Open(context.Background(), queue.Options{Dir: t.TempDir(), Notify: func(names []string) {
				mu.Lock()
				defer mu.Unlock()
				if d != nil {
					d.Notify(names)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			ids := failAll(t, q, failed)

			var sent []string
			half := make(chan bool, 1)
			h := hook("a", senderFunc(func(_ context.Context, m send.Message) send.Result {
				mu.Lock()
				defer mu.Unlock()
				if len(sent) == failed/2 {
					select {
					case half <- true:
					default:
					}
				}
				if m.DeliveryID == ids[7] && m.Attempt < 3 {
					r := notFound
					r.At = time.Now()
					return r
				}
				sent = append(sent, m.DeliveryID)
				return send.Result{Class: send.Delivered, Status: 200, At: time.Now()}
			}))
			h.Ordered, h.RetryDelay = true, 20*time.Millisecond
			start := func() (stop func()) {
				next := New(Options{Store: q})
				if err := next.Apply([]Webhook{h}); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				d = next
				mu.Unlock()
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- next.Run(ctx) }()
				return func() { cancel(); <-done }
			}
			stop := start()
			replayed := make(chan error, 1)
			go func() {
				var err error
				if byID {
					shuffled := slices.Clone(ids)
					slices.Reverse(shuffled[:failed/3])
					_, err = q.Replay(t.Context(), "cli", shuffled)
				} else {
					_, err = q.ReplayMatching(t.Context(), "cli", queue.Filter{Status: []queue.Status{queue.Failed}}, func(int, int) {})
				}
				replayed <- err
			}()
			for i := range fresh {
				commitEvent(t, q, failed+i)
			}
			if err := <-replayed; err != nil {
				t.Fatal(err)
			}
			<-half
			stop()
			stop = start()
			defer func() { stop() }()
			eventually(t, "all are delivered", func() bool { mu.Lock(); defer mu.Unlock(); return len(sent) >= failed+fresh })
			mu.Lock()
			defer mu.Unlock()
			begin := slices.Index(sent, ids[0])
			if begin < 0 || !slices.IsSorted(sent[begin:]) || !slices.IsSorted(sent[:begin]) {
				t.Errorf("%d were sent before the oldest of the replayed; in order after: %v", begin, slices.IsSorted(sent[max(begin, 0):]))
			}
			for _, id := range sent[:max(begin, 0)] {
				if slices.Contains(ids, id) {
					t.Errorf("%s was sent before the oldest", id)
				}
			}
		})
	}
}

func commitEvent(t *testing.T, q *queue.Queue, n int) {
	t.Helper()
	id := fmt.Sprintf("%032x", n)
	if _, err := q.Commit(t.Context(), queue.Batch{Source: "log", Events: []queue.NewEvent{{
		Event: queue.Event{ID: "evt_" + id, Type: "x", Source: "log", ReadAt: time.Now(), TraceID: id, Body: []byte("{}")}, Webhooks: []string{"a"},
	}}}); err != nil {
		t.Fatal(err)
	}
}

// failAll queues n events for the webhook a, all of whose deliveries have failed, and
// returns their IDs, the oldest first.
func failAll(t *testing.T, q *queue.Queue, n int) []string {
	t.Helper()
	batch := queue.Batch{Source: "log"}
	for i := range n {
		id := fmt.Sprintf("%032x", i)
		batch.Events = append(batch.Events, queue.NewEvent{
			Event: queue.Event{ID: "evt_" + id, Type: "x", Source: "log", ReadAt: time.Now(), TraceID: id, Body: []byte("{}")}, Webhooks: []string{"a"},
		})
	}
	if _, err := q.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for {
		due, _, err := q.Due("a", time.Now(), 200, func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			slices.Sort(ids)
			return ids
		}
		var outcomes []queue.Outcome
		for _, d := range due {
			ids = append(ids, d.ID)
			outcomes = append(outcomes, queue.Outcome{DeliveryID: d.ID, Status: queue.Failed, Attempt: queue.Attempt{N: 1, At: time.Now(), Outcome: outcomeRetry}})
		}
		if err := q.Record(t.Context(), outcomes...); err != nil {
			t.Fatal(err)
		}
	}
}
