package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// TestMain makes the test binary answer as intellidocs-agent, so that tests run the
// real program in a process of its own, which can be killed.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, programs)
}

// tests are those of this package, and what is to be done once all have ended.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer func() {
		for _, f := range afterwards {
			f()
		}
	}()
	return m.M.Run()
}

// afterwards is what several tests share and the last of them leaves.
var afterwards []func()

// programs are what tests can start.
var programs = map[string]func(){"intellidocs-agent": main}

// soak reports whether the long versions of tests are wanted.
func soak() bool { return os.Getenv("INTELLIDOCS_SOAK") != "" }

// inFull reports whether there is time for all of it: INTELLIDOCS_SOAK=long.
func inFull() bool { return os.Getenv("INTELLIDOCS_SOAK") == "long" }

const testSecret = "a secret for tests"

// rig is a log, a verifying receiver and the real program between them.
type rig struct {
	t    testing.TB
	dir  string
	log  string
	toml string
	recv *recorder
	url  string
	cmd  *exec.Cmd
	env  []string // the agent's, beside the tests' own
	cwd  string   // "": the tests'
	out  *os.File
	// verdict is what a failed test has found out.
	verdict string
}

// recorder keeps what arrived.
type recorder struct {
	mu       sync.Mutex
	ids      map[string]map[string]bool // by body: the webhook-ids it came under
	requests []receiver.Received
	wrong    []string
	changed  chan struct{}
}

func (r *recorder) got(rec receiver.Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !rec.Verified() {
		r.wrong = append(r.wrong, fmt.Sprint(rec.IntelliDocs, rec.Standard))
	}
	if rec.Answer/100 == 2 {
		if r.ids[string(rec.Body)] == nil {
			r.ids[string(rec.Body)] = map[string]bool{}
		}
		r.ids[string(rec.Body)][rec.Header.Get("webhook-id")] = true
	}
	rec.Body = nil
	r.requests = append(r.requests, rec)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func newRecorder(t testing.TB, o receiver.Options) (*recorder, string) {
	t.Helper()
	secret, err := sign.ParseSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	o.Secrets = []sign.HMACKey{secret}
	r := &recorder{ids: map[string]map[string]bool{}, changed: make(chan struct{}, 1)}
	srv := httptest.NewServer(receiver.New(o, r.got))
	t.Cleanup(srv.Close)
	return r, srv.URL
}

// newRig makes a rig; more is added to the end of agent.toml.
func newRig(t testing.TB, more string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, log: filepath.Join(dir, "log", "paperless.log"), toml: filepath.Join(dir, "agent.toml")}
	if err := os.MkdirAll(filepath.Dir(r.log), 0o755); err != nil {
		t.Fatal(err)
	}
	r.recv, r.url = newRecorder(t, receiver.Options{})
	r.configure(more)
	var err error
	if r.out, err = os.Create(filepath.Join(dir, "agent.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill(syscall.SIGKILL)
		if t.Failed() {
			data, _ := os.ReadFile(r.out.Name())
			said, stacks, _ := bytes.Cut(data, []byte("SIGQUIT"))
			t.Logf("the agent's log:\n%s", tailOf(said, 8000))
			for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
				if bytes.Contains(stack, []byte("/tailer.")) || bytes.Contains(stack, []byte("/queue.")) {
					t.Logf("%.1500s", stack)
				}
			}
			if r.verdict != "" { // last, since of a long output the end is what is read
				t.Logf("the verdict:\n%s", r.verdict)
			}
		}
	})
	return r
}

func tailOf(data []byte, n int) []byte {
	if len(data) > n {
		return data[len(data)-n:]
	}
	return data
}

func (r *rig) configure(more string) {
	r.t.Helper()
	text := fmt.Sprintf(`[state]
path = %q
[[source]]
type = "log"
path = %q
[admin]
listen = ""
[defaults]
retry_delay = 1
[[webhook]]
name = "main"
url = %q
secret = %q
%s
`, filepath.Join(r.dir, "state"), r.log, r.url, testSecret, more)
	if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) start() {
	r.t.Helper()
	r.cmd = exec.Command("intellidocs-agent", "run", "-c", r.toml)
	r.cmd.Dir = r.cwd
	r.cmd.Env = append(os.Environ(), r.env...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends the agent by a signal and waits for it.
func (r *rig) kill(sig syscall.Signal) {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(sig)
	_ = r.cmd.Wait()
	r.cmd = nil
}

// run runs a command of the program and returns what it printed.
func (r *rig) run(args ...string) (string, error) {
	cmd := exec.Command("intellidocs-agent", append(args, "-c", r.toml)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *rig) append(lines ...string) {
	r.t.Helper()
	r.raw(strings.Join(lines, "\n") + "\n")
}

// raw appends text to the log as it is.
func (r *rig) raw(text string) {
	r.t.Helper()
	appendTo(r.t, r.log, text)
}

// appendTo appends text to a file, which need not be there.
func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
}

// moveIn moves a finished file into a spool.
func moveIn(t testing.TB, spool, name, text string) {
	t.Helper()
	tmp := filepath.Join(spool, "."+name)
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(spool, name)); err != nil {
		t.Fatal(err)
	}
}

// status is what the agent tells, once it answers and enough accepts it.
func (r *rig) status(enough func(admin.Status) bool) (st admin.Status) {
	r.t.Helper()
	r.until("the agent to answer", time.Minute, func() bool {
		client, err := admin.Dial(context.Background(), filepath.Join(r.dir, "state"))
		if err != nil {
			return false
		}
		st, err = client.Status(context.Background())
		return err == nil && enough(st)
	})
	return st
}

// program is where a program of the system is; without it the test ends.
func (r *rig) program(name string) string {
	r.t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	r.t.Skipf("needs %s (see .ci/apt-packages.txt)", name)
	return ""
}

// until waits for a condition, looking again whenever something arrives.
func (r *rig) until(what string, limit time.Duration, ok func() bool) {
	r.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			r.t.Fatalf("waited %s for %s; %d distinct events arrived", limit, what, r.recv.distinct())
		case <-r.recv.changed:
		case <-tick.C:
		}
	}
}

// python is the system's python3, which has Debian's modules.
func python(t testing.TB, modules ...string) string {
	t.Helper()
	const path = "/usr/bin/python3"
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs /usr/bin/python3 (apt-get install python3)")
	}
	for _, m := range modules {
		if exec.Command(path, "-c", "import "+m).Run() != nil {
			t.Skipf("needs the Python module %s", m)
		}
	}
	return path
}

func eventLine(n int) string {
	return fmt.Sprintf(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":"chaos","n":%d,"timestamp":"2025-11-14T15:00:00Z"}`, n)
}

// output collects what a program prints while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
