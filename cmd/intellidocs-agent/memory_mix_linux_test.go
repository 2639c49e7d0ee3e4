package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// How long the mixed run takes, and how long the healthy webhook is looked at alone before it.
func mixTimes() (alone, together time.Duration) {
	if inFull() {
		return time.Minute, 5 * time.Minute
	}
	return 10 * time.Second, 40 * time.Second
}

// TestMemorySoak_AHealthyWebhookBesideEverythingAtOnce has producers, receivers and readers do
// their worst at the same time, in the same 64 MiB, and looks at a webhook that has nothing to
// do with them.
func TestMemorySoak_AHealthyWebhookBesideEverythingAtOnce(t *testing.T) {
	if !soak() {
		t.Skip("set INTELLIDOCS_SOAK=1 to run the agent within 64 MiB")
	}
	alone, together := mixTimes()
	healthy := newSink(t, nil)
	c := confine(t, "[[source]]\npath = \"DIR/log/healthy.log\"\n"+logSource+"[[source]]\ntype = \"spool\"\npath = \"DIR/spool\"\n"+
		webhook("healthy", healthy, "events = [\"ping\"]")+hostileWebhooks(t))
	c.until("it to run", func() bool { return c.status().Running })
	pings := 0
	ping := func(ctx context.Context) {
		for ctx.Err() == nil {
			c.write("log/healthy.log", stamped("ping", pings))
			pings++
			sleepUntil(ctx, 50*time.Millisecond)
		}
	}
	during := func(d time.Duration, beside func(ctx context.Context)) (p50, p99 time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if beside != nil {
			go beside(ctx)
		}
		ping(ctx)
		c.until("the healthy webhook's events", func() bool { return healthy.distinct() == pings })
		p50, p99 = healthy.quantile(0.5), healthy.quantile(0.99)
		healthy.mu.Lock()
		healthy.took = nil
		healthy.mu.Unlock()
		return p50, p99
	}
	p50, p99 := during(alone, nil)
	t.Logf("alone: %d events, p50 %s, p99 %s", pings, p50.Round(time.Millisecond), p99.Round(time.Millisecond))
	before := pings
	p50b, p99b := during(together, c.besiege)
	t.Logf("beside all of it, %s: %d of %d events, p50 %s, p99 %s, %.1f times", together, healthy.distinct()-before, pings-before,
		p50b.Round(time.Millisecond), p99b.Round(time.Millisecond), float64(p99b)/float64(p99))
	// Everything here, the receivers and readers too, shares the machine's cores and its disk:
	// within this limit it is busy, beyond it somebody is starved.
	if p99b > max(2*p99, starved) {
		t.Errorf("the healthy webhook's p99 was %s alone and is %s beside all of it", p99, p99b)
	}
}

// starved is how long a small event must not take on any machine.
const starved = 10 * time.Second

// hostileWebhooks answer in every way but the right one.
func hostileWebhooks(t *testing.T) string {
	const few = "timeout = 2\nmax_retries = 1\nretry_delay = 1\nevents = [\"hostile*\", \"scan_completed\"]\n"
	hooks := ""
	for i := range 10 {
		hooks += webhook(fmt.Sprintf("hangs%d", i), &sink{url: hanging(t)}, few)
	}
	drips := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			sleepUntil(r.Context(), 100*time.Millisecond)
		}
	})
	endless := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for text := strings.Repeat("\U0001F4A9", 10_000); ; {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	})
	resets := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}))
	t.Cleanup(resets.Close)
	busy := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	return hooks + webhook("drips", drips, few) + webhook("endless", endless, few) + webhook("resets", &sink{url: resets.URL}, few) + webhook("busy", busy, few) +
		webhook("filtered", drips, few+"filter = 'any(z, # == 1) or len(split(string(z), \"\")) > 0'") +
		webhook("templated", newSink(t, nil), few+"format = \"template\"\ntemplate = '{{ json . }}'") +
		webhook("card", newSink(t, nil), few+"format = \"slack\"")
}

// besiege writes, and asks for, all that is hostile until ctx ends.
func (c *confined) besiege(ctx context.Context) {
	readers := attackAPI(ctx, c.t, c.addr)
	defer readers.Wait()
	worst := append(bombs("scan_completed"), bombs("hostile")...)
	for i := 0; ctx.Err() == nil; i++ {
		c.write("log/events.log", worst[i%len(worst)], sized("hostile", i, 900_000),
			oursAt+fmt.Sprintf(`{"event_type":"%s%d"}`, strings.Repeat("hostile", 120_000), i),
			oursAt+`{"event_type":"hostile","z":"`+strings.Repeat("\x01", 64<<10))
		for range 1000 {
			c.write("log/events.log", "2025-11-14T15:00:00.1Z stderr P "+strings.Repeat("p", 4000))
		}
		c.drop("spool", fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"event_type":"hostile","n":%d,"z":"%s"}`, i, many("ж", 900_000)))
		sleepUntil(ctx, 2*time.Second)
	}
}
