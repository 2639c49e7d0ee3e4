package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// sharedQueue is the configuration of a queue in a database that is the test's own.
func sharedQueue(t *testing.T) string {
	return fmt.Sprintf("[queue]\nengine = \"postgres\"\nurl = %q\nagent = \"pod-0\"\nreplication = \"trust\"\n", pgtest.Server(t))
}

// An agent that shares its queue lives in the same 64 MiB.
func TestMemorySoak_ASharedQueue(t *testing.T) {
	if !soak() {
		t.Skip("set INTELLIDOCS_SOAK=1 to run the agent within 64 MiB")
	}
	const each, hang = 10, 3
	healthy := newSink(t, nil)
	more := sharedQueue(t) + webhook("healthy", healthy, "")
	for i := range hang {
		more += webhook(fmt.Sprintf("hangs%d", i), &sink{url: hanging(t)}, "timeout = \"400ms\"\nmax_retries = 0\nbreaker_failures = 0")
	}
	c := confine(t, more+logSource+"[[source]]\ntype = \"spool\"\npath = \"DIR/spool\"\n")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	readers := attackAPI(ctx, t, c.addr)
	for i := range each {
		c.drop("spool", fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"event_type":"large","n":%d,"z":"%s"}`, i, many("ж", 900_000)))
		c.write("log/events.log", sized("large", each+i, 900_000))
	}
	c.until("all to arrive", func() bool { return healthy.distinct() == 2*each })
	arrived := time.Since(c.started)
	cancel()
	readers.Wait()
	c.until("every delivery to be given up", func() bool {
		failed := int64(0)
		for _, w := range c.status().Webhooks {
			failed += w.Counts["failed"]
		}
		return failed == 2*each*hang
	})
	t.Logf("%d of %d arrived after %.1f s, %d of %d given up elsewhere", healthy.distinct(), 2*each, arrived.Seconds(), 2*each*hang, 2*each*hang)
}

// roomForSharing is how much more memory an agent may take that shares its queue.
const roomForSharing = 10 << 20

// An agent takes about as much memory whichever engine keeps its queue.
func TestMemorySoak_BothEngines(t *testing.T) {
	if !inFull() {
		t.Skip("set INTELLIDOCS_SOAK=long to compare what both engines take")
	}
	const events, webhooks, batch = 20_000, 4, 5_000
	peaks := map[string]int64{}
	for _, engine := range []string{"badger", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s := newSink(t, nil)
			more := logSource
			for i := range webhooks {
				more += webhook(fmt.Sprintf("hook%d", i), s, "concurrency = 32")
			}
			if engine == "postgres" {
				more += sharedQueue(t)
			}
			c := confine(t, more)
			c.until("it to run", func() bool { return c.status().Running })
			started := c.resident()
			var peak atomic.Int64
			var watching sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			watching.Go(func() {
				for ctx.Err() == nil {
					peak.Store(max(peak.Load(), c.resident().total()))
					sleepUntil(ctx, 20*time.Millisecond)
				}
			})
			for n := 0; n < events; n += batch {
				lines := make([]string, batch)
				for i := range lines {
					lines[i] = event("small", n+i, `,"pad":"`+strings.Repeat("p", 500)+`"`)
				}
				c.write("log/events.log", lines...)
			}
			c.until("all to arrive", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.requests >= events*webhooks
			})
			filled := time.Since(c.started)
			time.Sleep(12 * time.Second)
			cancel()
			watching.Wait()
			peaks[engine] = peak.Load()
			t.Logf("%d deliveries in %.0f s: started %s, peak %.1f MiB, idle %s", events*webhooks, filled.Seconds(), started, mib(peak.Load()), c.resident())
		})
	}
	if more := peaks["postgres"] - peaks["badger"]; more > roomForSharing {
		t.Errorf("it takes %.1f MiB more with a queue that is shared", mib(more))
	}
}

// resident is what of a process is in memory.
type resident struct{ anon, file int64 }

func (r resident) total() int64 { return r.anon + r.file }

func (r resident) String() string {
	return fmt.Sprintf("%.1f + %.1f MiB of files", mib(r.anon), mib(r.file))
}

func (c *confined) resident() (r resident) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid.Load()))
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "RssAnon:":
			r.anon = kb << 10
		case "RssFile:":
			r.file = kb << 10
		}
	}
	return r
}
