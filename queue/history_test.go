package queue

import (
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func TestHistory_TellsHowLongAttemptsTook(t *testing.T) {
	b := Bucket{}
	for took := range 100 {
		b.Count(&Outcome{Status: Success, Attempt: Attempt{Took: time.Duration(took+1) * time.Millisecond}})
	}
	b.Count(&Outcome{Status: Retrying, Attempt: Attempt{Took: 10 * time.Minute}})
	for _, c := range []struct {
		part     float64
		from, to time.Duration
	}{
		{0.01, 0, 2 * time.Millisecond},
		{0.5, 45 * time.Millisecond, 55 * time.Millisecond},
		{0.95, 90 * time.Millisecond, 100 * time.Millisecond},
		{1, 10 * time.Minute, 10 * time.Minute},
	} {
		if got := b.Quantile(c.part); got < c.from || got > c.to {
			t.Errorf("%v of them took at most %s, want %s to %s", c.part, got, c.from, c.to)
		}
	}
	if b.Slowest != 10*time.Minute || b.Delivered != 100 || b.Failed != 1 {
		t.Errorf("%+v", b)
	}
	if got := (&Bucket{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
}

// However long it runs, a webhook's history takes what its rings hold.
func TestHistory_IsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := open(t, Options{Now: func() time.Time { return now }, Webhooks: func() []string { return []string{"a"} }})
	commit(t, q, Batch{Source: "log", Events: []NewEvent{event(1, "a", "gone")}})
	page, err := q.List(t.Context(), Filter{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, s := range Spans {
		most += s.Buckets
	}
	for i := range 400 {
		now = now.Add(time.Duration(1+i%7) * time.Minute)
		if i%100 == 99 {
			now = now.Add(-50 * time.Hour)
		}
		for _, d := range page.Deliveries {
			if err := q.Record(t.Context(), Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: i + 1, At: now}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys := func() (n int) {
		err := q.view(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindHistory}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := keys(); n > 2*most || n < 100 {
		t.Errorf("%d buckets of two webhooks, want at most %d", n, 2*most)
	}
	// Without its deliveries only the configured webhook's stays.
	now = now.Add(1000 * time.Hour)
	q.SetLimits(0, time.Hour, time.Hour)
	before := keys()
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := keys(); n != before/2 {
		t.Errorf("%d buckets after the other webhook went, want %d", n, before/2)
	}
}

// What cannot be read of the history keeps no outcome from being recorded.
func TestHistory_DamagedIsBegunAgain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := open(t, Options{Now: func() time.Time { return now }})
	commit(t, q, Batch{Source: "log", Events: []NewEvent{event(1, "a")}})
	page, err := q.List(t.Context(), Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = q.writer.submit(t.Context(), cost{1, 100}, func(w *writeTxn) error {
		return w.set(bucketKey("a", 0, Spans[0].Number(now)), []byte("not a bucket"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := q.History("a", 0); err != nil || len(h) != 0 {
		t.Fatalf("%+v %v", h, err)
	}
	if err := q.Record(t.Context(), Outcome{DeliveryID: page.Deliveries[0].ID, Status: Success, Attempt: Attempt{N: 1, At: now}}); err != nil {
		t.Fatal(err)
	}
	if h, err := q.History("a", 0); err != nil || len(h) != 1 || h[0].Delivered != 1 {
		t.Fatalf("%+v %v", h, err)
	}
}

func TestHistory_KnowsTheLastFailureAfterARestart(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	dir := t.TempDir()
	o := Options{Dir: dir, Now: func() time.Time { return now }}
	q := open(t, o)
	commit(t, q, Batch{Source: "log", Events: []NewEvent{event(1, "a", "b"), event(2, "a")}})
	page, err := q.List(t.Context(), Filter{})
	if err != nil || len(page.Deliveries) != 3 {
		t.Fatal(err, page)
	}
	record := func(d Delivery, status Status, text string) {
		t.Helper()
		now = now.Add(2 * time.Minute)
		if err := q.Record(t.Context(), Outcome{DeliveryID: d.ID, Status: status, Attempt: Attempt{N: 1, At: now, Error: text}}); err != nil {
			t.Fatal(err)
		}
	}
	failing := func(webhook, want string) {
		t.Helper()
		if a, ok, err := q.LastFailed(t.Context(), webhook); err != nil || ok != (want != "") || a.Error != want {
			t.Errorf("the last failure of %s is %+v %v %v, want %q", webhook, a, ok, err, want)
		}
	}
	failing("a", "")
	for _, d := range page.Deliveries {
		if d.Webhook == "b" {
			record(d, Success, "")
		} else {
			record(d, Failed, "HTTP 500")
		}
	}
	now = now.Add(100 * time.Hour)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, o)
	failing("a", "HTTP 500")
	failing("b", "")
	record(page.Deliveries[0], Success, "")
	failing("a", "")
}
