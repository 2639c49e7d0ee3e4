package send

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

func TestSend_AConnectionIsKeptForEachAttemptAtOnce(t *testing.T) {
	const atOnce, rounds = 8, 5
	var opened atomic.Int64
	var arrived sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived.Done()
		arrived.Wait() // all of a round are under way at once
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	e := endpoint(t, Config{URL: server.URL, Concurrency: atOnce}, open())
	for range rounds {
		arrived.Add(atOnce)
		var senders sync.WaitGroup
		for range atOnce {
			senders.Go(func() {
				if r := e.Send(t.Context(), sample()); r.Class != Delivered {
					t.Errorf("%+v", r)
				}
			})
		}
		senders.Wait()
	}
	// One more where a round begins before the connections of the one before it are free.
	if n := opened.Load(); n > atOnce+1 {
		t.Errorf("%d connections for %d rounds of %d attempts, want %d", n, rounds, atOnce, atOnce)
	}
}

func TestTLS_AReceiverThatClosesItsConnectionsIsMetAgainWithoutAWholeHandshake(t *testing.T) {
	a := newAuthority(t)
	var resumed atomic.Int64
	server := serveTLS(t, a, func(c *tls.Config) {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.DidResume {
				resumed.Add(1)
			}
			return nil
		}
	}, "127.0.0.1")
	server.Config.SetKeepAlivesEnabled(false)
	e := endpoint(t, Config{URL: server.URL, TLS: TLS{CAFile: a.file}}, open())
	for range 3 {
		if r := e.Send(t.Context(), sample()); r.Class != Delivered {
			t.Fatalf("%+v", r)
		}
	}
	if n := resumed.Load(); n != 2 {
		t.Errorf("%d of 3 handshakes were resumed, want 2", n)
	}
}
