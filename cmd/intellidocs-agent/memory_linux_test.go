package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

// memoryLimit is the hard limit that the agent is promised to live in.
const memoryLimit = 64 << 20

// some is how many of what is to be done fit into a run of all tests.
func some(few, all int) int {
	if inFull() {
		return all
	}
	return few
}

// cgroup is a memory cgroup with that limit, of version 1 or 2.
type cgroup struct {
	dir string
	v2  bool
}

// newCgroup makes one. It needs root, and a memory controller that is mounted or can be.
func newCgroup(t *testing.T) *cgroup {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a memory cgroup (INTELLIDOCS_SOAK)")
	}
	root, v2 := memoryController(t)
	g := &cgroup{dir: filepath.Join(root, fmt.Sprintf("intellidocs-agent-%d-%d", os.Getpid(), time.Now().UnixNano())), v2: v2}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(g.dir); err != nil {
			t.Errorf("the cgroup is left: %v", err)
		}
	})
	limit := strconv.Itoa(memoryLimit)
	if v2 {
		g.write(t, "memory.max", limit)
		g.write(t, "memory.swap.max", "0")
		return g
	}
	g.write(t, "memory.limit_in_bytes", limit)
	g.write(t, "memory.memsw.limit_in_bytes", limit)
	return g
}

// memoryController is where cgroups with a memory limit are made.
func memoryController(t *testing.T) (root string, v2 bool) {
	t.Helper()
	for _, v1 := range []string{"/sys/fs/cgroup/memory", filepath.Join(t.TempDir(), "memory")} {
		if _, err := os.Stat(filepath.Join(v1, "memory.limit_in_bytes")); err == nil {
			return v1, false
		}
	}
	for _, unified := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		control := filepath.Join(unified, "cgroup.subtree_control")
		if _, err := os.Stat(control); err != nil {
			continue
		}
		_ = os.WriteFile(control, []byte("+memory"), 0)
		if data, _ := os.ReadFile(control); bytes.Contains(data, []byte("memory")) {
			return unified, true
		}
	}
	dir := t.TempDir()
	if err := unix.Mount("cgroup", dir, "cgroup", 0, "memory"); err != nil {
		t.Fatalf("no memory controller is mounted, and none can be: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	return dir, false
}

func (g *cgroup) write(t *testing.T, name, value string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0)
	if err != nil && !(errors.Is(err, os.ErrNotExist) && strings.Contains(name, "sw")) { // without swap there is no limit of it
		t.Fatal(err)
	}
}

// number reads one figure of a file of lines "name value", or of a single value.
func (g *cgroup) number(file, name string) int64 {
	data, _ := os.ReadFile(filepath.Join(g.dir, file))
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || name != "" && fields[0] != name {
			continue
		}
		n, _ := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		return n
	}
	return 0
}

// kills is how often the kernel has ended a process of it.
func (g *cgroup) kills() int64 {
	if g.v2 {
		return g.number("memory.events", "oom_kill")
	}
	return g.number("memory.oom_control", "oom_kill")
}

// peak is the most that was charged to it; what the kernel can take back is part of it.
func (g *cgroup) peak() int64 {
	if g.v2 {
		return g.number("memory.peak", "")
	}
	return g.number("memory.max_usage_in_bytes", "")
}

// built is the program as people run it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "intellidocs-agent-built-")
	if err != nil {
		return "", err
	}
	afterwards = append(afterwards, func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "intellidocs-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// confined is the built agent in a cgroup, started again whenever it ends, as a service
// manager does.
type confined struct {
	t       *testing.T
	dir     string
	group   *cgroup
	program string
	addr    string
	started time.Time

	stopping atomic.Bool
	starts   atomic.Int64
	pid      atomic.Int64
	highest  atomic.Int64 // VmHWM, of all starts
	ended    chan struct{}
}

// confine starts the agent with more at the end of an agent.toml that has the state and the
// API's address. It runs a copy of the program: the pages of a file are charged to the cgroup
// that read them first, and another's agent would have them for nothing.
func confine(t *testing.T, more string) *confined {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	c := &confined{t: t, dir: t.TempDir(), group: newCgroup(t), addr: freePort(t), started: time.Now(), ended: make(chan struct{})}
	c.program = c.path("intellidocs-agent")
	if err := copyFile(program, c.program); err != nil {
		t.Fatal(err)
	}
	more = strings.ReplaceAll(more, "DIR", c.dir)
	head := fmt.Sprintf("[admin]\nlisten = %q\nauth = \"none\"\n", c.addr)
	if !strings.Contains(more, "[state]") {
		head += fmt.Sprintf("[state]\npath = %q\n", c.path("state"))
	}
	if err := os.WriteFile(c.path("agent.toml"), []byte(head+more), 0o600); err != nil {
		t.Fatal(err)
	}
	go c.supervise()
	t.Cleanup(c.stop)
	return c
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func (c *confined) path(name string) string { return filepath.Join(c.dir, name) }

func (c *confined) supervise() {
	defer close(c.ended)
	log, err := os.Create(c.path("agent.log"))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer log.Close()
	for !c.stopping.Load() {
		uncached(c.program)
		cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, c.group.dir, c.program, "run", "-c", c.path("agent.toml"), "--grace", "5s")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			c.t.Error(err)
			return
		}
		c.starts.Add(1)
		c.pid.Store(int64(cmd.Process.Pid))
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			c.watch(cmd.Process.Pid)
		}()
		err := cmd.Wait()
		<-watched
		if !c.stopping.Load() {
			fmt.Fprintf(log, "the agent ended: %v\n", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// uncached has a file read again by who needs it, as in a container that starts: what the
// program itself takes is then the agent's too.
func uncached(path string) {
	if f, err := os.Open(path); err == nil {
		_ = f.Sync() // what is dirty stays
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
	}
}

// watch keeps the process's peak until it ends.
func (c *confined) watch(pid int) {
	for {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return
		}
		_, rest, found := strings.Cut(string(data), "VmHWM:")
		if !found {
			return // it has ended
		}
		kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		c.highest.Store(max(c.highest.Load(), kb<<10))
		time.Sleep(50 * time.Millisecond)
	}
}

// stop ends the agent as a service manager does, which it must obey within its grace.
func (c *confined) stop() {
	if c.stopping.Swap(true) {
		return
	}
	begun := time.Now()
	_ = syscall.Kill(int(c.pid.Load()), syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		_ = syscall.Kill(int(c.pid.Load()), syscall.SIGQUIT)
		<-c.ended
		c.t.Errorf("it did not end within 30 s of SIGTERM, with a grace of 5 s")
	}
	kills := c.group.kills()
	c.t.Logf("kills %d, starts %d, VmHWM %.1f MiB, cgroup's peak %.1f MiB (with what the kernel can take back), ended %.1f s after SIGTERM, took %.0f s",
		kills, c.starts.Load(), mib(c.highest.Load()), mib(c.group.peak()), time.Since(begun).Seconds(), time.Since(c.started).Seconds())
	if kills != 0 || c.starts.Load() != 1 {
		c.t.Errorf("killed %d times, started %d times", kills, c.starts.Load())
	}
	if data, err := os.ReadFile(c.path("agent.log")); c.t.Failed() && err == nil {
		c.t.Logf("the agent's log:\n%s", tailOf(data, 4000))
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// until waits for a condition.
func (c *confined) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Duration(some(4, 30)) * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) || c.group.kills() > 5 {
			c.t.Fatalf("waited %s for %s; it was killed %d times", time.Since(c.started).Round(time.Second), what, c.group.kills())
		}
	}
}

// status is what the agent tells, the zero value while it does not answer.
func (c *confined) status() (st admin.Status) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if client, err := admin.Dial(ctx, c.path("state")); err == nil {
		st, _ = client.Status(ctx)
	}
	return st
}

// read is how many records a source has read.
func (c *confined) read(source int) int {
	if s := c.status().Sources; len(s) > source {
		return s[source].Records
	}
	return 0
}

// counts are a webhook's deliveries by status.
func (c *confined) counts(webhook string) map[string]int64 {
	for _, w := range c.status().Webhooks {
		if w.Name == webhook {
			return w.Counts
		}
	}
	return nil
}

// healthy asks as a probe does, which does not wait long.
func (c *confined) healthy() error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, path := range []string{"/healthz", "/metrics"} {
		resp, err := client.Get("http://" + c.addr + path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s %w", path, resp.Status, err)
		}
	}
	return nil
}

// write appends lines to a file of the agent's.
func (c *confined) write(name string, lines ...string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
		c.t.Fatal(err)
	}
	appendTo(c.t, c.path(name), strings.Join(lines, "\n")+"\n")
}

// sink is a receiver that counts, and remembers how long small events took.
type sink struct {
	url string

	mu       sync.Mutex
	ids      map[string]bool
	requests int
	took     []arrival
}

// arrival is a small event that was received.
type arrival struct {
	delivery    string // its id
	written, at time.Time
}

func (a arrival) took() time.Duration { return a.at.Sub(a.written) }

// newSink makes one that answers with what answer does; nil: 200.
func newSink(t *testing.T, answer http.HandlerFunc) *sink {
	s := &sink{ids: map[string]bool{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.got(r.Header, body)
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	s.url = srv.URL
	return s
}

func (s *sink) got(h http.Header, body []byte) {
	now, id := time.Now(), h.Get("webhook-id")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.ids[id] {
		return
	}
	s.ids[id] = true
	if _, rest, ok := bytes.Cut(body, []byte(`"written": `)); ok && len(body) < 1000 {
		n := bytes.IndexAny(rest, ",}")
		if at, err := strconv.ParseInt(string(rest[:max(n, 0)]), 10, 64); err == nil {
			s.took = append(s.took, arrival{h.Get("X-IntelliDocs-Delivery"), time.Unix(0, at), now})
		}
	}
}

func (s *sink) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

// sorted are the small events, the quickest first.
func (s *sink) sorted() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.took, func(a, b arrival) int { return cmp.Compare(a.took(), b.took()) })
	return slices.Clone(s.took)
}

// quantile is how long the given part of the small events took at most.
func (s *sink) quantile(q float64) time.Duration {
	took := s.sorted()
	if len(took) == 0 {
		return 0
	}
	return took[min(int(q*float64(len(took))), len(took)-1)].took()
}

// A process learns of the limit of the cgroup that it is in.
func TestMemorySoak_TheCgroupsLimitIsKnown(t *testing.T) {
	const child = "MEMORY_TEST_IN_CGROUP"
	if os.Getenv(child) != "" {
		fmt.Printf("allowed %d\n", memoryAllowed())
		return
	}
	if !soak() {
		t.Skip("set INTELLIDOCS_SOAK=1 to make a memory cgroup")
	}
	g := newCgroup(t)
	cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, g.dir, os.Args[0], "-test.run=^TestMemorySoak_TheCgroupsLimitIsKnown$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("allowed %d\n", memoryLimit); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
	if here := memoryAllowed(); here <= memoryLimit {
		t.Errorf("%d outside of it", here)
	}
}
