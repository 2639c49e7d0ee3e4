// Command bench measures the agent as a whole, with public means only: the built agent, a
// bare Go client and, where it is installed, Debian's syslog-ng deliver the same events to
// the same receiver, one after another in one run. Ratios within a run can be compared
// between machines; absolute figures cannot.
//
//	go run ./examples/bench            # half an hour (make bench)
//	go run ./examples/bench -short     # half a minute: does it work?
//	go run ./examples/bench -events 10000 -only rate,latency
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type bench struct {
	ctx    context.Context
	dir    string
	agent  string // the built binary
	before string // an earlier one, to compare with what no ratio tells; empty: none
	events int
	log    string // a log of that many events
	atOnce []int  // the concurrencies to measure
	// seconds is how long to write events at a steady rate, and half of how long to watch an idle agent.
	seconds int
	// postgres is a database for the agents' queues, emptied before each run; empty: they keep it themselves.
	postgres string
	table    table
}

func main() {
	events := flag.Int("events", 50_000, "events to deliver in each run")
	only := flag.String("only", "rate,tls,fanout,latency,sick,many,idle,queue", "what to measure")
	short := flag.Bool("short", false, "few events and only what takes seconds, to see that it works")
	result := flag.String("o", "", "a file to write the table to as well")
	agent := flag.String("agent", "", "an agent that is already built; else ./cmd/intellidocs-agent is built")
	before := flag.String("before", "", "an earlier agent, already built: latency and idleness must not be worse than its, in place of another machine's")
	postgres := flag.String("postgres", "", "the URL of a database to keep the queue in; its schema agent is dropped before each run")
	post := flag.String("post", "", "used by the program itself: be the bare client")
	atOnce := flag.Int("concurrency", 8, "with -post: requests at once")
	ca := flag.String("ca", "", "with -post: certificates to trust")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *post != "" {
		err = postAll(ctx, *post, *ca, *events, *atOnce)
	} else {
		b := &bench{ctx: ctx, agent: *agent, before: *before, events: *events, atOnce: []int{8, 32}, seconds: 10, postgres: *postgres}
		parts := strings.Split(*only, ",")
		if *short {
			b.events, b.atOnce, b.seconds, parts = min(*events, 2000), []int{8}, 2, []string{"rate", "tls", "fanout", "latency", "idle"}
		}
		err = b.measure(parts, *result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure prints a table of the parts, and writes it to a file, where one is named.
func (b *bench) measure(only []string, result string) (err error) {
	if b.dir, err = os.MkdirTemp("", "intellidocs-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.agent == "" {
		if err := b.build(); err != nil {
			return err
		}
	}
	b.log = filepath.Join(b.dir, "events.log")
	if err := writeLog(b.log, anEvent, b.events); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"rate", b.rate},
		{"tls", b.tls},
		{"fanout", b.fanout},
		{"latency", b.latency},
		{"sick", b.sick},
		{"many", b.many},
		{"idle", b.idle},
		{"queue", b.queue},
	} {
		if !slices.Contains(only, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# The last run of make bench\n\n%s, %s, %d CPUs, %s, %d events of 700 bytes a run. Compare ratios, not figures: machines differ.\n\n",
		time.Now().UTC().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), runtime.Version(), b.events)
	b.table.print(&text)
	fmt.Print("\n", text.String())
	if result == "" {
		return nil
	}
	return os.WriteFile(result, []byte(text.String()), 0o644)
}

// earlier is the benchmark of the earlier agent.
func (b *bench) earlier() *bench {
	e := *b
	e.agent = b.before
	return &e
}

func (b *bench) build() error {
	b.agent = filepath.Join(b.dir, "intellidocs-agent")
	build := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.agent, "./cmd/intellidocs-agent")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the agent (run this from the top of the repository, or name a built one with -agent): %w", err)
	}
	return nil
}

// anEvent is the type of most events.
const anEvent = "scan_completed"

// writeLog adds n events to a log as IntelliDocs would, one a line, 700 bytes each.
func writeLog(path, eventType string, n int) error {
	var text strings.Builder
	for i := range n {
		text.Write(eventLine(eventType, i, 700))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text.String())
	return errors.Join(err, f.Close())
}

func eventLine(eventType string, n, size int) []byte {
	head := fmt.Sprintf(`{"event_type":"%s","source":"bench","timestamp":"%s","document":{"id":%d,"title":"`, eventType, time.Now().UTC().Format(time.RFC3339Nano), n)
	return append([]byte(head+strings.Repeat("x", max(0, size-len(head)-4))), "\"}}\n"...)
}

func cpuModel() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
