// Package intellidocs tests the Django application of this directory, alone and with
// the agent at its other end.
package intellidocs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// python is the system's: the modules are Debian packages.
const python = "/usr/bin/python3"

func needDjango(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import django, celery, redis, httpx, concurrent_log_handler").CombinedOutput(); err != nil {
		t.Skipf("needs %s with Debian's python3-django python3-celery python3-redis python3-httpx python3-concurrent-log-handler python3-portalocker: %v\n%s", python, err, out)
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skipf("needs Debian's redis-server: %v", err)
	}
}

func TestApplication_KeepsItsPromisesInDjangoAndCelery(t *testing.T) {
	needDjango(t)
	unittest(t, "")
}

// TestApplication_KeepsItsPromisesInNewerDjango runs it under the Djangos that newer
// IntelliDocs have, which $INTELLIDOCS_DJANGOS lists as search paths.
func TestApplication_KeepsItsPromisesInNewerDjango(t *testing.T) {
	needDjango(t)
	paths := filepath.SplitList(os.Getenv("INTELLIDOCS_DJANGOS"))
	if len(paths) == 0 {
		t.Skip("needs INTELLIDOCS_DJANGOS: directories with a newer Django each (.ci/install.sh unpacks them)")
	}
	for _, path := range paths {
		version, err := exec.Command(python, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import django; print(django.__version__)", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, version)
		}
		t.Run(strings.TrimSpace(string(version)), func(t *testing.T) {
			t.Parallel()
			unittest(t, path)
		})
	}
}

func unittest(t *testing.T, searchPath string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "-m", "unittest")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+searchPath)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// receiver verifies every request as IntelliDocs' documentation has receivers do.
type receiver struct {
	*httptest.Server
	secret string

	mu        sync.Mutex
	documents map[int]int // number of the document → how often
	wrong     []string
	changed   chan struct{}
	// seen, where set, is told of each event.
	seen func(kind string, id int)
}

func newReceiver(t *testing.T, secret string) *receiver {
	r := &receiver{secret: secret, documents: map[int]int{}, changed: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := r.take(req); err != nil {
			r.mu.Lock()
			r.wrong = append(r.wrong, err.Error())
			r.mu.Unlock()
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(req *http.Request) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(r.secret))
	mac.Write(body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); req.Header.Get("X-IntelliDocs-Signature") != want {
		return fmt.Errorf("signature %q, not %q: %s", req.Header.Get("X-IntelliDocs-Signature"), want, body)
	}
	var event struct {
		EventType string `json:"event_type"`
		Source    string
		Timestamp time.Time
		Document  struct{ ID int }
		Request   struct{ ID int } `json:"deletion_request"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if event.EventType != req.Header.Get("X-IntelliDocs-Event") || event.Source != "intellidocs-ai" || event.Timestamp.IsZero() {
		return fmt.Errorf("not what IntelliDocs sends: %s", body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := max(event.Document.ID, event.Request.ID)
	if r.documents[id]++; r.seen != nil {
		r.seen(event.EventType, id)
	}
	return nil
}

// wait returns when all documents have come, or says what is missing.
func (r *receiver) wait(t *testing.T, want []int, agentLog *lockedBuffer) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	for {
		r.mu.Lock()
		missing := slices.DeleteFunc(slices.Clone(want), func(id int) bool { return r.documents[id] > 0 })
		extra := len(r.documents) - (len(want) - len(missing))
		wrong := slices.Clone(r.wrong)
		r.mu.Unlock()
		if len(wrong) > 0 || extra > 0 {
			t.Fatalf("%d unexpected, wrong: %q", extra, wrong)
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			t.Fatalf("%d of %d never came, first %v; the agent said:\n%s", len(missing), len(want), missing[:min(5, len(missing))], agentLog)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // not embedded: its ReadFrom would be found, which takes no lock
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func buildAgent(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "intellidocs-agent")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// startAgent runs the agent until the test ends; stopping must be clean.
func startAgent(t *testing.T, bin, config string) *lockedBuffer {
	t.Helper()
	said := &lockedBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "run", "-c", config)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the agent stopped with %d:\n%s", code, said)
		}
	})
	return said
}

// produce sends events from several processes at once and returns the documents' numbers.
func produce(t *testing.T, data, to string, events int) []int {
	t.Helper()
	var all []*exec.Cmd
	var want []int
	for n := range 4 {
		first := (n + 1) * 100_000
		cmd := exec.Command(python, "tests/standin/scanner.py", fmt.Sprint(events), "--first", fmt.Sprint(first))
		cmd.Env = append(os.Environ(), "PAPERLESS_DATA_DIR="+data, "PAPERLESS_APPS=intellidocs_events.apps.EventsConfig",
			"PAPERLESS_AI_EVENTS_TO="+to, "PAPERLESS_AI_EVENTS_FILE_MAX_BYTES=100000", "PYTHONDONTWRITEBYTECODE=1")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
		for i := range events {
			want = append(want, first+i)
		}
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	return want
}

func TestDjangoToReceiver_EveryEventArrivesVerified(t *testing.T) {
	needDjango(t)
	bin := buildAgent(t)
	for to, source := range map[string]string{
		// Enough events for IntelliDocs' log to rotate at its 1 MiB, and for the file at 100 kB.
		"log":   "type = \"log\"\npath = %q",
		"file":  "type = \"log\"\npath = %q",
		"spool": "type = \"spool\"\npath = %q",
	} {
		t.Run(to, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			if err := os.MkdirAll(filepath.Join(data, "log"), 0o755); err != nil {
				t.Fatal(err)
			}
			path := map[string]string{"log": "log/paperless.log", "file": "log/ai_webhooks.log", "spool": "ai-events"}[to]
			r := newReceiver(t, "s3cret")
			config := filepath.Join(dir, "agent.toml")
			text := fmt.Sprintf("[state]\npath = %q\n[admin]\nlisten = \"\"\n[[source]]\n"+source+
				"\n[[webhook]]\nname = \"w\"\nurl = %q\nsecret = \"s3cret\"\n",
				filepath.Join(dir, "state"), filepath.Join(data, path), r.URL)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			said := startAgent(t, bin, config)
			events := map[string]int{"log": 900, "file": 300, "spool": 150}[to]
			r.wait(t, produce(t, data, to, events), said)
		})
	}
}
