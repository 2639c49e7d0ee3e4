package send

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

const traceID = "0af7651916cd43dd8448eb211c80319c"

func sample() Message {
	return Message{
		DeliveryID: "dlv_1", EventID: "evt_0123456789abcdef0123456789abcdef", EventType: "scan_completed", Attempt: 2, TraceID: traceID,
		Body: []byte(`{"event_type": "scan_completed", "title": "M\u00fcll"}`),
	}
}

func open() target.Policy {
	return target.Policy{Schemes: []string{"http", "https"}, AllowInternal: true}
}

func hmacKey(t testing.TB, text string) sign.HMACKey {
	t.Helper()
	s, err := sign.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func endpoint(t testing.TB, cfg Config, policy target.Policy) *Endpoint {
	t.Helper()
	if cfg.Webhook == "" {
		cfg.Webhook = "test"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	e, err := New(cfg, policy, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// serve runs an HTTP server.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// raw runs a TCP server, whose handler gets each connection with the request's first line
// and headers read and its body not. It returns the server's URL.
func raw(t testing.TB, handle func(c net.Conn, head []string, body *bufio.Reader)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if head, err := readHead(r); err == nil {
			handle(c, head, r)
		}
	})
}

// listen runs a TCP server that closes each connection after its handler.
func listen(t testing.TB, handle func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}

func readHead(r *bufio.Reader) ([]string, error) {
	var head []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return head, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return head, nil
		}
		head = append(head, line)
	}
}

// untilClosed returns when the other side has closed.
func untilClosed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
