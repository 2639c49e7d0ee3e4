package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
	"github.com/dawnsystem/intellidocs-agent/queue/queuetest"
)

// BenchmarkCommitToRequest commits a hundred events a second, and gives how long after its commit each
// one's request was at the receiver: by the agent that read it, and by another one that serves its webhook.
func BenchmarkCommitToRequest(b *testing.B) {
	for _, by := range []string{"the-agent-itself", "another-agent"} {
		b.Run(by, func(b *testing.B) {
			var mu sync.Mutex
			arrived := map[string]time.Time{}
			recv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				arrived[req.Header.Get("Webhook-Id")] = time.Now()
			}))
			defer recv.Close()
			url := pgtest.UsualServer(b)
			ctx, stop := context.WithCancel(context.Background())
			var running sync.WaitGroup
			defer running.Wait()
			defer stop()
			var reads *postgres.Queue
			if by == "the-agent-itself" {
				reads = serving(ctx, b, &running, fleetAgent{"reads", url, recv.URL}, "free")
			} else {
				reads = serving(ctx, b, &running, fleetAgent{"reads", url, recv.URL})
				serving(ctx, b, &running, fleetAgent{"serves", url, recv.URL}, "free")
			}
			committed := map[string]time.Time{}
			gen := int64(0)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			one := func(n int) {
				e := queuetest.Event(n, "free")
				done, err := reads.Commit(ctx, queue.Batch{Source: "log", Gen: gen, Cursor: fmt.Append(nil, n), Events: []queue.NewEvent{e}})
				if err != nil {
					b.Fatal(err)
				}
				gen, committed[e.ID] = done.Gen, time.Now()
			}
			have := func(n int) {
				for mu.Lock(); len(arrived) < n; mu.Lock() {
					mu.Unlock()
					<-tick.C
				}
				mu.Unlock()
			}
			one(0)
			have(1) // the webhook is somebody's
			clear(committed)
			n := 1
			for b.Loop() {
				<-tick.C
				one(n)
				n++
			}
			have(n)
			var took []time.Duration
			for id, at := range committed {
				took = append(took, arrived[id].Sub(at))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// serving is an agent of the benchmark that runs until ctx ends.
func serving(ctx context.Context, b *testing.B, running *sync.WaitGroup, a fleetAgent, webhooks ...string) *postgres.Queue {
	q, d, err := a.open(ctx, slog.New(slog.DiscardHandler), webhooks...)
	if err != nil {
		b.Fatal(err)
	}
	running.Go(func() {
		defer q.Close()
		_ = d.Run(ctx)
	})
	return q
}
