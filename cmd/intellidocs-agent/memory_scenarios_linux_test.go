package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMemorySoak_NothingEndsTheAgent holds the built agent to contract §8: in a memory cgroup of
// 64 MiB nothing that a producer writes, a receiver answers or a reader of the API asks ends
// it. It is a step of its own (make memory): it needs root, and the machine to itself.
func TestMemorySoak_NothingEndsTheAgent(t *testing.T) {
	if !soak() {
		t.Skip("set INTELLIDOCS_SOAK=1 to run the agent within 64 MiB")
	}
	for _, s := range []struct {
		name string
		play func(*testing.T)
	}{
		{"SmallTextThatDecodesHuge", playDecodeBombs},
		{"BodiesInFlightToReceiversThatHang", playHangingReceivers},
		{"RejectedRecordsPastTheirShare", playRejectedRecords},
		{"ReadersOfTheAPI", playReaders},
		{"500Webhooks", playManyWebhooks},
		{"LargeEvents", playLargeEvents},
		{"SpoolFiles", playManySpoolFiles},
		{"RotatedFiles", playManyRotatedFiles},
		{"50Logs", playManyLogs},
		{"6SpoolsOfLargeEventsThatAreNotASCII", playLargeSpools},
	} {
		t.Run(s.name, s.play)
	}
}

// event is an event as a line; more is added to its members.
func event(eventType string, n int, more string) string {
	return fmt.Sprintf(`%s{"event_type":"%s","n":%d%s}`, oursAt, eventType, n, more)
}

// stamped is a small event that says when it was written.
func stamped(eventType string, n int) string {
	return event(eventType, n, fmt.Sprintf(`,"written":%d`, time.Now().UnixNano()))
}

// sized is an event of so many bytes.
func sized(eventType string, n, bytes int) string {
	return event(eventType, n, `,"z":"`+strings.Repeat("x", bytes)+`"`)
}

// many is text that repeats a part up to a size.
func many(part string, size int) string { return strings.Repeat(part, size/len(part)) }

// bombs are events of almost a mebibyte that become much more.
func bombs(eventType string) []string {
	const size = 1<<20 - 300
	values := []string{
		`[` + many(`{"":0},`, size) + `0]`,
		`[` + many(`1,`, size) + `1]`,
		`[` + many(`{},`, size) + `0]`,
		`[` + many(`[],`, size) + `0]`,
		`[` + many(`"",`, size) + `0]`,
		`[` + many(`2.2250738585072011e-308,`, size) + `0]`,
		`[` + many(`9,`, 100) + many(`9`, size-200) + `]`,
		strings.Repeat(`[`, 890) + strings.Repeat(`]`, 890),
		strings.Repeat(`{"a":`, 890) + `0` + strings.Repeat(`}`, 890),
		`"` + many(`é`, size) + `"`,
		`"` + many(`\u0000`, size) + `"`,
	}
	var keys strings.Builder
	keys.WriteString(`{"x":0`)
	for i := 0; keys.Len() < size-20; i++ {
		fmt.Fprintf(&keys, `,"%x":0`, i)
	}
	values = append(values, keys.String()+`}`)
	for i, v := range values {
		values[i] = event(eventType, i, `,"document":{"title":"x"},"z":`+v)
	}
	return values
}

const logSource = `
[[source]]
path = "DIR/log/events.log"
`

func webhook(name string, s *sink, more string) string {
	return fmt.Sprintf("[[webhook]]\nname = %q\nurl = %q\n%s\n", name, s.url, more)
}

func playDecodeBombs(t *testing.T) {
	plain, filtered, templated := newSink(t, nil), newSink(t, nil), newSink(t, nil)
	c := confine(t, logSource+webhook("plain", plain, "")+
		webhook("filtered", filtered, `filter = 'document.title == "x" or any(z, # == 1)'`)+
		webhook("filtered2", filtered, `filter = 'len(z) > 0 and document.title == "x"'`)+
		webhook("templated", templated, "format = \"template\"\ntemplate = '{\"n\": {{ json .n }}, \"z\": {{ json .z }}}'\nmax_retries = 0"))
	lines := append(bombs("scan_completed"), bombs("other")...)
	c.write("log/events.log", lines...)
	for i := range 100 {
		c.write("log/events.log", event("scan_completed", 1000+i, `,"document":{"title":"x"},"z":[1]`))
	}
	c.until("every event at the webhook that looks into none", func() bool { return plain.distinct() == len(lines)+100 })
	c.until("every delivery to end", func() bool {
		n := c.counts("templated")
		return n["success"]+n["failed"] == int64(len(lines)+100) && n["success"] >= 100
	})
	c.until("the filters' webhook", func() bool { return filtered.distinct() == len(lines)+100 })
	t.Logf("%d bombs: %d events at plain, %d at filtered, templated %v", len(lines), plain.distinct(), filtered.distinct(), c.counts("templated"))
}

// hanging takes requests and never answers.
func hanging(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}

func playHangingReceivers(t *testing.T) {
	healthy := newSink(t, nil)
	hooks := webhook("healthy", healthy, "")
	for i := range 10 {
		hooks += webhook(fmt.Sprintf("hangs%d", i), &sink{url: hanging(t)}, "timeout = \"400ms\"\nmax_retries = 0\nbreaker_failures = 0")
	}
	c := confine(t, logSource+hooks)
	for i := range 16 {
		c.write("log/events.log", sized("large", i, 900_000))
	}
	c.until("the healthy webhook", func() bool { return healthy.distinct() == 16 })
	after := time.Since(c.started)
	c.until("every delivery to be given up", func() bool {
		failed := int64(0)
		for _, w := range c.status().Webhooks {
			failed += w.Counts["failed"]
		}
		return failed == 160
	})
	t.Logf("16 of 16 at the healthy webhook after %.1f s, 160 of 160 counted as failed elsewhere", after.Seconds())
}

func playRejectedRecords(t *testing.T) {
	healthy, down := newSink(t, nil), newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	c := confine(t, "[state]\npath = \"DIR/state\"\nmax_size = \"64MiB\"\n"+logSource+webhook("healthy", healthy, "")+webhook("down", down, "retry_delay = \"1h\""))
	broken := oursAt + `{"event_type":"scan_completed","z":"` + strings.Repeat("x", 64<<10)
	for i := range 3000 {
		c.write("log/events.log", fmt.Sprintf("%s%d", broken, i))
		if i%300 == 0 {
			c.write("log/events.log", event("small", i, ""))
		}
	}
	c.until("the events among them", func() bool { return healthy.distinct() == 10 })
	c.until("the log's end", func() bool { return c.read(0) == 3010 })
	st := c.status()
	t.Logf("3,000 broken records of 64 KiB: 10 of 10 events delivered, %d rejected, the queue has %.1f of 64 MiB", st.Sources[0].Rejected, mib(st.Queue.Bytes))
	if st.Sources[0].Rejected != 3000 {
		t.Errorf("%d records rejected", st.Sources[0].Rejected)
	}
}

func playReaders(t *testing.T) {
	healthy := newSink(t, nil)
	hooks := webhook("healthy", healthy, "events = [\"small\"]") + webhook("large", newSink(t, nil), "events = [\"t*\"]")
	for i := range 98 {
		hooks += webhook(fmt.Sprintf("idle%d", i), healthy, "events = [\"none\"]")
	}
	c := confine(t, logSource+hooks)
	for i := range 40 {
		c.write("log/events.log", oursAt+fmt.Sprintf(`{"event_type":"%s%d"}`, strings.Repeat("t", 900_000), i))
	}
	broken := oursAt + `{"event_type":"scan_completed","z":"` + strings.Repeat("\x01", 64<<10)
	for range 600 {
		c.write("log/events.log", broken)
	}
	c.until("everything to be read", func() bool { return c.read(0) == 640 })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	readers := attackAPI(ctx, t, c.addr)
	begun := time.Now()
	asked := 0
	for i := 0; time.Since(begun) < 20*time.Second; i++ {
		if err := c.healthy(); err != nil {
			t.Errorf("a probe: %v", err)
		}
		c.write("log/events.log", stamped("small", i))
		asked++
		time.Sleep(100 * time.Millisecond)
	}
	c.until("the events written meanwhile", func() bool {
		healthy.mu.Lock()
		defer healthy.mu.Unlock()
		return len(healthy.took) == asked
	})
	cancel()
	readers.Wait()
	t.Logf("%d of %d events delivered meanwhile, p99 %s", len(healthy.took), asked, healthy.quantile(0.99).Round(time.Millisecond))
}

// attackAPI asks for all that is large, at once and over and over, until ctx ends.
func attackAPI(ctx context.Context, t *testing.T, addr string) *sync.WaitGroup {
	var all sync.WaitGroup
	get := func(path string, slow time.Duration) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			sleepUntil(ctx, 100*time.Millisecond)
			return
		}
		defer resp.Body.Close()
		buf := make([]byte, 4<<10)
		for ctx.Err() == nil {
			if _, err := resp.Body.Read(buf); err != nil {
				return
			}
			if slow > 0 {
				sleepUntil(ctx, slow)
			}
		}
	}
	loop := func(n int, one func()) {
		for range n {
			all.Go(func() {
				for ctx.Err() == nil {
					one()
					sleepUntil(ctx, 100*time.Millisecond)
				}
			})
		}
	}
	loop(4, func() { get("/api/v1/rejected?limit=500&text=whole", 0) })
	loop(4, func() { get("/api/v1/deliveries?limit=50", 0) })
	loop(2, func() { get("/api/v1/deliveries?limit=1000", 10*time.Millisecond) })
	loop(2, func() { get("/api/v1/status", 0) })
	loop(2, func() { get("/metrics", 0) })
	loop(100, func() { get("/api/v1/stream", 0) })
	loop(28, func() { get("/api/v1/stream", time.Second) }) // reads slower than is written
	loop(8, func() { slowPost(ctx, addr) })
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
	}
	return &all
}

// slowPost sends a body a byte at a time.
func slowPost(ctx context.Context, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		sleepUntil(ctx, time.Second)
		return
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /api/v1/replay HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n", addr)
	for err == nil && ctx.Err() == nil {
		_, err = io.WriteString(conn, " ")
		sleepUntil(ctx, 200*time.Millisecond)
	}
}

func sleepUntil(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func playManyWebhooks(t *testing.T) {
	s := newSink(t, nil)
	counts := make([]*sink, 500)
	hooks := ""
	for i := range counts {
		counts[i] = s
		hooks += webhook(fmt.Sprintf("hook%d", i), s, "")
	}
	c := confine(t, logSource+hooks)
	for i := range 3 {
		c.write("log/events.log", event("small", i, ""))
	}
	c.until("1,500 deliveries", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests >= 1500
	})
	t.Logf("1,500 deliveries after %.1f s", time.Since(c.started).Seconds())
}

func playLargeEvents(t *testing.T) {
	n := some(500, 2000)
	s := newSink(t, nil)
	c := confine(t, logSource+webhook("main", s, ""))
	for i := range n {
		c.write("log/events.log", sized("large", i, 500_000))
	}
	c.until("all to arrive", func() bool { return s.distinct() == n })
	t.Logf("%d of %d after %.1f s", s.distinct(), n, time.Since(c.started).Seconds())
}

func playManySpoolFiles(t *testing.T) {
	const every = 100
	n := some(20_000, 200_000)
	wanted := n / every
	s := newSink(t, nil)
	c := confine(t, "[[source]]\ntype = \"spool\"\npath = \"DIR/spool\"\n"+webhook("main", s, "events = [\"wanted\"]"))
	if err := os.MkdirAll(c.path("new"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		eventType := "other"
		if i%every == 0 {
			eventType = "wanted"
		}
		name := fmt.Sprintf("%07d.json", i)
		if err := os.WriteFile(filepath.Join(c.dir, "new", name), fmt.Appendf(nil, `{"event_type":"%s","n":%d}`, eventType, i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(c.path("new"), c.path("spool")); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c.until("the wanted events", func() bool { return s.distinct() >= wanted })
	c.until("every file to go away", func() bool {
		left, err := os.ReadDir(c.path("spool"))
		return err == nil && len(left) < 10
	})
	t.Logf("%d of %d files read in %.1f s, %d wanted events delivered", c.read(0), n, time.Since(begun).Seconds(), s.distinct())
}

func playManyRotatedFiles(t *testing.T) {
	n := some(400, 2000)
	s := newSink(t, nil)
	c := confine(t, webhook("main", s, "")+"[[source]]\npath = \"DIR/log/events.log\"\n")
	if err := os.MkdirAll(c.path("log.new"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.write(fmt.Sprintf("log.new/events.log.%d", n-i), event("small", i, ""))
	}
	c.write("log.new/events.log", event("small", n, ""))
	if err := os.Rename(c.path("log.new"), c.path("log")); err != nil {
		t.Fatal(err)
	}
	c.until("all to arrive", func() bool { return s.distinct() == n+1 })
	t.Logf("%d of %d after %.1f s", s.distinct(), n+1, time.Since(c.started).Seconds())
}

func playManyLogs(t *testing.T) {
	const sources, each = 50, 400 // 20,000 events
	s := newSink(t, nil)
	more := webhook("main", s, "concurrency = 32")
	for i := range sources {
		more += fmt.Sprintf("[[source]]\npath = \"DIR/logs/%d.log\"\n", i)
	}
	c := confine(t, more)
	for i := range sources {
		lines := make([]string, each)
		for j := range lines {
			lines[j] = event("small", i*each+j, `,"pad":"`+strings.Repeat("p", 200)+`"`)
		}
		c.write(fmt.Sprintf("logs/%d.log", i), lines...)
	}
	c.until("all to arrive", func() bool { return s.distinct() == sources*each })
	t.Logf("%d of %d after %.1f s", s.distinct(), sources*each, time.Since(c.started).Seconds())
}

func playLargeSpools(t *testing.T) {
	const sources, each = 6, 20
	s := newSink(t, nil)
	more := webhook("main", s, "")
	for i := range sources {
		more += fmt.Sprintf("[[source]]\ntype = \"spool\"\npath = \"DIR/spool%d\"\n", i)
	}
	c := confine(t, more)
	for i := range sources {
		for j := range each {
			c.drop(fmt.Sprintf("spool%d", i), fmt.Sprintf("%d.json", j), fmt.Sprintf(`{"event_type":"large","n":%d,"z":"%s"}`, i*each+j, many("ж", 900_000)))
		}
	}
	c.until("all to arrive", func() bool { return s.distinct() == sources*each })
	t.Logf("%d of %d after %.1f s", s.distinct(), sources*each, time.Since(c.started).Seconds())
}

// drop moves a finished file into a spool.
func (c *confined) drop(spool, name, text string) {
	c.t.Helper()
	dir := c.path(spool)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	moveIn(c.t, dir, name, text)
}
