package dispatch

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Servers as they limit requests really, in front of a receiver that takes everything.
// TestThrottle has the services whose limits last too long for a real clock.
func TestReceivers_ServersThatLimitRequestsGetEverything(t *testing.T) {
	const nginx = `limit_req_zone $binary_remote_addr zone=hooks:1m rate=20r/s;
server { listen 127.0.0.1:%d; location / { limit_req zone=hooks %s; %s proxy_pass http://%s; } }`
	for _, c := range []struct {
		name    string
		program string
		config  func(port int, backend string) string
		events  int
		allowed time.Duration
	}{
		{"nginx, 429 with Retry-After", "nginx", func(port int, backend string) string {
			return nginxConfig(fmt.Sprintf(nginx, port, "burst=20 nodelay", `limit_req_status 429; add_header Retry-After 1 always;`, backend))
		}, 200, 9 * time.Second},
		{"nginx, 429 without a word", "nginx", func(port int, backend string) string {
			return nginxConfig(fmt.Sprintf(nginx, port, "burst=20 nodelay", `limit_req_status 429;`, backend))
		}, 200, 9 * time.Second},
		{"nginx, 429 and no burst", "nginx", func(port int, backend string) string {
			return nginxConfig(fmt.Sprintf(nginx, port, "", `limit_req_status 429;`, backend))
		}, 200, 10 * time.Second},
		{"nginx, 503 as it comes", "nginx", func(port int, backend string) string {
			return nginxConfig(fmt.Sprintf(nginx, port, "burst=20 nodelay", "", backend))
		}, 200, 9 * time.Second},
		{"haproxy, a stick table", "haproxy", func(port int, backend string) string {
			return fmt.Sprintf(`global
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend hooks
  bind 127.0.0.1:%d
  stick-table type ip size 100 expire 10s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 20 }
  default_backend ours
backend ours
  server a %s
`, port, backend)
		}, 200, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			backend := newReceiver(t, always(204))
			url := server(t, c.program, c.config, backend.Listener.Addr().String())
			h := realHook(t, "a", url)
			h.BreakerFailures, h.MaxRetries, h.RetryDelay = 20, 3, 500*time.Millisecond
			r := runReal(t, t.TempDir(), h)
			began := time.Now()
			for range c.events {
				r.commit(t, "a")
			}
			eventually(t, "everything is delivered", func() bool {
				counts := r.queue.Counts()["a"]
				return counts[queue.Success]+counts[queue.Failed] == int64(c.events)
			})
			took := time.Since(began)
			page, err := r.queue.List(t.Context(), queue.Filter{Webhook: "a", Limit: c.events})
			if err != nil {
				t.Fatal(err)
			}
			attempts := 0
			for _, d := range page.Deliveries {
				attempts += d.Attempts
			}
			counts := r.queue.Counts()["a"]
			t.Logf("delivered %d, given up %d, attempts %d, in %s; the limit allows %s", counts[queue.Success], counts[queue.Failed], attempts, took.Round(100*time.Millisecond), c.allowed)
			if counts[queue.Failed] > 0 || attempts > 2*c.events {
				t.Errorf("%d given up, in %d attempts", counts[queue.Failed], attempts)
			}
		})
	}
}

func nginxConfig(http string) string {
	return "daemon off; master_process off; pid nginx.pid; error_log stderr crit; events {}\n" +
		"http { access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;\n" + http + " }\n"
}

// server starts a program in front of a receiver, and returns its URL.
func server(t *testing.T, program string, config func(port int, backend string) string, backend string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join("/usr/sbin", program)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not installed", program)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config(port, backend)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", file, "-db"}
	if program == "nginx" {
		args = []string{"-p", dir, "-c", file}
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, program+" answers", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return url
}
