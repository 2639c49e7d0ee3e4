package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// receiver answers every request with 200 and counts.
type receiver struct {
	*httptest.Server
	requests, connections atomic.Int64
	first, last           atomic.Int64 // Unix nanoseconds
	timed                 bool         // note how old each event is

	mu   sync.Mutex
	ages []time.Duration
}

func newReceiver(secure, timed bool) *receiver {
	r := &receiver{timed: timed}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.connections.Add(1)
		}
	}
	if secure {
		r.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
		r.StartTLS()
	} else {
		r.Start()
	}
	return r
}

func (r *receiver) serve(_ http.ResponseWriter, req *http.Request) {
	now := time.Now()
	if !r.timed {
		_, _ = io.Copy(io.Discard, req.Body)
	} else {
		var event struct{ Timestamp time.Time }
		if json.NewDecoder(req.Body).Decode(&event) == nil {
			r.mu.Lock()
			r.ages = append(r.ages, now.Sub(event.Timestamp))
			r.mu.Unlock()
		}
	}
	r.first.CompareAndSwap(0, now.UnixNano())
	r.last.Store(time.Now().UnixNano())
	r.requests.Add(1)
}

// wait returns once n requests have come, and how many came a second.
func (r *receiver) wait(ctx context.Context, n int64) (float64, error) {
	for r.requests.Load() < n {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return float64(n) / time.Duration(r.last.Load()-r.first.Load()).Seconds(), nil
}

// caFile has the certificate to trust.
func (r *receiver) caFile(dir string) (string, error) {
	if r.Certificate() == nil {
		return "", nil
	}
	path := filepath.Join(dir, "ca.pem")
	return path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600)
}

// quantiles are the median and the 99th percentile of the events' ages.
func (r *receiver) quantiles() (p50, p99 time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.ages)
	if n := len(r.ages); n > 0 {
		return r.ages[n/2], r.ages[n*99/100]
	}
	return 0, 0
}
