package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// say shows progress.
func say(who string, f figures) { fmt.Fprintf(os.Stderr, "%-45s %s\n", who, f) }

// rate compares the agent with the bare client, and with syslog-ng where there is one.
func (b *bench) rate() error {
	for _, atOnce := range b.atOnce {
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
		at := fmt.Sprintf(", concurrency %d", atOnce)
		ratio := agent.rate / bare.rate
		b.table.add("events/s over the bare client's"+at, atLeast(ratio, 0.25, 0.35), "%.3f (%.0f/%.0f)", ratio, agent.rate, bare.rate)
		b.table.add("CPU s per 10,000 events (bare client)"+at, atMost(agent.cpu, 1, 0.6), "%.2f (%.2f)", agent.cpu, bare.cpu)
		b.table.add("connections (one is for a test that a person sends)"+at, atMost(float64(agent.connections), float64(atOnce+1), 0), "%d", agent.connections)
		b.table.add("highest RSS meanwhile, MiB"+at, atMost(agent.rss, 64, 48), "%.0f", agent.rss)
		if err := b.besideSyslog(false, atOnce, bare); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) besideSyslog(secure bool, atOnce int, bare figures) error {
	f, ok, err := b.syslog(secure, atOnce)
	if err != nil || !ok {
		return err
	}
	what := fmt.Sprintf("syslog-ng, https %t, concurrency %d", secure, atOnce)
	say(what, f)
	b.table.add("  "+what+": over the bare client's; CPU s; MiB", goal{}, "%.3f; %.2f; %.0f", f.rate/bare.rate, f.cpu, f.rss)
	return nil
}

// tls compares https with http.
func (b *bench) tls() error {
	for _, atOnce := range b.atOnce {
		bare, err := b.bare(true, atOnce)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("bare client, https, concurrency %d", atOnce), bare)
		plain, err := b.delivers(false, atOnce, 1)
		if err != nil {
			return err
		}
		secure, err := b.delivers(true, atOnce, 1)
		if err != nil {
			return err
		}
		say(fmt.Sprintf("agent, https, concurrency %d", atOnce), secure)
		at := fmt.Sprintf(", concurrency %d", atOnce)
		ratio := secure.rate / plain.rate
		b.table.add("HTTPS (HTTP/1.1) over HTTP"+at, atLeast(ratio, 0.7, 0.85), "%.2f (%.0f/%.0f)", ratio, secure.rate, plain.rate)
		b.table.add("HTTPS: events/s over the bare client's"+at, goal{}, "%.3f (%.0f/%.0f)", secure.rate/bare.rate, secure.rate, bare.rate)
		b.table.add("HTTPS: CPU s per 10,000 events (bare client)"+at, goal{}, "%.2f (%.2f)", secure.cpu, bare.cpu)
		b.table.add("HTTPS: connections"+at, atMost(float64(secure.connections), float64(atOnce+1), 0), "%d", secure.connections)
		if err := b.besideSyslog(true, atOnce, bare); err != nil {
			return err
		}
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
	ratio := four.rate / one.rate
	b.table.add("4 webhooks for each event: requests/s over one webhook's", atLeast(ratio, 1.5, 2), "%.2f (%.0f/%.0f)", ratio, four.rate, one.rate)
	return nil
}

// latency is from a line being written to its request, at 100 a second.
func (b *bench) latency() error {
	for _, beside := range []string{"", ", beside three sick webhooks"} {
		p50, p99, err := b.latencies(beside != "")
		if err != nil {
			return err
		}
		must50, must99, aim50 := 1.1, 2.3, 0.8
		if b.before != "" {
			if must50, must99, err = b.earlier().latencies(beside != ""); err != nil {
				return err
			}
			aim50 = 0
		}
		b.table.add("from line to request at 100/s, p50 in ms"+beside, atMost(p50, must50, aim50), "%.1f", p50)
		b.table.add("from line to request at 100/s, p99 in ms"+beside, atMost(p99, must99, 0), "%.1f", p99)
	}
	return nil
}

// latencies are the median and the 99th percentile in ms.
func (b *bench) latencies(besideSick bool) (p50, p99 float64, err error) {
	r := newReceiver(false, true)
	defer r.Close()
	hooks := []hook{{url: r.URL, atOnce: 8}}
	if besideSick {
		sick, stop, err := sickHooks()
		if err != nil {
			return 0, 0, err
		}
		defer stop()
		hooks = append(hooks, sick...)
	}
	if err := b.trickle(r, hooks); err != nil {
		return 0, 0, err
	}
	half, most := r.quantiles()
	return tenths(half), tenths(most), nil
}

// tenths are milliseconds, of which one digit behind the point can be told from noise.
func tenths(d time.Duration) float64 { return math.Round(d.Seconds()*1e4) / 10 }

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
	seconds := b.seconds
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 * seconds {
		<-tick.C
		if _, err := log.Write(eventLine(anEvent, i, 700)); err != nil {
			return err
		}
	}
	_, waitErr := r.wait(b.ctx, int64(100*seconds))
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
	hooks = []hook{{url: "http://" + dead.Addr().String(), atOnce: 8}, {url: "http://" + hang.Addr().String(), atOnce: 8}, {url: failing.URL, atOnce: 8}}
	return hooks, func() { _ = hang.Close(); accepting.Wait(); failing.Close() }, nil
}

// sick compares ten webhooks beside ninety sick ones, for each of which 10,000 deliveries wait, with
// the ten alone.
func (b *bench) sick() error {
	rate := func(sickOnes int) (float64, error) {
		r, read := newReceiver(false, false), newReceiver(false, false)
		defer r.Close()
		defer read.Close()
		kinds, stop, err := sickHooks()
		if err != nil {
			return 0, err
		}
		defer stop()
		hooks := []hook{{url: read.URL, atOnce: 1, events: "all_is_read"}}
		for i := range 10 {
			hooks = append(hooks, hook{url: fmt.Sprintf("%s/%d", r.URL, i), atOnce: 8, events: anEvent})
		}
		for i := range sickOnes {
			h := kinds[i%len(kinds)]
			h.events = "for_the_sick"
			hooks = append(hooks, h)
		}
		return b.backlog(r, 10, hooks, func(log string) error {
			if err := errors.Join(writeLog(log, "for_the_sick", backlogEvents), writeLog(log, "all_is_read", 1)); err != nil {
				return err
			}
			_, err := read.wait(b.ctx, 1)
			return err
		})
	}
	alone, err := rate(0)
	if err != nil {
		return err
	}
	beside, err := rate(90)
	if err != nil {
		return err
	}
	b.table.add("10 webhooks beside 90 sick ones, each with 10,000 waiting: rate of the ten over alone", atLeast(beside/alone, 0.9, 1), "%.2f (%.0f/%.0f)", beside/alone, beside, alone)
	return nil
}

// many compares 200 webhooks with four.
func (b *bench) many() error {
	var rates [2]float64
	for i, n := range []int{4, 200} {
		r := newReceiver(false, false)
		var hooks []hook
		for k := range n {
			hooks = append(hooks, hook{url: fmt.Sprintf("%s/%d", r.URL, k), atOnce: 8})
		}
		rate, err := b.backlog(r, int64(n), hooks, func(string) error { return nil })
		r.Close()
		if err != nil {
			return err
		}
		rates[i] = rate
	}
	b.table.add("200 webhooks x 10,000 events: requests/s over 4 webhooks'", atLeast(rates[1]/rates[0], 0.8, 1), "%.2f (%.0f/%.0f)", rates[1]/rates[0], rates[1], rates[0])
	return nil
}

const backlogEvents = 10_000

// backlog delivers 10,000 events to hooks, of which well ones are waited for. prepare writes to
// the log before them.
func (b *bench) backlog(r *receiver, well int64, hooks []hook, prepare func(log string) error) (float64, error) {
	path := filepath.Join(b.dir, "backlog.log")
	_ = os.Remove(path)
	p, err := b.start(path, hooks...)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(prepare(path), writeLog(path, anEvent, backlogEvents)); err != nil {
		return 0, err
	}
	rate, waitErr := r.wait(b.ctx, well*backlogEvents)
	peak := p.memory("VmHWM")
	if err := p.Process.Kill(); err == nil {
		_ = p.Wait() // the sick ones would take the whole grace period
	}
	fmt.Fprintf(os.Stderr, "%-45s %.0f/s, %.0f MiB\n", fmt.Sprintf("agent, %d webhooks", len(hooks)), rate, peak)
	_ = os.RemoveAll(p.dir)
	return rate, waitErr
}
