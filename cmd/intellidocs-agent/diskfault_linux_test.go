//go:build amd64 || arm64

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/fault"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

func init() {
	programs["intellidocs-agent-faulty"] = func() {
		if err := fault.Install(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		smallAgent()
	}
	programs["intellidocs-agent-small"] = smallAgent
}

// smallAgent is the agent with small files, so that every kind of step is met within a second.
func smallAgent() {
	os.Exit(execute(queue.Sizes{Memtable: 512 << 10, ValueLog: 1 << 20}))
}

// pollEvery is how often something is looked at that tells nobody when it changes.
const pollEvery = 50 * time.Millisecond

// lasting is for how long a fault that lasts does.
func lasting() time.Duration {
	if soak() {
		return 10 * time.Second
	}
	return 3 * time.Second
}

// diskFault is a cell of the table: what fails, where, and for how long.
type diskFault struct {
	what, place string
	lasts       bool
	// source is what the source's table has; a log by default.
	source string
	// prepare makes the directory that the state is in; nil: one in memory.
	prepare func(f *faulty) (dir string)
	// begin begins the fault, and end has it end.
	begin, end func(f *faulty)
	rule       *fault.Rule    // in place of those
	signal     syscall.Signal // that the agent gets when the fault begins; 0: none
	silent     bool           // people need not be told by an event
}

func (d *diskFault) String() string { return d.what + "/" + d.place + "/" + d.how() }

func (d *diskFault) how() string {
	if d.lasts {
		return "lasting"
	}
	return "once"
}

// faulty is the agent under a supervisor, with a writer, a receiver and a disk that fails.
type faulty struct {
	*rig
	state    string
	program  string
	people   *recorder // of the agent's own events
	injector *fault.Injector

	mu       sync.Mutex
	running  *exec.Cmd
	stopping bool
	ends     []string // what the agent said last, each time it ended
	done     chan struct{}
	held     sync.Mutex // while it must not be started

	writing sync.Mutex
	written int
	quit    chan struct{}
	put     func(n int) // writes event n to the source
}

func newFaulty(t *testing.T, d *diskFault) *faulty {
	f := &faulty{rig: newRig(t, ""), program: "intellidocs-agent-small", done: make(chan struct{}), quit: make(chan struct{})}
	f.put = func(n int) { f.append(bigEventLine(n)) }
	switch d.source {
	case spoolSource:
		f.log = filepath.Join(inMemory(t), "spool")
		if err := os.Mkdir(f.log, 0o755); err != nil {
			t.Fatal(err)
		}
		f.put = f.spoolWriter
	case `type = "log"`:
		f.put = f.logWriter
	}
	if d.rule != nil {
		f.injector, f.program = &fault.Injector{Rule: *d.rule}, "intellidocs-agent-faulty"
	}
	if d.prepare != nil {
		f.state = d.prepare(f)
	} else {
		f.state = filepath.Join(inMemory(t), "state")
	}
	var url string
	f.people, url = newRecorder(t, receiver.Options{})
	f.configure(fmt.Sprintf("concurrency = 16\nevents = [\"fault\"]\n[[webhook]]\nname = \"people\"\nurl = %q\nsecret = %q\nevents = [\"agent.*\"]", url, testSecret))
	b, err := os.ReadFile(f.toml)
	if err != nil {
		t.Fatal(err)
	}
	text := "[log]\nlevel = \"warn\"\n" + strings.Replace(string(b), fmt.Sprintf("path = %q", filepath.Join(f.dir, "state")), fmt.Sprintf("path = %q\nmax_size = \"4MiB\"\nretention = \"1m\"\ndedup_window = \"0s\"", f.state), 1)
	if d.source != "" {
		text = strings.Replace(text, `type = "log"`, d.source, 1)
	}
	if err := os.WriteFile(f.toml, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.halt)
	return f
}

// inMemory is a directory on a file system that is fast, and whose failures are made.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "intellidocs-agent")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func bigEventLine(n int) string {
	return oursAt + bigEventText(n)
}

func bigEventText(n int) string {
	return fmt.Sprintf(`{"event_type":"fault","n":%d,"timestamp":"2025-11-14T15:00:00Z","pad":%q}`, n, strings.Repeat("x", 900))
}

func (f *faulty) write(n int) (last int) {
	f.writing.Lock()
	defer f.writing.Unlock()
	for range n {
		f.put(f.written)
		f.written++
	}
	return f.written - 1
}

// keepWriting writes on until quit is closed.
func (f *faulty) keepWriting() {
	for {
		select {
		case <-f.quit:
			return
		case <-time.After(40 * time.Millisecond):
			f.write(6)
		}
	}
}

func (f *faulty) delivered(n int) bool {
	f.recv.mu.Lock()
	defer f.recv.mu.Unlock()
	return f.recv.ids[canonical(n)] != nil
}

// canonical is an event's body as it is sent.
func canonical(n int) string {
	return fmt.Sprintf(`{"event_type": "fault", "n": %d, "pad": %q, "source": "intellidocs-ai", "timestamp": "2025-11-14T15:00:00Z"}`, n, strings.Repeat("x", 900))
}

// client calls the agent that runs.
func (f *faulty) client() (*admin.Client, error) {
	return admin.Dial(context.Background(), f.state)
}

// play plays a cell and returns its row of the table.
func (d *diskFault) play(t *testing.T) string {
	f := newFaulty(t, d)
	go f.supervise()
	f.write(150)
	f.until("the first events", time.Minute, func() bool { return f.recv.distinct() >= 100 })
	var stopWriting sync.WaitGroup
	stopWriting.Go(f.keepWriting)
	stop := sync.OnceFunc(func() { close(f.quit); stopWriting.Wait() })
	defer stop()

	if d.rule != nil {
		var last time.Duration
		if d.lasts {
			last = lasting()
		}
		f.injector.Arm(last)
	} else {
		d.begin(f)
	}
	if d.signal != 0 {
		f.signal(d.signal)
	}
	f.outlast(d)
	over := time.Now()
	mark := f.write(1)
	f.until("an event that was written once the disk worked again; "+f.said(), 2*time.Minute, func() bool { return f.delivered(mark) })
	recovery := time.Since(over)
	stop()
	f.settled()
	if d.source == spoolSource {
		f.emptied()
	}
	f.told(d)
	f.stop()
	f.opens()
	delivered, twice := f.count()
	if lost := f.written - delivered; lost != 0 || twice != 0 {
		t.Errorf("%d of %d are lost, %d came under two ids", lost, f.written, twice)
	}
	for _, end := range f.ends {
		t.Log(end)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", d.what, d.place, d.how(), f.written, delivered, f.written-delivered, twice, len(f.ends)-1, recovery.Round(100*time.Millisecond))
}

// outlast waits until the fault was met and is over.
func (f *faulty) outlast(d *diskFault) {
	f.t.Helper()
	if d.rule == nil {
		if d.lasts {
			time.Sleep(lasting()) // it is what is asked for
		}
		if d.end != nil {
			d.end(f)
		}
		return
	}
	f.until("the fault to be met", 2*time.Minute, func() bool { n, _ := f.injector.Hits(); return n > 0 })
	f.until("the fault to be over", time.Minute, func() bool { _, over := f.injector.Hits(); return over })
}

// said is how the agent ended so far.
func (f *faulty) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("it has ended %d times: %s", len(f.ends), strings.Join(f.ends[max(0, len(f.ends)-3):], "; "))
}

// settled waits until all has arrived and nothing is left, or nothing more comes.
func (f *faulty) settled() {
	f.t.Helper()
	last, since := 0, time.Now()
	for time.Since(since) < 30*time.Second {
		if got := f.recv.distinct(); got > last {
			last, since = got, time.Now()
		}
		if last >= f.written {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.until("no delivery to be left", time.Minute, func() bool {
		client, err := f.client()
		if err != nil {
			return false
		}
		st, err := client.Status(context.Background())
		if err != nil {
			return false
		}
		return !slices.ContainsFunc(st.Webhooks, func(w admin.WebhookStatus) bool {
			return w.Counts.Waiting() > 0
		})
	})
}

// told waits for people to be told, where the disk had the agent end.
func (f *faulty) told(d *diskFault) {
	f.t.Helper()
	f.mu.Lock()
	ends := slices.Clone(f.ends)
	f.mu.Unlock()
	failed := false
	for _, end := range ends {
		switch {
		case strings.Contains(end, queue.ErrDisk.Error()), strings.Contains(end, "SIGBUS"), strings.Contains(end, "fault address"):
			failed = true // of a page that cannot be had the runtime speaks first
		case strings.Contains(end, queue.ErrFull.Error()), strings.Contains(end, "signal: killed"), strings.HasPrefix(end, "exit status 0"):
		default:
			f.t.Errorf("it ended without a cause: %s", end)
		}
	}
	if !failed || d.silent {
		return
	}
	f.until("people to be told that the disk had failed", time.Minute, func() bool {
		f.people.mu.Lock()
		defer f.people.mu.Unlock()
		for body := range f.people.ids {
			if strings.Contains(body, "agent.disk_failed") {
				return true
			}
		}
		return false
	})
}

// opens fails unless the state opens, and can be looked into.
func (f *faulty) opens() {
	f.t.Helper()
	if out, err := f.run("deliveries", "--limit", "5"); err != nil {
		f.t.Errorf("what is left does not open: %v\n%s", err, out)
	}
}

// count is how many events arrived, and how many of them under two ids.
func (f *faulty) count() (delivered, twice int) {
	f.recv.mu.Lock()
	defer f.recv.mu.Unlock()
	ids := map[int]map[string]bool{}
	for body, under := range f.recv.ids {
		var e struct{ N int }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			f.t.Errorf("nobody wrote %s: %v", body, err)
			continue
		}
		if ids[e.N] == nil {
			ids[e.N] = map[string]bool{}
		}
		for id := range under {
			ids[e.N][id] = true
		}
	}
	for _, under := range ids {
		if len(under) > 1 {
			twice++
		}
	}
	return len(ids), twice
}

// TestDiskFaults_NothingIsLostAndItContinuesByItself prints the table.
func TestDiskFaults_NothingIsLostAndItContinuesByItself(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it has system calls fail, and mounts disks that do")
	}
	// $INTELLIDOCS_FAULT has those whose name contains it, or all.
	all := diskFaults(soak(), os.Getenv("INTELLIDOCS_FAULT"))
	rows := make([]string, len(all))
	places := make(chan struct{}, 16) // most of a cell is waiting
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(strings.ReplaceAll(d.String(), " ", "_"), func(t *testing.T) { rows[i] = d.play(t) })
		})
	}
	wg.Wait()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "fault\tplace\t\twritten\tdelivered\tlost\ttwo ids\trestarts\trecovered in\t\n")
	fmt.Fprint(w, strings.Join(slices.DeleteFunc(rows, func(r string) bool { return r == "" }), ""))
	_ = w.Flush()
	t.Logf("lasting is %s\n%s", lasting(), table.String())
}
