package send

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// OpenSSL's server asks for a new handshake in the middle of a connection, as servers do
// that want a client certificate for some paths alone.
func TestTLS_RenegotiationIsExplained(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	ca := newAuthority(t)
	certFile, keyFile := ca.issue(t, time.Now().Add(time.Hour), "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", addr, "-cert", certFile, "-key", keyFile, "-tls1_2", "-naccept", "1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			switch text := lines.Text(); {
			case strings.HasPrefix(text, "ACCEPT"):
				close(ready)
			case strings.Contains(text, "POST / HTTP"):
				_, _ = io.WriteString(in, "R\n")
			}
		}
	}()
	defer func() { _ = c.Process.Kill(); <-done; _ = c.Wait() }()
	select {
	case <-ready:
	case <-done:
		t.Fatal("openssl did not start")
	}
	r := endpoint(t, Config{URL: "https://" + addr + "/", TLS: TLS{CAFile: ca.file}}, open()).Send(t.Context(), sample())
	if r.Class != Retry || !strings.Contains(r.Error, "wants to renegotiate the connection") {
		t.Errorf("%+v", r)
	}
}
