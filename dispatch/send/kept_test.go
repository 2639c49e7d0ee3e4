package send

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
