package intellidocs

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is the stand-in's IntelliDocs as people run it: Redis, a web server, a Celery worker that takes
// a new process for each task, and beat, with the application named and nothing else done.
type host struct {
	t    *testing.T
	src  string
	data string
	env  []string
	web  string
	said string // the directory of what its processes print
}

func newHost(t *testing.T, data string, env ...string) *host {
	t.Helper()
	src, err := filepath.Abs("tests/standin")
	must(t, err)
	here, err := filepath.Abs(".")
	must(t, err)
	h := &host{t: t, src: src, data: data, said: t.TempDir()}
	h.env = append(os.Environ(), "PAPERLESS_DATA_DIR="+data, "PYTHONPATH="+here, "PYTHONDONTWRITEBYTECODE=1", "PAPERLESS_APPS=intellidocs_events.apps.EventsConfig")
	h.env = append(h.env, env...)
	h.env = append(h.env, "PAPERLESS_REDIS=redis+socket://"+h.redis())
	if out, err := h.python("manage.py", "prepare").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeAddress(t)
	h.web = "http://" + address + "/api/documents/post_document/?"
	h.run("worker", h.python("-m", "celery", "-A", "paperless", "worker", "-l", "INFO"))
	h.run("beat", h.python("-m", "celery", "-A", "paperless", "beat", "-l", "INFO"))
	h.run("web", h.python("manage.py", "runserver", "--noreload", address))
	h.listens("web", "tcp", address)
	return h
}

// redis starts one, and returns its socket: in a directory of its own, since the name of a socket must be short.
func (h *host) redis() string {
	h.t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	must(h.t, err)
	h.t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	h.run("redis", exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir))
	h.listens("redis", "unix", socket)
	return socket
}

func (h *host) listens(name, network, address string) {
	h.t.Helper()
	h.until(name+" listens", func() bool {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// freeAddress is below the ports that the system gives by itself: Django takes seconds to
// listen, and a receiver of another test would have it by then.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			must(t, l.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (h *host) python(args ...string) *exec.Cmd {
	cmd := exec.Command(python, args...)
	cmd.Dir, cmd.Env = h.src, h.env
	return cmd
}

// run starts one of IntelliDocs' processes, which must live as long as the test.
func (h *host) run(name string, cmd *exec.Cmd) {
	h.t.Helper()
	out, err := os.Create(filepath.Join(h.said, name))
	must(h.t, err)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(h.t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	h.t.Cleanup(func() {
		defer out.Close()
		select {
		case err := <-ended:
			h.t.Errorf("%s ended by itself: %v\n%s", name, err, h.prints())
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
}

func (h *host) prints() string {
	var all strings.Builder
	for _, name := range []string{"redis", "worker", "beat", "web"} {
		b, _ := os.ReadFile(filepath.Join(h.said, name))
		fmt.Fprintf(&all, "%s: %s\n", name, b[max(0, len(b)-3000):])
	}
	return all.String()
}

func (h *host) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) { // between looks
		if time.Now().After(deadline) {
			h.t.Fatalf("never happened: %s\n%s", what, h.prints())
		}
	}
}

// post asks the web server for something that the worker then does.
func (h *host) post(values url.Values) {
	h.t.Helper()
	resp, err := http.Get(h.web + values.Encode())
	must(h.t, err)
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s\n%s", resp.Status, body, h.prints())
	}
}

// done waits until the worker has done what was asked, and beat has come.
func (h *host) done(names ...string) {
	h.t.Helper()
	for _, name := range names {
		h.until("the worker has done "+name, func() bool {
			_, err := os.Stat(filepath.Join(h.data, "done-"+name))
			return err == nil
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHost_ExactlyWhatWasCommittedArrives has five documents scanned, one of them with a title
// that forges a record; then five more, of which three are rolled back; then a deletion request.
func TestHost_ExactlyWhatWasCommittedArrives(t *testing.T) {
	needDjango(t)
	bin := buildAgent(t)
	for to, source := range map[string]string{
		"file":               "type = \"log\"\npath = %q",
		"spool":              "type = \"spool\"\npath = %q",
		"log":                "type = \"log\"\npath = %q",
		"log, with its key":  "type = \"log\"\npath = %q\nkey_file = %q",
		"file, with its key": "type = \"log\"\npath = %q\nkey_file = %q",
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			committedArrives(t, bin, to, source)
		})
	}
}

// forged is a title as a mail's subject may become one.
const forged = "Invoice\n[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] " +
	`{"event_type":"deletion_request_created","source":"intellidocs-ai","timestamp":"2025-11-14T15:00:00Z","deletion_request":{"id":666}}`

// committedArrives plays it for one way of writing events, and the source that reads them.
func committedArrives(t *testing.T, bin, to, source string) {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	must(t, os.Mkdir(data, 0o755))
	kind, _, keyed := strings.Cut(to, ",")
	path := map[string]string{"log": "log/paperless.log", "file": "log/ai_webhooks.log", "spool": "ai-events"}[kind]
	env := []string{"PAPERLESS_AI_EVENTS_TO=" + kind}
	args := []any{filepath.Join(data, path)}
	if keyed {
		key := filepath.Join(dir, "key")
		must(t, os.WriteFile(key, []byte(strings.Repeat("5a", 32)), 0o600))
		env, args = append(env, "PAPERLESS_AI_EVENTS_KEY_FILE="+key), append(args, key)
	}
	r := newCommitted(t)
	config := filepath.Join(dir, "agent.toml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "[state]\npath = %q\n[admin]\nlisten = \"\"\n[[source]]\n%s\n[[webhook]]\nname = \"w\"\nurl = %q\nsecret = \"s3cret\"\n",
		filepath.Join(dir, "state"), fmt.Sprintf(source, args...), r.URL), 0o600))
	said := startAgent(t, bin, config)

	h := newHost(t, data, env...)
	want := map[string]int{}
	upload := func(n int, title string, fail bool) {
		values := url.Values{"title": {title}}
		if fail {
			values.Set("fail", "1")
		}
		h.post(values)
		h.done(fmt.Sprint("document-", n)) // one after the other, so that each has the number it is known by
		if !fail {
			want[fmt.Sprint("suggestion_auto_applied ", n)]++
			want[fmt.Sprint("scan_completed ", n)]++
		}
	}
	for n := 1; n <= 5; n++ {
		title := fmt.Sprint("Invoice ", n)
		if n == 3 {
			title = forged
		}
		upload(n, title, false)
	}
	for n := 6; n <= 10; n++ {
		upload(n, fmt.Sprint("Letter ", n), n != 7 && n != 9)
	}
	h.post(url.Values{"delete": {"2", "4"}})
	h.done("deletion", "beat")
	want["deletion_request_created 1"]++

	h.until("all that was committed arrives; the agent said "+said.String(), func() bool { return len(r.got()) >= len(want) })
	// One more upload behind all: what was not to come would have come before it.
	upload(11, "The last", false)
	h.until("the last one arrives", func() bool { return len(r.got()) >= len(want) })
	if got := r.got(); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	// In whatever form: otherwise nothing was tried.
	if log, _ := os.ReadFile(filepath.Join(data, "log", "paperless.log")); !strings.Contains(string(log), `{"id":666}`) {
		t.Error("the forged record is not in IntelliDocs' log")
	}
}

// committed is a receiver that verifies, and counts events by type and number.
type committed struct {
	*receiver
	events map[string]int
}

func newCommitted(t *testing.T) *committed {
	c := &committed{receiver: newReceiver(t, "s3cret"), events: map[string]int{}}
	c.receiver.seen = func(kind string, id int) { c.events[fmt.Sprint(kind, " ", id)]++ }
	return c
}

// got are the events that came, wrong ones among them.
func (c *committed) got() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.events)
	for _, w := range c.wrong {
		all[w]++
	}
	return all
}
