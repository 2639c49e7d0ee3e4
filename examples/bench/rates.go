package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// row is one line of the table.
type row struct{ what, got, must, aim string }

type table []row

func (t *table) add(what, must, aim, got string, args ...any) {
	*t = append(*t, row{what, fmt.Sprintf(got, args...), must, aim})
}

func (t table) print(w io.Writer) {
	fmt.Fprintf(w, "| %-72s | %-30s | %-13s | %-7s |\n|---|---|---|---|\n", "", "measured", "must", "aim")
	for _, r := range t {
		fmt.Fprintf(w, "| %-72s | %-30s | %-13s | %-7s |\n", r.what, r.got, r.must, r.aim)
	}
}

// say shows progress.
func say(who string, f figures) { fmt.Fprintf(os.Stderr, "%-45s %s\n", who, f) }

// rate compares the agent with the bare client, and with syslog-ng where there is one.
func (b *bench) rate() error {
	for _, atOnce := range []int{8, 32} {
		bare, err := b.bare(false, atOnce)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("bare client, concurrency %d", atOnce), bare)
		agent, err := b.delivers(false, atOnce, 1)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("agent, concurrency %d", atOnce), agent)
		must, aim, cpu, cpuAim := "0.25", "0.35", "1.0", "0.6"
		if atOnce != 8 {
			must, aim, cpu, cpuAim = "", "", "", ""
		}
		b.table.add(fmt.Sprintf("events/s over the bare client's, concurrency %d", atOnce), must, aim, "%.3f (%.0f/%.0f)", agent.rate/bare.rate, agent.rate, bare.rate)
		b.table.add(fmt.Sprintf("CPU s per 10,000 events, concurrency %d (bare client)", atOnce), cpu, cpuAim, "%.2f (%.2f)", agent.cpu, bare.cpu)
		b.table.add(fmt.Sprintf("connections for %d events, concurrency %d", b.events, atOnce), fmt.Sprintf("%d", atOnce), "", "%d", agent.connections)
		b.table.add(fmt.Sprintf("highest RSS meanwhile, MiB, concurrency %d", atOnce), "64", "48", "%.0f", agent.rss)
		syslog, ok, err := b.syslog(atOnce)
		if err != nil {
			return err
		}
		if ok {
			say(fmt.Sprintf("syslog-ng, concurrency %d", atOnce), syslog)
			b.table.add(fmt.Sprintf("  syslog-ng: over the bare client's; CPU s; MiB, concurrency %d", atOnce), "", "", "%.3f; %.2f; %.0f", syslog.rate/bare.rate, syslog.cpu, syslog.rss)
		}
	}
	return nil
}

// tls compares https with http.
func (b *bench) tls() error {
	for _, atOnce := range []int{8, 32} {
		plain, err := b.delivers(false, atOnce, 1)
		if err != nil {
			return err
		}
		secure, err := b.delivers(true, atOnce, 1)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("agent, https, concurrency %d", atOnce), secure)
		must, aim := "0.7", "0.85"
		if atOnce != 8 {
			must, aim = "", ""
		}
		b.table.add(fmt.Sprintf("HTTPS (HTTP/1.1) over HTTP, concurrency %d", atOnce), must, aim, "%.2f (%.0f/%.0f)", secure.rate/plain.rate, secure.rate, plain.rate)
		b.table.add(fmt.Sprintf("HTTPS: connections; CPU s per 10,000, concurrency %d", atOnce), fmt.Sprint(atOnce), "", "%d; %.2f", secure.connections, secure.cpu)
	}
	return nil
}

// fanout compares four webhooks for each event with one.
func (b *bench) fanout() error {
	one, err := b.delivers(false, 8, 1)
	if err != nil {
		return err
	}
	four, err := b.delivers(false, 8, 4)
	if err != nil {
		return err
	}
	say("agent, four webhooks", four)
	b.table.add("4 webhooks for each event: requests/s over one webhook's", "1.5", "2", "%.2f (%.0f/%.0f)", four.rate/one.rate, four.rate, one.rate)
	return nil
}

// latency is from a line being written to its request, at 100 a second.
func (b *bench) latency() error {
	for _, beside := range []string{"", ", beside three sick webhooks"} {
		r := newReceiver(false, true)
		hooks := []hook{{r.URL, "", 8}}
		if beside != "" {
			sick, stop, err := sickHooks()
			if err != nil {
				return err
			}
			defer stop()
			hooks = append(hooks, sick...)
		}
		if err := b.trickle(r, hooks); err != nil {
			return err
		}
		p50, p99 := r.quantiles()
		r.Close()
		b.table.add("from line to request at 100/s, p50 / p99"+beside, "1.1 / 2.3 ms", "0.8 ms", "%.1f / %.1f ms", p50.Seconds()*1e3, p99.Seconds()*1e3)
	}
	return nil
}

func (b *bench) trickle(r *receiver, hooks []hook) error {
	path := filepath.Join(b.dir, "trickle.log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := b.start(path, hooks...)
	if err != nil {
		return err
	}
	const seconds = 10
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 * seconds {
		<-tick.C
		if _, err := log.Write(eventLine(i, 700)); err != nil {
			return err
		}
	}
	_, waitErr := r.wait(b.ctx, 100*seconds)
	if err := p.stop(); err != nil {
		return err
	}
	return waitErr
}

// sickHooks refuse, hang and fail.
func sickHooks() (hooks []hook, stop func(), err error) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	_ = dead.Close()
	hang, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var conns []net.Conn
		for {
			c, err := hang.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	})
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	hooks = []hook{{"http://" + dead.Addr().String(), "", 8}, {"http://" + hang.Addr().String(), "", 8}, {failing.URL, "", 8}}
	return hooks, func() { _ = hang.Close(); accepting.Wait(); failing.Close() }, nil
}

// sick compares ten webhooks beside ninety sick ones, all with the same backlog, with the
// ten alone.
func (b *bench) sick() error {
	rate := func(sickOnes int) (float64, error) {
		r := newReceiver(false, false)
		defer r.Close()
		kinds, stop, err := sickHooks()
		if err != nil {
			return 0, err
		}
		defer stop()
		var hooks []hook
		for i := range 10 {
			hooks = append(hooks, hook{fmt.Sprintf("%s/%d", r.URL, i), "", 8})
		}
		for i := range sickOnes {
			hooks = append(hooks, kinds[i%len(kinds)])
		}
		return b.backlog(r, 10, hooks)
	}
	alone, err := rate(0)
	if err != nil {
		return err
	}
	beside, err := rate(90)
	if err != nil {
		return err
	}
	b.table.add("100 webhooks, 90 sick, 10,000 waiting for each: rate of the ten over alone", "0.9", "1", "%.2f (%.0f/%.0f)", beside/alone, beside, alone)
	return nil
}

// many compares 200 webhooks with four.
func (b *bench) many() error {
	var rates [2]float64
	for i, n := range []int{4, 200} {
		r := newReceiver(false, false)
		var hooks []hook
		for k := range n {
			hooks = append(hooks, hook{fmt.Sprintf("%s/%d", r.URL, k), "", 8})
		}
		rate, err := b.backlog(r, int64(n), hooks)
		r.Close()
		if err != nil {
			return err
		}
		rates[i] = rate
	}
	b.table.add("200 webhooks x 10,000 events: requests/s over 4 webhooks'", "0.8", "1", "%.2f (%.0f/%.0f)", rates[1]/rates[0], rates[1], rates[0])
	return nil
}

// backlog delivers 10,000 events to hooks, of which the first well ones are waited for.
func (b *bench) backlog(r *receiver, well int64, hooks []hook) (float64, error) {
	const events = 10_000
	path := filepath.Join(b.dir, "backlog.log")
	if err := writeLog(path, events); err != nil {
		return 0, err
	}
	p, err := b.start(path, hooks...)
	if err != nil {
		return 0, err
	}
	rate, waitErr := r.wait(b.ctx, well*events)
	peak := p.memory("VmHWM")
	if err := p.Process.Kill(); err == nil {
		_ = p.Wait() // the sick ones would take the whole grace period
	}
	fmt.Fprintf(os.Stderr, "%-45s %.0f/s, %.0f MiB\n", fmt.Sprintf("agent, %d webhooks", len(hooks)), rate, peak)
	_ = os.RemoveAll(p.dir)
	return rate, waitErr
}
