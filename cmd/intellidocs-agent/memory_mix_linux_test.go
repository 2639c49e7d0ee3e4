package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

// TestMemorySoak_AHealthyWebhookBesideEverythingAtOnce has producers, receivers and readers do
// their worst at the same time, in the same 64 MiB, and looks at a webhook that has nothing to
// do with them. What it takes is compared with another agent, the control, that has the same
// webhook and nothing else, at the same time on the same disk and processors, in 64 MiB of its own.
func TestMemorySoak_AHealthyWebhookBesideEverythingAtOnce(t *testing.T) {
	if !soak() {
		t.Skip("set INTELLIDOCS_SOAK=1 to run the agent within 64 MiB")
	}
	lasting := 45 * time.Second
	if inFull() {
		lasting = 5 * time.Minute
	}
	control := newPinged(t, "the control", "")
	besieged := newPinged(t, "beside all of it", logSource+"[[source]]\ntype = \"spool\"\npath = \"DIR/spool\"\n"+hostileWebhooks(t))
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { control.ping(ctx) })
	all.Go(func() { besieged.ping(ctx) })
	all.Go(func() { besieged.besiege(ctx) })
	all.Wait()
	for _, p := range []*pinged{control, besieged} {
		p.until("the healthy webhook's events", func() bool { return p.healthy.distinct() == p.pings })
		p.report()
	}
	alone, beside := control.healthy.quantile(0.99), besieged.healthy.quantile(0.99)
	t.Logf("within %s p99 beside all of it was %.1f times of the control's", lasting, float64(beside)/float64(alone))
	// The receivers and readers share the processors with both: the ratio is a figure for people.
	// Within this limit an agent is busy, beyond it somebody is starved.
	if beside > max(2*alone, starved) {
		t.Errorf("the healthy webhook's p99 is %s, and %s beside all of it", alone, beside)
	}
}

// starved is how long a small event must not take on any machine.
const starved = 10 * time.Second

// pinged is an agent with a healthy webhook that has a steady stream of small events from a log
// of its own.
type pinged struct {
	*confined
	name    string
	healthy *sink
	pings   int
	wrote   time.Duration // the longest that writing a line took
}

func newPinged(t *testing.T, name, more string) *pinged {
	healthy := newSink(t, nil)
	p := &pinged{name: name, healthy: healthy}
	p.confined = confine(t, "[[source]]\npath = \"DIR/log/healthy.log\"\n"+webhook("healthy", healthy, "events = [\"ping\"]")+more)
	p.until("it to run", func() bool { return p.status().Running })
	return p
}

func (p *pinged) ping(ctx context.Context) {
	for ; ctx.Err() == nil; p.pings++ {
		begun := time.Now()
		p.write("log/healthy.log", stamped("ping", p.pings))
		p.wrote = max(p.wrote, time.Since(begun))
		sleepUntil(ctx, 50*time.Millisecond)
	}
}

// report logs how long the events took, and of the slowest hundredth where.
func (p *pinged) report() {
	p.t.Helper()
	took := p.healthy.sorted()
	ms := func(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }
	p.t.Logf("%s: %d of %d events, p50 %s, p99 %s, slowest %s; the slowest write to the log took %s", p.name, len(took), p.pings,
		ms(p.healthy.quantile(0.5)), ms(p.healthy.quantile(0.99)), ms(took[len(took)-1].took()), ms(p.wrote))
	slowest := took[len(took)*99/100:]
	var sum stages
	for _, a := range slowest {
		sum.add(p.stages(a))
	}
	n := time.Duration(len(slowest))
	p.t.Logf("%s: its slowest %d were read after %s, queued after %s more, claimed after %s more, there after %s more (mean)", p.name, n,
		ms(sum.read/n), ms(sum.queued/n), ms(sum.claimed/n), ms(sum.sent/n))
}

// stages are how long an event took from one to the next: from the log to where it is parsed, to its
// place in a transaction, to the request's beginning after the commit, and to the receiver.
type stages struct{ read, queued, claimed, sent time.Duration }

func (s *stages) add(o stages) {
	s.read, s.queued, s.claimed, s.sent = s.read+o.read, s.queued+o.queued, s.claimed+o.claimed, s.sent+o.sent
}

// stages asks the agent for what it remembers of a delivery.
func (p *pinged) stages(a arrival) stages {
	p.t.Helper()
	client, err := admin.Dial(p.t.Context(), p.path("state"))
	if err != nil {
		p.t.Fatal(err)
	}
	found, err := client.Delivery(p.t.Context(), a.delivery)
	if err != nil || len(found.Deliveries) != 1 || len(found.Deliveries[0].History) == 0 {
		p.t.Fatalf("delivery %s: %+v %v", a.delivery, found, err)
	}
	read, d := found.Event.ReadAt, found.Deliveries[0]
	first := d.History[0].At
	return stages{read.Sub(a.written), d.CreatedAt.Sub(read), first.Sub(d.CreatedAt), a.at.Sub(first)}
}

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
