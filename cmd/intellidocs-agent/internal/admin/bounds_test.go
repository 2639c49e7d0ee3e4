package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestBounds_CallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, answered, refused atomic.Int64
		release := make(chan struct{})
		h := guard(Access{Loopback: true, Host: "127.0.0.1:9723", Token: open}, newGate(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
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
		// Neither changes, nor other reads, nor what the page and probes ask for wait behind them.
		for range 50 {
			go call("POST", "/api/v1/replay")
		}
		go call("GET", "/healthz")
		go call("GET", "/api/v1/stream")
		go call("GET", "/api/v1/status")
		synctest.Wait()
		if n := inside.Load(); n != 2*atOnce+3 {
			t.Errorf("%d calls are under way, not %d", n, 2*atOnce+3)
		}
		close(release)
		synctest.Wait()
		if answered.Load() != 103 || refused.Load() != 0 {
			t.Errorf("%d answered, %d refused", answered.Load(), refused.Load())
		}
	})
}

func TestBounds_ABusyAgentSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := guard(Access{Socket: true}, newGate(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
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

// dial opens a connection to a listener of the server and says what is given.
func dial(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func listening(t *testing.T) (*served, string) {
	t.Helper()
	s := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.server.Serve(l, Access{Loopback: true, Host: l.Addr().String(), Token: open})
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what is under way is cut off
		_ = s.server.Close(ctx)
	})
	return s, l.Addr().String()
}

// alive asks as a probe does, and does not wait longer than one would.
func alive(t *testing.T, addr, path string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := c.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Errorf("%s: %s %v", path, resp.Status, err)
	}
}

func TestBounds_ConnectionsThatAskForNothingHoldUpNobody(t *testing.T) {
	for name, text := range map[string]string{
		"silent": "", "half a line": "GET /heal", "half a header": "GET /healthz HTTP/1.1\r\nHost: local", "done": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := listening(t)
			for range 2 * maxConnections {
				dial(t, addr, text)
			}
			alive(t, addr, "/healthz")
			alive(t, addr, "/readyz")
		})
	}
}

func TestBounds_ASlowBodyHoldsUpNobody(t *testing.T) {
	s, addr := listening(t)
	for range bodies - 1 {
		dial(t, addr, "POST /api/v1/replay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	}
	for range backfills {
		dial(t, addr, "POST /api/v1/ingest?name=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	}
	resp, err := http.Post("http://"+addr+"/api/v1/webhooks/main/resume", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	alive(t, addr, "/healthz")
	_ = s
}

func TestBounds_ManyStreamsAndReadersOfMetricsHoldUpNobody(t *testing.T) {
	_, addr := listening(t)
	for range maxStreams + 20 {
		dial(t, addr, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	for range 50 { // none of them reads the answer
		dial(t, addr, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	alive(t, addr, "/healthz")
	alive(t, addr, "/metrics")
	alive(t, addr, "/api/v1/deliveries")
}

// All streams send the same bytes.
func TestBounds_TheStatusIsMadeOnceForAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		s := sharedStatus{make: func() Status { made.Add(1); return Status{} }}
		for range 200 {
			go func() {
				for range 5 {
					if frame, err := s.frame(time.Second); err != nil || !bytes.HasPrefix(frame, []byte("event: status\ndata: {")) {
						t.Errorf("%q %v", frame, err)
					}
					time.Sleep(time.Second)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		if n := made.Load(); n > 10 {
			t.Errorf("made %d times in 5 s", n)
		}
	})
}

// pages reads a list to its end, and returns how many rows each page had.
func pages[T any](t *testing.T, s *served, path string, rows func(body []byte) ([]T, string)) (all []T, sizes []int) {
	t.Helper()
	for before := ""; ; {
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, httptest.NewRequest("GET", path+"&before="+before, nil))
		if w.Code != 200 || w.Body.Len() > 2*pageBytes {
			t.Fatalf("%d, %d bytes: %.200s", w.Code, w.Body.Len(), w.Body)
		}
		part, next := rows(w.Body.Bytes())
		all, sizes = append(all, part...), append(sizes, len(part))
		if next == "" {
			return all, sizes
		}
		before = next
	}
}

func TestBounds_ListsAreCutByTheirBytesAndGoOn(t *testing.T) {
	s := serve(t)
	const n = 60
	for i := range n {
		longType := strings.Repeat("t", 900_000) + fmt.Sprint(i)
		_, err := s.queue.Commit(t.Context(), queue.Batch{
			Source: "log",
			Events: []queue.NewEvent{{
				Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", 1000+i), Type: longType, Source: "log", Path: "/log", Body: []byte(`{"event_type":"x"}`)},
				Webhooks: []string{"main"},
			}},
			Rejected: []queue.Rejected{{Source: "log", Path: "/log", Offset: int64(i), Stream: "s", Reason: "odd", Data: bytes.Repeat([]byte{1}, 64<<10)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rejected, sizes := pages(t, s, "/api/v1/rejected?limit=500&text=whole", func(body []byte) ([]RejectedView, string) {
		var p RejectedPage
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		return p.Rejected, p.Next
	})
	if len(rejected) != n+1 || len(sizes) < n/2 || len(rejected[0].Text) != 64<<10 {
		t.Errorf("%d records in %d pages", len(rejected), len(sizes))
	}
	seen := map[string]bool{}
	deliveries, sizes := pages(t, s, "/api/v1/deliveries?limit=50&event_type=", func(body []byte) ([]Row, string) {
		var p Page
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		return p.Deliveries, p.Next
	})
	for _, d := range deliveries {
		seen[d.ID] = true
		if d.EventType != "scan_completed" && (len(d.EventType) > 2*maxRowText || !strings.HasSuffix(d.EventType, "…")) {
			t.Errorf("a type of %d bytes", len(d.EventType))
		}
	}
	if len(seen) != n+3 || len(sizes) != 2 {
		t.Errorf("%d deliveries in pages of %v", len(seen), sizes)
	}
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/events?limit=200", nil))
	if w.Code != 200 || w.Body.Len() > 2*pageBytes {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	// One by itself has the payload whole, and as much of its type as is kept beside it.
	w = httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/deliveries/"+deliveries[0].ID, nil))
	var detail EventDetail
	if err := json.Unmarshal(w.Body.Bytes(), &detail); err != nil || len(detail.Event.Type) < 500 || len(detail.Event.Type) > 600 || len(detail.Deliveries) != 1 || string(detail.Event.Payload) != `{"event_type":"x"}` {
		t.Errorf("%v: %.300s", err, w.Body)
	}
}

// One page is put together at a time, and then, where others wait, none for three times as long as that
// took, up to a bound: many who ask for one after another leave most of the time to others.
func TestGate_PagesArePutTogetherOneAtATimeAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, takes := time.Now(), []time.Duration{100 * time.Millisecond, 2 * time.Second, time.Second, time.Second, 0}
		var starts []time.Duration
		page := newGate().paged(func(http.ResponseWriter, *http.Request) (any, error) {
			starts = append(starts, time.Since(begun)) // the race detector minds two at once
			time.Sleep(takes[len(starts)-1])
			return nil, nil
		})
		var calls sync.WaitGroup
		call := func() {
			if _, err := page(nil, httptest.NewRequest(http.MethodGet, "/api/v1/deliveries", nil)); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			calls.Go(call)
		}
		calls.Wait()
		call()
		call()
		third := 2400*time.Millisecond + longestRest
		want := []time.Duration{0, 400 * time.Millisecond, third, third + time.Second, third + 2*time.Second}
		if !slices.Equal(starts, want) {
			t.Errorf("pages began after %v, not %v", starts, want)
		}
	})
}

// Whoever leaves while it waits for a page takes no place, and gives up none.
func TestGate_ACallThatEndsWhileItWaitsForAPageTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := newGate().paged(func(http.ResponseWriter, *http.Request) (any, error) { time.Sleep(time.Second); return nil, nil })
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = page(nil, httptest.NewRequest(http.MethodGet, "/api/v1/deliveries", nil)) }()
		synctest.Wait()
		left := make(chan error)
		go func() {
			_, err := page(nil, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/deliveries", nil))
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, errBusy) {
			t.Error(err)
		}
		begun := time.Now()
		if _, err := page(nil, httptest.NewRequest(http.MethodGet, "/api/v1/deliveries", nil)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 2*time.Second+longestRest {
			t.Errorf("the page after it took %v", took)
		}
	})
}

// Every list, and nothing else that is read, waits while a page is put together.
func TestGate_ListsAloneWaitForAPage(t *testing.T) {
	s := serve(t)
	s.server.gate.pages <- struct{}{}
	gone, leave := context.WithCancel(t.Context())
	leave() // it would wait for seconds
	for path, want := range map[string]int{
		"/api/v1/deliveries": 503, "/api/v1/events": 503, "/api/v1/rejected": 503,
		"/api/v1/status": 200, "/api/v1/count": 200, "/api/v1/log": 200,
	} {
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, path, nil))
		if w.Code != want || (w.Header().Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
	}
}
