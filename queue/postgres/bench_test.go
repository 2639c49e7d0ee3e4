package postgres

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
	"github.com/dawnsystem/intellidocs-agent/queue/queuetest"
)

var benchWebhooks = []string{"a", "b", "c", "d"}

// engines are both, as a benchmark opens them.
func engines(b *testing.B, f func(b *testing.B, q queuetest.Engine, epoch func(string) int64, url string)) {
	b.Run("badger", func(b *testing.B) {
		q, err := queue.Open(context.Background(), queue.Options{Dir: filepath.Join(b.TempDir(), "state"), DedupWindow: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		defer q.Close()
		f(b, q, func(string) int64 { return 1 }, "")
	})
	b.Run("postgres", func(b *testing.B) {
		url := pgtest.UsualServer(b)
		q, epoch := databaseStore(url).Open(b, queuetest.Options{DedupWindow: time.Hour, Webhooks: benchWebhooks})
		defer q.Close()
		f(b, q, epoch, url)
	})
}

// BenchmarkEnqueue commits 128 events of a kilobyte at a time, for one webhook.
func BenchmarkEnqueue(b *testing.B) {
	engines(b, func(b *testing.B, q queuetest.Engine, _ func(string) int64, _ string) {
		n, gen := 0, int64(0)
		for b.Loop() {
			n, gen = enqueueMany(b, q, n, 128, gen, "a")
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	})
}

func enqueueMany(tb testing.TB, q queuetest.Engine, n, size int, gen int64, webhooks ...string) (int, int64) {
	batch := queue.Batch{Source: "log", Gen: gen, Cursor: fmt.Append(nil, n)}
	for range size {
		e := queuetest.Event(n, webhooks...)
		e.Body = append(fmt.Appendf(nil, `{"n": %d, "x": "`, n), bytes.Repeat([]byte("x"), 1000)...)
		batch.Events = append(batch.Events, e)
		n++
	}
	done, err := q.Commit(context.Background(), batch)
	if err != nil {
		tb.Fatal(err)
	}
	return n, done.Gen
}

// BenchmarkDrain has four webhooks claim, send and finish what waits for them, 64 outcomes at a time
// as the dispatcher gathers them: a few, many, and few while somebody holds a snapshot of the database.
func BenchmarkDrain(b *testing.B) {
	for _, c := range []struct {
		name    string
		waiting int // deliveries
		snap    bool
	}{{"30k", 30_000, false}, {"1M", 1_000_000, false}, {"30k-held-snapshot", 30_000, true}} {
		b.Run(c.name, func(b *testing.B) {
			engines(b, func(b *testing.B, q queuetest.Engine, epoch func(string) int64, url string) {
				n, gen := 0, int64(0)
				for n < c.waiting/len(benchWebhooks) {
					n, gen = enqueueMany(b, q, n, 500, gen, benchWebhooks...)
				}
				if c.snap && url != "" {
					defer holdSnapshot(b, url)()
				}
				const part = 30_000
				b.ResetTimer()
				finished := 0
				for b.Loop() {
					finished += drain(b, q, epoch, part)
					if finished+part > c.waiting {
						b.StopTimer()
						for more := 0; more < part; more += 500 * len(benchWebhooks) {
							n, gen = enqueueMany(b, q, n, 500, gen, benchWebhooks...)
						}
						b.StartTimer()
					}
				}
				b.ReportMetric(float64(finished)/b.Elapsed().Seconds(), "deliveries/s")
			})
		})
	}
}

func holdSnapshot(b *testing.B, url string) (end func()) {
	conn, err := pgx.Connect(context.Background(), url)
	if err == nil {
		_, err = conn.Exec(context.Background(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agent.due")
	}
	if err != nil {
		b.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// finish is a part of a webhook's outcomes on its way to the recorder.
type finish struct {
	outcomes []queue.Outcome
	done     chan error
}

// record makes outcomes durable as the dispatcher does: what comes in while a call of Record is under
// way goes together into the next one.
func record(q queuetest.Engine, in <-chan finish) {
	for first := range in {
		parts, outcomes := []finish{first}, first.outcomes
		for more := true; more && len(outcomes) < maxChanges-64; {
			select {
			case part, ok := <-in:
				if more = ok; ok {
					parts, outcomes = append(parts, part), append(outcomes, part.outcomes...)
				}
			default:
				more = false
			}
		}
		err := q.Record(context.Background(), outcomes...)
		for _, part := range parts {
			part.done <- err
		}
	}
}

// drain finishes about as many deliveries as it is asked for, and returns how many.
func drain(tb testing.TB, q queuetest.Engine, epoch func(string) int64, total int) int {
	var wg, recorder sync.WaitGroup
	var finished atomic.Int64
	in := make(chan finish)
	recorder.Go(func() { record(q, in) })
	for _, webhook := range benchWebhooks {
		wg.Go(func() {
			for n := 0; n < total/len(benchWebhooks); {
				ds, _, err := q.Due(webhook, time.Now().Add(time.Hour), 64, nil)
				if err != nil || len(ds) == 0 {
					if err != nil {
						tb.Error(err)
					}
					return
				}
				part := finish{done: make(chan error, 1)}
				for _, d := range ds {
					if _, err := q.EventOf(d.ID); err != nil {
						tb.Error(err)
					}
					part.outcomes = append(part.outcomes, queue.Outcome{
						DeliveryID: d.ID, Epoch: epoch(webhook), Status: queue.Success, URL: "https://example.com/…",
						Attempt: queue.Attempt{N: 1, At: time.Now(), Took: time.Millisecond, Status: 200, Response: "ok"},
					})
				}
				in <- part
				if err := <-part.done; err != nil {
					tb.Error(err)
					return
				}
				n += len(ds)
				finished.Add(int64(len(ds)))
			}
		})
	}
	wg.Wait()
	close(in)
	recorder.Wait()
	return int(finished.Load())
}
