package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestRecent_IsBoundedAndForgetsWhatIsDeleted(t *testing.T) {
	q := open(t, Options{Retention: time.Hour})
	for n := range 3 {
		var b Batch
		for i := range 500 {
			e := event(n*500+i, "a", "b")
			e.Body = []byte(fmt.Sprintf("%0*d", 1000+i, n))
			b.Events = append(b.Events, e)
		}
		commit(t, q, b)
	}
	ds, _, err := q.Due("a", time.Now(), 1500, nil)
	if err != nil || len(ds) != 1500 {
		t.Fatalf("%d are due (%v)", len(ds), err)
	}
	if n := len(q.recent.of); n == 0 || n > maxRecent || n != len(q.recent.order) || q.recent.bytes > maxRecentBytes {
		t.Fatalf("%d events of %d bytes are kept, %d in order", n, q.recent.bytes, len(q.recent.order))
	}
	bytes := 0
	for _, e := range q.recent.of {
		bytes += e.memory()
	}
	if bytes != q.recent.bytes {
		t.Fatalf("%d bytes are kept, and %d counted", bytes, q.recent.bytes)
	}

	last := ds[len(ds)-1]
	at, err := q.parseDeliveryID(last.ID)
	if err != nil || q.recent.get(at.seq) == nil {
		t.Fatalf("the event that was read last is not kept (%v)", err)
	}
	if e, err := q.EventOf(last.ID); err != nil || e.ID != last.EventID || len(e.Body) != 1499 {
		t.Fatalf("%+v %v", e, err)
	}
	err = q.writer.submit(t.Context(), cost{1, 100}, func(w *writeTxn) error { return w.delete(eventKey(at.seq)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.EventOf(last.ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("an event that is deleted is still read: %v", err)
	}
	for _, seq := range q.recent.order {
		if seq == at.seq {
			t.Fatal("it is still kept")
		}
	}
}

// What is read of a snapshot from before a deletion may be what was deleted.
func TestRecent_KeepsNothingThatMayBeDeletedByNow(t *testing.T) {
	var r recentEvents
	before := r.token()
	r.forget(1)
	r.put(1, &storedEvent{}, before)
	r.put(2, &storedEvent{}, r.token())
	if r.get(1) != nil || r.get(2) == nil {
		t.Errorf("kept: %v", r.of)
	}
}
