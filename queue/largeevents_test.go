package queue

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Whoever looks for what is due reads no large event, and no delivery carries its long type.
func TestDue_OfLargeEventsReadsNoneOfThem(t *testing.T) {
	q := open(t, Options{Dir: t.TempDir()})
	const n, size = 20, 1 << 20
	longType := strings.Repeat("t", size)
	for i := range n {
		body := append(fmt.Appendf(nil, "%d", i), bytes.Repeat([]byte("x"), size)...)
		e := NewEvent{Event: Event{ID: fmt.Sprintf("evt_%032x", i+1), Type: longType, ReadAt: time.Now(), Body: body}, Webhooks: []string{"a", "b"}}
		if _, err := q.Commit(t.Context(), Batch{Source: "s", Events: []NewEvent{e}}); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	due, _, err := q.Due("b", time.Now(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; len(due) != n || used > 2<<20 {
		t.Errorf("%d due, for which %d bytes were allocated", len(due), used)
	}
	for _, d := range due {
		if len(d.EventType) > MaxType+3 || d.Size < size || d.Status != Pending || d.Webhook != "b" || d.NextAttemptAt.IsZero() {
			t.Fatalf("%d bytes of type, size %d, %s for %s, due %s", len(d.EventType), d.Size, d.Status, d.Webhook, d.NextAttemptAt)
		}
	}
	e, err := q.EventOf(due[0].ID)
	if err != nil || len(e.Body) < size {
		t.Errorf("%d bytes, %v", len(e.Body), err)
	}
	page, err := q.List(t.Context(), Filter{Webhook: "a", EventType: due[0].EventType})
	if err != nil || len(page.Deliveries) != n {
		t.Errorf("%d listed by the type, %v", len(page.Deliveries), err)
	}
}
