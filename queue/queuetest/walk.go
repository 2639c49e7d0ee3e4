package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// walk is a random walk over what a queue can be asked to do, beside its model.
type walk struct {
	t     *testing.T
	rnd   *rand.Rand
	store Store
	q     Engine
	epoch func(webhook string) int64
	m     *model
	next  int
	gen   int64
}

// Model has a queue and its model do the same at random, and compares all that they answer: with
// reopening, a jumping clock and upkeep in between.
func Model(t *testing.T, rounds, steps int, store func(t *testing.T) Store) {
	for i := range rounds {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &walk{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), store: store(t), m: newModel()}
			w.open()
			defer func() { _ = w.q.Close() }()
			for range steps {
				w.step()
				w.compare()
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (w *walk) open() {
	w.q, w.epoch = w.store.Open(w.t, Options{
		Retention: modelRetention, DedupWindow: modelWindow, Now: func() time.Time { return w.m.now }, Webhooks: modelWebhooks,
	})
}

func (w *walk) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) webhook() string { return modelWebhooks[w.rnd.IntN(len(modelWebhooks))] }

func (w *walk) step() {
	m, rnd := w.m, w.rnd
	var d *queue.Delivery
	if all := m.where(func(*queue.Delivery) bool { return true }); len(all) > 0 {
		d = all[rnd.IntN(len(all))]
	}
	switch n := rnd.IntN(22); {
	case n < 7:
		w.commit()
	case n < 12:
		if d != nil && !d.Finished() {
			w.record(d)
		}
	case n < 14:
		if d != nil {
			w.replay(d)
		}
	case n == 14:
		w.keep()
	case n == 15:
		w.must(w.q.Close())
		w.open()
	case n == 16:
		m.now = m.now.Add(-time.Duration(rnd.IntN(1800)) * time.Second)
	case n == 17:
		m.upkeep()
		w.must(w.q.Upkeep(w.t.Context()))
	case n == 18:
		w.changeWaiting()
	default:
		m.now = m.now.Add(time.Duration(rnd.IntN(3600)) * time.Second)
	}
}

func (w *walk) commit() {
	rnd := w.rnd
	b := queue.Batch{Source: "log", Gen: w.gen}
	if rnd.IntN(4) > 0 {
		b.Cursor = fmt.Append(nil, rnd.Int())
	}
	for range rnd.IntN(6) {
		if rnd.IntN(4) > 0 {
			w.next++
		}
		e := Event(w.next, modelWebhooks[:1+rnd.IntN(len(modelWebhooks))]...)
		e.Type = modelTypes[rnd.IntN(len(modelTypes))]
		b.Events = append(b.Events, e)
	}
	for range rnd.IntN(2) {
		b.Rejected = append(b.Rejected, queue.Rejected{Source: "log", Offset: rnd.Int64N(20), Reason: "odd"})
	}
	fresh, duplicates := w.m.fresh(b)
	got, err := w.q.Commit(w.t.Context(), b)
	w.must(err)
	var ids []string
	deliveries := 0
	for _, e := range fresh {
		ids = append(ids, e.ID)
		deliveries += len(e.Webhooks)
	}
	if got.Duplicates != duplicates || got.Deliveries != deliveries || !slices.Equal(got.Queued, ids) {
		w.t.Fatalf("committed %+v, want %v, %d deliveries and %d duplicates", got, ids, deliveries, duplicates)
	}
	w.gen = got.Gen
	if b.Cursor != nil {
		w.m.cursor = string(b.Cursor)
	}
	w.learn(fresh)
	w.learnRejected(b.Rejected)
}

// learn tells the model which numbers the engine has chosen for events.
func (w *walk) learn(fresh []queue.NewEvent) {
	last := uint64(0)
	for seq := range w.m.events {
		last = max(last, seq)
	}
	for _, e := range fresh {
		ds, err := w.q.DeliveriesOf(e.ID)
		w.must(err)
		var ids []string
		for _, d := range ds {
			ids = append(ids, d.ID)
		}
		if len(ids) != len(e.Webhooks) || seqOf(ids[0]) <= last || !slices.IsSorted(ids) {
			w.t.Fatalf("event %s for %d webhooks has deliveries %v, after %x", e.ID, len(e.Webhooks), ids, last)
		}
		last = seqOf(ids[0])
		if at := ds[0].CreatedAt; at.Before(w.m.now) || at.After(w.m.now.Add(time.Second)) {
			w.t.Fatalf("queued at %s, at %s", at, w.m.now)
		}
		w.m.add(e, ds)
	}
}

func (w *walk) learnRejected(all []queue.Rejected) {
	if len(all) == 0 {
		return
	}
	kept, _, err := w.q.Rejected(w.t.Context(), queue.RejectedFilter{Limit: 100})
	w.must(err)
	for _, r := range kept {
		if _, known := w.m.rejected[r.Offset]; !known {
			w.m.rejected[r.Offset] = seqOf(r.ID)
		}
	}
	for _, r := range all {
		if _, known := w.m.rejected[r.Offset]; !known {
			w.t.Fatalf("the record at %d is not kept", r.Offset)
		}
	}
}

func (w *walk) record(d *queue.Delivery) {
	now := w.m.now
	o := queue.Outcome{
		DeliveryID: d.ID, Epoch: w.epoch(d.Webhook), Status: modelStatuses[1+w.rnd.IntN(3)],
		Attempt: queue.Attempt{N: d.Attempts + 1, At: now}, Free: w.rnd.IntN(4) == 0,
	}
	if o.Status == queue.Retrying {
		o.Due = now.Add(time.Duration(w.rnd.IntN(7200)) * time.Second)
	}
	w.must(w.q.Record(w.t.Context(), o))
	w.m.history.attempted(d.Webhook, o.Status, now)
	d.Attempts++
	if !o.Free {
		d.Spent++
	}
	d.Status, d.LastAttemptAt, d.NextAttemptAt, d.CompletedAt = o.Status, now, o.Due, time.Time{}
	if d.Finished() {
		d.CompletedAt = now
	}
}

func (w *walk) replay(d *queue.Delivery) {
	n, err := w.q.Replay(w.t.Context(), "cli", []string{d.ID})
	if err != nil || n != 1 {
		w.t.Fatal(n, err)
	}
	if d.Finished() {
		d.Spent = 0
	}
	d.Status, d.NextAttemptAt, d.CompletedAt = queue.Pending, w.m.now, time.Time{}
	d.Replays = append(d.Replays, queue.Replay{At: w.m.now})
	if d.Attempts > 0 {
		d.Status = queue.Retrying
	}
}

// keep sets what is kept about a webhook.
func (w *walk) keep() {
	name, value := w.webhook(), fmt.Sprintf(`{"n":%d}`, w.rnd.Int())
	if w.rnd.IntN(2) == 0 {
		w.m.state[name] = value
		w.must(w.q.SetState(w.t.Context(), name, w.epoch(name), []byte(value)))
	} else {
		w.m.pause[name] = value
		w.must(w.q.SetPause(w.t.Context(), name, []byte(value)))
	}
}

// changeWaiting discards or moves what waits for a webhook.
func (w *walk) changeWaiting() {
	from, to, discard := w.webhook(), w.webhook(), w.rnd.IntN(2) == 0
	var n int
	var err error
	if discard {
		n, err = w.q.Discard(w.t.Context(), "cli", queue.Filter{Webhook: from})
	} else {
		n, err = w.q.Move(w.t.Context(), from, to)
	}
	w.must(err)
	waiting := w.m.waiting(from)
	if n != len(waiting) {
		w.t.Fatalf("changed %d, want %d", n, len(waiting))
	}
	for _, d := range waiting {
		if discard {
			d.Status, d.NextAttemptAt, d.CompletedAt = queue.Failed, time.Time{}, w.m.now
		} else {
			d.Webhook, d.NextAttemptAt = to, w.m.now
		}
	}
}
