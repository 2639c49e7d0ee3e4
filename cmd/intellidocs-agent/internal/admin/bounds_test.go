package admin

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestBounds_CallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, answered, refused atomic.Int64
		release := make(chan struct{})
		h := guard(Access{Loopback: true, Host: "127.0.0.1:9723", Token: open}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			inside.Add(1)
			<-release
		}))
		call := func(method, path string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1:9723"+path, nil))
			if w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), "busy") {
				refused.Add(1)
			} else if w.Code == http.StatusOK {
				answered.Add(1)
			}
		}
		for range 50 {
			go call("GET", "/api/v1/deliveries")
		}
		synctest.Wait()
		if n := inside.Load(); n != atOnce {
			t.Errorf("%d reads are under way, not %d", n, atOnce)
		}
		// Neither changes nor what the page and probes ask for wait behind them.
		for range 50 {
			go call("POST", "/api/v1/replay")
		}
		go call("GET", "/healthz")
		go call("GET", "/api/v1/stream")
		synctest.Wait()
		if n := inside.Load(); n != 2*atOnce+2 {
			t.Errorf("%d calls are under way, not %d", n, 2*atOnce+2)
		}
		close(release)
		synctest.Wait()
		if answered.Load() != 102 || refused.Load() != 0 {
			t.Errorf("%d answered, %d refused", answered.Load(), refused.Load())
		}
	})
}

func TestBounds_ABusyAgentSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := guard(Access{Socket: true}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		for range atOnce {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/count", nil))
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/count", nil))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		close(release)
	})
}

// counting tells which connection it was asked for.
type counting struct {
	net.Listener
	asked chan int
	n     int
}

func (c *counting) Accept() (net.Conn, error) {
	c.n++
	c.asked <- c.n
	return c.Listener.Accept()
}

func TestBounds_Connections(t *testing.T) {
	s := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan int, 2*maxConnections)
	s.server.Serve(&counting{Listener: l, asked: asked}, Access{Loopback: true, Host: l.Addr().String(), Token: open})
	defer s.server.Close(t.Context())
	var held []net.Conn
	for range maxConnections {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	for n := range maxConnections {
		if got := <-asked; got != n+1 {
			t.Fatal(got)
		}
	}
	// What is open is answered, and no more is let in meanwhile.
	for _, c := range held {
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200 OK"))); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case n := <-asked:
		t.Fatalf("it asked for connection %d", n)
	default:
	}
	held[0].Close()
	if n := <-asked; n != maxConnections+1 {
		t.Error(n)
	}
}
