package send

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// openConnections is how many all endpoints have by now.
func openConnections() int {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return kept.open
}

func TestSend_AnyNumberOfEndpointsKeepsFewConnections(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	endpoints := make([]*Endpoint, 3*maxKept)
	for i := range endpoints {
		endpoints[i] = endpoint(t, Config{URL: fmt.Sprintf("%s/%d", srv.URL, i)}, open())
	}
	most := 0
	for range 2 {
		for _, e := range endpoints {
			if r := e.Send(t.Context(), sample()); r.Class != Delivered {
				t.Fatalf("%+v", r)
			}
			most = max(most, openConnections())
		}
	}
	if most > maxKept+8 { // other tests may have some
		t.Errorf("%d connections were open at once", most)
	}
	for _, e := range endpoints {
		e.Close()
	}
	for deadline := time.Now().Add(time.Minute); openConnections() > 8; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are counted that were closed", openConnections())
		}
	}
}

// slow is a receiver that answers a request for /held only once it is let go, and counts the
// connections that are made to it.
type slow struct {
	*httptest.Server
	arrived, letGo chan struct{}
	connections    atomic.Int64
}

func newSlow(t *testing.T) *slow {
	s := &slow{arrived: make(chan struct{}, 1000), letGo: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/held" {
			s.arrived <- struct{}{}
			<-s.letGo
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// hold begins an exchange that lasts until it is let go.
func (s *slow) hold(t *testing.T, wg *sync.WaitGroup, e *Endpoint) {
	wg.Go(func() {
		if r := e.Send(t.Context(), sample()); r.Class != Delivered {
			t.Errorf("%+v", r)
		}
	})
	<-s.arrived
}

func send(t *testing.T, e *Endpoint) {
	t.Helper()
	if r := e.Send(t.Context(), sample()); r.Class != Delivered {
		t.Fatalf("%+v", r)
	}
}

func TestKept_ReceiversThatHangTakeNobodysConnection(t *testing.T) {
	hanging, healthy := newSlow(t), newSlow(t)
	var wg sync.WaitGroup
	for range maxKept + 20 {
		e := endpoint(t, Config{URL: hanging.URL + "/held", Timeout: time.Minute}, open())
		defer e.Close()
		hanging.hold(t, &wg, e)
	}
	e := endpoint(t, Config{URL: healthy.URL}, open())
	defer e.Close()
	for range 5 {
		send(t, e)
	}
	if n := healthy.connections.Load(); n != 1 {
		t.Errorf("%d connections for five exchanges, one after another", n)
	}
	close(hanging.letGo)
	wg.Wait()
}

// A connection that is in use while others are closed is kept when it is idle again.
func TestKept_WhatIsUnderWayKeepsItsConnection(t *testing.T) {
	busy, others := newSlow(t), newSlow(t)
	var wg sync.WaitGroup
	e := endpoint(t, Config{URL: busy.URL + "/held", Timeout: time.Minute}, open())
	defer e.Close()
	busy.hold(t, &wg, e)
	for range 2 * maxKept {
		o := endpoint(t, Config{URL: others.URL}, open())
		defer o.Close()
		send(t, o)
	}
	close(busy.letGo)
	wg.Wait()
	send(t, e)
	if n := busy.connections.Load(); n != 1 {
		t.Errorf("%d connections for two exchanges", n)
	}
}

func TestKept_TheLeastRecentlyUsedGoFirst(t *testing.T) {
	srv := newSlow(t)
	endpoints := make([]*Endpoint, 2*maxKept)
	for i := range endpoints {
		endpoints[i] = endpoint(t, Config{URL: srv.URL}, open())
		defer endpoints[i].Close()
		send(t, endpoints[i])
		send(t, endpoints[0]) // one that is always busy
	}
	if n := int(srv.connections.Load()); n != len(endpoints) {
		t.Errorf("%d connections by %d endpoints", n, len(endpoints))
	}
	for _, e := range endpoints[len(endpoints)-maxKept/2:] {
		send(t, e)
	}
	if n := int(srv.connections.Load()); n != len(endpoints) {
		t.Errorf("%d of the latest had lost theirs", n-len(endpoints))
	}
	send(t, endpoints[1])
	if n := int(srv.connections.Load()); n != len(endpoints)+1 {
		t.Errorf("%d connections: the one that was used first is still there", n)
	}
}

// Receivers that are always busy, with more connections between them than are kept: what is too
// much is closed without failing anything.
func TestKept_ClosingFailsNothing(t *testing.T) {
	srv := newSlow(t)
	var wg sync.WaitGroup
	var most atomic.Int64
	for range 100 {
		e := endpoint(t, Config{URL: srv.URL, Timeout: time.Minute, Concurrency: 4}, open())
		defer e.Close()
		for range 4 {
			wg.Go(func() {
				for range 15 {
					if r := e.Send(t.Context(), sample()); r.Class != Delivered {
						t.Errorf("%+v", r)
					}
					most.Store(max(most.Load(), int64(openConnections())))
				}
			})
		}
	}
	wg.Wait()
	if open := openConnections(); most.Load() <= maxKept || open > maxKept+8 { // other tests may have some
		t.Errorf("%d connections were open at once, %d are left", most.Load(), open)
	}
}

// net/http has a connection as idle for a moment before it hands out the response that came by it.
// The configuration or the certificates change in that moment.
func TestKept_AFormerConfigurationsExchangeIsNotCutOff(t *testing.T) {
	srv := newSlow(t)
	e := endpoint(t, Config{URL: srv.URL, Timeout: time.Minute}, open())
	closed := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) {
		if closed++; closed == 1 {
			e.Close()
			time.Sleep(100 * time.Millisecond) // the one who waits for the response sees the end of the connection
		}
	}})
	if r := e.Send(ctx, sample()); r.Class != Delivered || closed == 0 {
		t.Errorf("%+v; closed %d times", r, closed)
	}
}

// The same while there are too many connections and another endpoint closes what is idle.
func TestKept_WhoIsCloseToItsEndKeepsItsConnection(t *testing.T) {
	srv := newSlow(t)
	for range maxKept + minIdle {
		o := endpoint(t, Config{URL: srv.URL}, open())
		defer o.Close()
		send(t, o)
	}
	e := endpoint(t, Config{URL: srv.URL, Timeout: time.Minute}, open())
	defer e.Close()
	before := srv.connections.Load()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) {
		for range maxKept + minIdle {
			o := endpoint(t, Config{URL: srv.URL}, open())
			defer o.Close()
			send(t, o)
		}
	}})
	if r := e.Send(ctx, sample()); r.Class != Delivered {
		t.Errorf("%+v", r)
	}
	if n := srv.connections.Load() - before - maxKept - minIdle; n != 1 {
		t.Errorf("%d connections for one exchange", n)
	}
}
