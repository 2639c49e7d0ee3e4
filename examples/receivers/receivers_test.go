// Package receivers tests the examples with the runtimes they are written for.
package receivers

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

const secret = "correct horse battery staple"

// standard are the receivers that check the Standard Webhooks signature.
var standard = map[string]func(t *testing.T) *exec.Cmd{
	"python": func(t *testing.T) *exec.Cmd {
		python := need(t, "/usr/bin/python3")
		if out, err := exec.Command(python, "-c", "import flask").CombinedOutput(); err != nil {
			t.Skipf("needs python3-flask: %s", out)
		}
		return exec.Command(python, "python/receiver.py")
	},
	"node": func(t *testing.T) *exec.Cmd {
		c := exec.Command(need(t, "node"), "node/receiver.js")
		c.Env = []string{"NODE_PATH=" + nodeModules(t)}
		return c
	},
	"go": func(t *testing.T) *exec.Cmd {
		program := filepath.Join(t.TempDir(), "receiver")
		if out, err := exec.Command(need(t, "go"), "build", "-o", program, "./go").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return exec.Command(program)
	},
}

func TestStandard_VerifiesAndTellsRepeats(t *testing.T) {
	for name, command := range standard {
		t.Run(name, func(t *testing.T) {
			try(t, "/hook", func(int) *exec.Cmd { return command(t) })
		})
	}
}

func TestDebiansWebhook(t *testing.T) {
	webhook := need(t, "webhook")
	receive, err := filepath.Abs("webhook/receive.sh")
	if err != nil {
		t.Fatal(err)
	}
	try(t, "/hooks/intellidocs", func(port int) *exec.Cmd {
		c := exec.Command(webhook, "-template", "-verbose", "-hooks", "webhook/hooks.json", "-ip", "127.0.0.1", "-port", fmt.Sprint(port))
		c.Env = []string{"RECEIVE=" + receive, "SEEN=" + filepath.Join(t.TempDir(), "seen")}
		return c
	})
}

func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("needs %s: %v", filepath.Base(program), err)
	}
	return path
}

func nodeModules(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("INTELLIDOCS_NODE_MODULES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "intellidocs-agent-node", "node_modules")
	}
	if _, err := os.Stat(filepath.Join(dir, "standardwebhooks")); err == nil {
		return dir
	}
	c := exec.Command(need(t, "npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", filepath.Dir(dir), "standardwebhooks@1.1.1", "svix@1.99.1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("needs the npm package standardwebhooks: %v\n%s", err, out)
	}
	return dir
}

// output is what a receiver printed. Its two streams are kept apart, since their lines may
// be written in pieces.
type output struct{ stdout, stderr stream }

func (o *output) String() string { return o.stdout.String() + "\n" + o.stderr.String() }

type stream struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// tamper changes requests on their way, between the agent and the receiver.
type tamper struct {
	to     string
	change func(h http.Header, body []byte)
}

func (x *tamper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	_, _ = b.ReadFrom(r.Body)
	h := r.Header.Clone()
	x.change(h, b.Bytes())
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, x.to, &b)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	req.Header = h
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
}

// start runs a receiver until the test ends.
func start(t *testing.T, secret string, command func(port int) *exec.Cmd) (address string, out *output) {
	t.Helper()
	port := freePort(t)
	address, out = fmt.Sprintf("127.0.0.1:%d", port), &output{}
	c := command(port)
	c.Stdout, c.Stderr = &out.stdout, &out.stderr
	c.Env = append(append(os.Environ(), c.Env...), "WEBHOOK_SECRET="+secret, fmt.Sprintf("PORT=%d", port))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	until(t, out, "it listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address, out
}

func try(t *testing.T, path string, command func(port int) *exec.Cmd) {
	t.Helper()
	address, out := start(t, secret, command)
	url := "http://" + address + path

	accepted := func(r send.Result) bool { return r.Class == send.Delivered }
	if r := deliver(t, url, 1, true); !accepted(r) {
		t.Errorf("refused: %+v\n%s", r, out.String())
	}
	for range 3 { // it comes again
		if r := deliver(t, url, 1, true); !accepted(r) {
			t.Errorf("a repeat is refused: %+v", r)
		}
	}
	if r := deliver(t, url, 2, false); accepted(r) {
		t.Error("accepted without a signature")
	}
	for name, change := range map[string]func(h http.Header, body []byte){
		"a byte of the body": func(_ http.Header, body []byte) { body[bytes.Index(body, []byte("Report"))] ^= 1 },
		"the signatures": func(h http.Header, _ []byte) {
			h.Set("X-Intellidocs-Signature", "sha256="+strings.Repeat("0", 64))
			h.Set("Webhook-Signature", "v1,"+strings.Repeat("A", 43)+"=")
		},
	} {
		s := &http.Server{Handler: &tamper{url, change}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Serve(l) }()
		if r := deliver(t, "http://"+l.Addr().String()+path, 3, true); accepted(r) || r.Status == http.StatusBadGateway {
			t.Errorf("%s changed: %+v", name, r)
		}
		s.Close()
	}
	if r := deliver(t, url, 4, true); !accepted(r) {
		t.Errorf("%+v", r)
	}
	until(t, out, "the events are processed", func() bool {
		return strings.Contains(out.String(), processed(1)) && strings.Contains(out.String(), processed(4))
	})
	for n, want := range map[int]int{1: 1, 2: 0, 3: 0, 4: 1} {
		if got := strings.Count(out.String(), processed(n)); got != want {
			t.Errorf("event %d was processed %d times, want %d\n%s", n, got, want, out.String())
		}
	}
}

func eventID(n int) string { return fmt.Sprintf("evt_%032x", n) }

func processed(n int) string { return "processed " + eventID(n) + " scan_completed" }

func deliver(t *testing.T, url string, n int, signed bool) send.Result {
	t.Helper()
	var signer sign.Signer
	if signed {
		s, err := sign.ParseSecret(secret)
		if err != nil {
			t.Fatal(err)
		}
		signer.Secrets = []sign.HMACKey{s}
	}
	e, err := send.New(send.Config{Webhook: "example", URL: url, Signer: signer, Timeout: 10 * time.Second},
		target.Policy{Schemes: []string{"http"}, AllowInternal: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.Send(t.Context(), send.Message{
		DeliveryID: "dlv_1", EventID: eventID(n), EventType: "scan_completed", Attempt: 1, TraceID: fmt.Sprintf("%032x", n),
		Body: []byte(`{"document": {"id": 999, "title": "Report \u00fc"}, "event_type": "scan_completed"}`),
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// until polls a condition for as long as a loaded machine may take.
func until(t *testing.T, out *output, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s\n%s", what, out.String())
		}
	}
}
