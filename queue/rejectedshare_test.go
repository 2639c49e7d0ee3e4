package queue

import (
	"context"
	"crypto/rand"
	"testing"
	"time"
)

// Broken records beside a delivery that waits do not stop the reading: the oldest go.
func TestRejected_KeepToTheirShareAndTheReadingContinues(t *testing.T) {
	const maxSize = 24 << 20
	q := open(t, Options{MaxSize: maxSize})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	commit(t, q, Batch{Events: []NewEvent{event(1, "a")}})
	const records = 750
	for n := range records {
		// What Run does each second; here, where no commit is under way meanwhile: Badger's own
		// collection looks at a memtable beside its writes, and the race detector minds.
		if q.disk.measure(); q.disk.pressed() {
			if err := q.Upkeep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		data := make([]byte, 64<<10)
		_, _ = rand.Read(data)
		rec := Rejected{Source: "log", Stream: "s", Offset: int64(n), Size: 64 << 10, At: time.Now(), Reason: "broken", Data: data}
		if _, err := q.Commit(ctx, Batch{Source: "log", Cursor: []byte{byte(n)}, Rejected: []Rejected{rec}}); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
	if got := q.Counts()["a"][Pending]; got != 1 {
		t.Errorf("%d deliveries wait", got)
	}
	kept, _, err := q.Rejected(ctx, RejectedFilter{Limit: records})
	if err != nil || len(kept) == 0 || len(kept) == records || kept[0].Offset != records-1 {
		t.Fatalf("%d kept, %v", len(kept), err)
	}
	dropped := q.maintenance.rejectedDropped.Load()
	if s := q.Stats(); int64(len(kept))+dropped != records || s.Rejected != int64(len(kept)) {
		t.Errorf("%d kept, %d dropped, %d counted, of %d", len(kept), dropped, s.Rejected, records)
	}
	for i := range kept {
		if kept[i].Offset != int64(records-1-i) {
			t.Fatal("others than the oldest were dropped")
		}
	}
}
