package queue

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// bigEvent is one with a payload of about a kilobyte.
func bigEvent(n int, webhooks ...string) NewEvent {
	e := event(n, webhooks...)
	e.Type = []string{"scan_completed", "deletion_request_created", "suggestion_auto_applied"}[n%3]
	e.Body = append(fmt.Appendf(nil, `{"n": %d, "x": "`, n), bytes.Repeat([]byte("x"), 1000)...)
	return e
}

// rawSync appends to a file and syncs it: what a durable write costs at the least here.
func rawSync(b *testing.B, size, times int) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, size)
	began := time.Now()
	for range times {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began) / time.Duration(times)
}

// BenchmarkCommit returns events a second and the ratio to the same bytes appended to a file and synced.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 16, 128, 512} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q := open(b, Options{DedupWindow: time.Hour})
			n := 0
			for b.Loop() {
				batch := Batch{Source: "log", Cursor: []byte("x")}
				for range size {
					batch.Events = append(batch.Events, bigEvent(n, "a"))
					n++
				}
				commit(b, q, batch)
			}
			took := b.Elapsed() / time.Duration(b.N)
			raw := rawSync(b, 1200*size, min(b.N, 300))
			b.ReportMetric(float64(size)/took.Seconds(), "events/s")
			b.ReportMetric(float64(raw)/float64(took), "of-raw")
		})
	}
}

// BenchmarkDrain fills a queue and has four webhooks with 16 workers each take and finish
// everything; it reports deliveries a second over the first and the last tenth.
func BenchmarkDrain(b *testing.B) {
	for _, total := range []int{40_000, 400_000} {
		b.Run(fmt.Sprint(total), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				q := open(b, Options{})
				webhooks := []string{"a", "b", "c", "d"}
				fill(b, q, total, func(n int) []string { return webhooks[n%4 : n%4+1] })
				b.StartTimer()
				began := time.Now()
				slowest := drain(b, q, webhooks, 16)
				b.ReportMetric(float64(total)/time.Since(began).Seconds(), "deliveries/s")
				b.ReportMetric(slowest.Seconds()*1000, "slowest-due-ms")
			}
		})
	}
}

func fill(tb testing.TB, q *Queue, total int, route func(n int) []string) {
	for n := 0; n < total; {
		batch := Batch{Source: "log", Cursor: fmt.Append(nil, n)}
		for ; len(batch.Events) < 512 && n < total; n++ {
			batch.Events = append(batch.Events, bigEvent(n, route(n)...))
		}
		commit(tb, q, batch)
	}
}

// drain finishes everything and says how long the slowest Due took.
func drain(tb testing.TB, q *Queue, webhooks []string, claim int) (slowest time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, webhook := range webhooks {
		wg.Go(func() {
			for {
				began := time.Now()
				ds, _, err := q.Due(webhook, time.Now().Add(time.Hour), claim, nil)
				took := time.Since(began)
				mu.Lock()
				slowest = max(slowest, took)
				mu.Unlock()
				if err != nil {
					tb.Error(err)
					return
				}
				if len(ds) == 0 {
					return
				}
				var each sync.WaitGroup
				for _, d := range ds {
					each.Go(func() {
						if _, err := q.EventOf(d.ID); err != nil {
							tb.Error(err)
						}
						if err := q.Record(context.Background(), Outcome{DeliveryID: d.ID, Status: Success, URL: "https://example.com/…", Attempt: Attempt{N: 1, At: time.Now(), Took: time.Millisecond, Status: 200, Response: "ok"}}); err != nil {
							tb.Error(err)
						}
					})
				}
				each.Wait()
			}
		})
	}
	wg.Wait()
	return slowest
}

// BenchmarkList returns how long a page takes over a history of finished deliveries.
func BenchmarkList(b *testing.B) {
	const total = 1_000_000
	q := open(b, Options{})
	webhooks := []string{"a", "b", "c", "d"}
	history(b, q, total, webhooks)
	for name, f := range map[string]Filter{
		"all": {}, "success": {Status: []Status{Success}}, "failed": {Status: []Status{Failed}}, "pending": {Status: []Status{Pending}},
		"webhook": {Webhook: "c"}, "type": {EventType: "scan_completed"}, "since": {Since: time.Now().Add(-time.Hour)},
		"failed-webhook-type": {Webhook: "d", Status: []Status{Failed}, EventType: "scan_completed"},
		"until":               {Until: q.mustOldest(b).Add(time.Second)}, "search-none": {Search: "there is no such text"}, "search": {Search: `"n": 999`},
	} {
		b.Run(name, func(b *testing.B) {
			f.Limit = 50
			var slowest time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := q.List(b.Context(), f); err != nil {
					b.Fatal(err)
				}
				slowest = max(slowest, time.Since(began))
			}
			b.ReportMetric(slowest.Seconds()*1000, "slowest-ms")
		})
	}
}

// history queues events and finishes them, every hundredth as failed.
func history(tb testing.TB, q *Queue, total int, webhooks []string) {
	for n := 0; n < total; {
		began := n
		batch := Batch{}
		for ; len(batch.Events) < 512 && n < total; n++ {
			batch.Events = append(batch.Events, bigEvent(n, webhooks[n%len(webhooks)]))
		}
		commit(tb, q, batch)
		var out []Outcome
		for _, webhook := range webhooks {
			ds, _, err := q.Due(webhook, time.Now().Add(time.Hour), 1000, nil)
			if err != nil {
				tb.Fatal(err)
			}
			for _, d := range ds {
				o := Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: time.Now(), Status: 200}}
				if (began+len(out))%100 == 0 {
					o.Status, o.Attempt.Error = Failed, "the endpoint answered 500"
				}
				out = append(out, o)
			}
		}
		record(tb, q, out...)
	}
}

func (q *Queue) mustOldest(tb testing.TB) time.Time {
	events, err := q.Recent(tb.Context(), 1)
	if err != nil || len(events) == 0 {
		tb.Fatal(err)
	}
	ds, err := q.DeliveriesOf(events[0].ID)
	if err != nil {
		tb.Fatal(err)
	}
	return ds[0].CreatedAt
}
