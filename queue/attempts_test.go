package queue

import (
	"fmt"
	"strings"
	"testing"
)

// A delivery may be tried often: what is kept of its attempts is bounded.
func TestRecord_KeepsTheHeadersOfTheLatestAttempts(t *testing.T) {
	q := open(t, Options{})
	commit(t, q, Batch{Source: "log", Events: []NewEvent{event(1, "a")}})
	page, err := q.List(t.Context(), Filter{})
	if err != nil || len(page.Deliveries) != 1 {
		t.Fatal(err, page)
	}
	id := page.Deliveries[0].ID
	for n := 1; n <= 60; n++ {
		header := fmt.Sprintf("HTTP/1.1 500 Internal Server Error\nX-Attempt: %d\n%s", n, strings.Repeat("ü", 3000))
		if err := q.Record(t.Context(), Outcome{DeliveryID: id, Status: Retrying, Attempt: Attempt{N: n, Status: 500, Header: header}}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := q.Get(id)
	if err != nil || len(d.History) != maxHistory {
		t.Fatal(err, len(d.History))
	}
	for i, a := range d.History {
		kept := len([]rune(a.Header)) == maxHeader && strings.Contains(a.Header, fmt.Sprintf("X-Attempt: %d\n", a.N))
		if latest := i >= maxHistory-maxHeaders; latest != kept || !latest && a.Header != "" {
			t.Errorf("attempt %d has %d bytes of headers", a.N, len(a.Header))
		}
	}
}
