package dispatch

import (
	"context"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// slowStore is a store whose disk stands still until it is let go.
type slowStore struct {
	*modelStore
	held chan struct{} // closed: let go
}

func (s *slowStore) Record(ctx context.Context, outcomes ...queue.Outcome) error {
	select {
	case <-s.held:
		return s.modelStore.Record(ctx, outcomes...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func slowBench(t *testing.T, hooks ...Webhook) (*bench, *slowStore) {
	t.Helper()
	store := &slowStore{newModelStore(), make(chan struct{})}
	b := &bench{store: store.modelStore, log: &lockedBuffer{}}
	b.Dispatcher = New(Options{Store: store, Grace: 10 * time.Second})
	if err := b.Apply(hooks); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.end = func() { cancel(); <-done }
	return b, store
}

func TestRecorder_WhatAKillWouldRepeatIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		b, store := slowBench(t, hook("a", e))
		b.queue("a", 2000)
		after(time.Minute)
		sent := len(e.all())
		if sent <= defaultConcurrency || sent > 512 {
			t.Errorf("%d attempts were made and none is recorded, want more than there are slots and at most 512", sent)
		}
		close(store.held)
		after(time.Minute)
		if n := b.store.count(queue.Success); n != 2000 || len(e.all()) != 2000 {
			t.Errorf("%d of 2000 recorded, %d attempts", n, len(e.all()))
		}
		b.end()
	})
}

func TestRecorder_AnOrderedWebhookWaitsForTheDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		h := hook("a", e)
		h.Ordered = true
		b, store := slowBench(t, h)
		b.queue("a", 10)
		after(time.Minute)
		if n := len(e.all()); n != 1 {
			t.Errorf("%d attempts before the first was recorded", n)
		}
		close(store.held)
		after(time.Minute)
		if n := b.store.count(queue.Success); n != 10 {
			t.Errorf("%d of 10 recorded", n)
		}
		b.end()
	})
}

func TestRecorder_ACleanStopRecordsAllThatWasSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		b, store := slowBench(t, hook("a", e))
		b.queue("a", 100)
		after(time.Second)
		time.AfterFunc(time.Second, func() { close(store.held) })
		b.end()
		if n := b.store.count(queue.Success); n != 100 || len(e.all()) != 100 {
			t.Errorf("%d of %d attempts recorded", n, len(e.all()))
		}
	})
}

// countingStore counts the calls that record outcomes.
type countingStore struct {
	*modelStore
	records int
}

func (s *countingStore) Record(ctx context.Context, outcomes ...queue.Outcome) error {
	s.records++ // by the recorder's goroutine alone
	return s.modelStore.Record(ctx, outcomes...)
}

func TestRecorder_OutcomesWaitForEachOtherUnlessTheirWebhookWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := answering(delivered), answering(delivered)
		ordered, free := hook("ordered", a), hook("free", b)
		ordered.Ordered = true
		store := &countingStore{modelStore: newModelStore()}
		store.add("ordered", 50)
		store.add("free", 50)
		d := New(Options{Store: store})
		if err := d.Apply([]Webhook{ordered, free}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		begun := time.Now()
		go func() { done <- d.Run(ctx) }()
		after(time.Second)
		for _, sent := range a.all() {
			if waited := sent.at.Sub(begun); waited > 0 {
				t.Errorf("an ordered webhook's attempt waited %s for others' outcomes", waited)
			}
		}
		cancel()
		<-done
		if n := store.count(queue.Success); n != 100 || len(a.all()) != 50 {
			t.Errorf("%d of 100 recorded, %d of the ordered ones sent", n, len(a.all()))
		}
		if store.records < 50 || store.records > 60 {
			t.Errorf("recorded in %d parts, want one for each of the ordered ones and few for all others", store.records)
		}
	})
}

// pickyStore refuses one delivery's outcomes.
type pickyStore struct {
	*modelStore
	refused string
}

func (s *pickyStore) Record(ctx context.Context, outcomes ...queue.Outcome) error {
	for _, o := range outcomes {
		if o.DeliveryID == s.refused {
			return queue.ErrDamaged
		}
	}
	return s.modelStore.Record(ctx, outcomes...)
}

func TestRecorder_AnOutcomeThatCannotBeRecordedKeepsNoOtherBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := answering(delivered)
		store := newModelStore()
		ids := store.add("a", 300)
		d := New(Options{Store: &pickyStore{store, ids[7]}})
		if err := d.Apply([]Webhook{hook("a", e)}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		after(time.Minute)
		if n := store.count(queue.Success); n != 299 || len(e.all()) != 300 {
			t.Errorf("%d recorded of 299, %d attempts", n, len(e.all()))
		}
		cancel()
		<-done
	})
}

// stuckStore fails while it is still at the outcomes it was given, as one whose disk hangs.
type stuckStore struct {
	*modelStore
	given []queue.Outcome
}

func (s *stuckStore) Record(ctx context.Context, outcomes ...queue.Outcome) error {
	if s.given == nil {
		s.given = outcomes
		return errDisk
	}
	return s.modelStore.Record(ctx, outcomes...)
}

func TestRecorder_LeavesToTheStoreWhatItFailedWith(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &stuckStore{modelStore: newModelStore()}
		b := &bench{store: store.modelStore, log: &lockedBuffer{}}
		b.Dispatcher = New(Options{Store: store, Grace: 10 * time.Second})
		if err := b.Apply([]Webhook{hook("a", answering(delivered))}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		b.queue("a", 50)
		after(time.Minute)
		cancel()
		if err := <-done; err != nil || b.store.count(queue.Success) != 50 {
			t.Errorf("%v; %d delivered", err, b.store.count(queue.Success))
		}
		for _, o := range store.given {
			if o.DeliveryID == "" || o.Status != queue.Success {
				t.Errorf("the store was still at %+v", o)
			}
		}
		if len(store.given) == 0 {
			t.Error("nothing was recorded")
		}
	})
}
