package queuetest

import (
	"fmt"
	"maps"
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

func (w *walk) compare() {
	w.compareKept()
	for _, name := range modelWebhooks {
		w.compareDue(name)
	}
	w.compareList()
	w.compareHistory()
	all := w.m.where(func(*queue.Delivery) bool { return true })
	if len(all) == 0 {
		return
	}
	want := all[w.rnd.IntN(len(all))]
	d, err := w.q.Get(want.ID)
	w.must(err)
	w.same(want, d)
	e, err := w.q.EventOf(d.ID)
	if want := w.m.events[seqOf(d.ID)].e; err != nil || e.ID != want.ID || string(e.Body) != string(want.Body) {
		w.t.Fatalf("event %+v of %s, %v", e, d.ID, err)
	}
}

func (w *walk) same(want *queue.Delivery, d queue.Delivery) {
	w.t.Helper()
	micro := func(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
	if d.ID != want.ID || d.EventID != want.EventID || d.EventType != want.EventType || d.Webhook != want.Webhook || d.Status != want.Status ||
		d.Attempts != want.Attempts || d.Spent != want.Spent || !micro(d.NextAttemptAt).Equal(micro(want.NextAttemptAt)) ||
		!d.CompletedAt.Equal(want.CompletedAt) || !micro(d.CreatedAt).Equal(micro(want.CreatedAt)) {
		w.t.Fatalf("delivery\n%+v, want\n%+v", d, *want)
	}
}

func (w *walk) compareKept() {
	c, gen, err := w.q.Cursor("log")
	if w.must(err); string(c) != w.m.cursor || gen != w.gen {
		w.t.Fatalf("cursor %q, %d, want %q, %d", c, gen, w.m.cursor, w.gen)
	}
	for name, want := range w.m.state {
		s, err := w.q.State(name)
		if w.must(err); string(s) != want {
			w.t.Fatalf("state %q, want %q", s, want)
		}
	}
	for name, want := range w.m.pause {
		p, err := w.q.Pause(name)
		if w.must(err); string(p) != want {
			w.t.Fatalf("pause %q, want %q", p, want)
		}
	}
	if kept, _, err := w.q.Rejected(w.t.Context(), queue.RejectedFilter{Limit: 100}); err != nil || len(kept) != len(w.m.rejected) {
		w.t.Fatalf("%d rejected, %v, want %d", len(kept), err, len(w.m.rejected))
	}
	want := map[string]map[queue.Status]int64{}
	for _, d := range w.m.deliveries {
		if want[d.Webhook] == nil {
			want[d.Webhook] = map[queue.Status]int64{}
		}
		want[d.Webhook][d.Status]++
	}
	if got := w.q.Counts(); !maps.EqualFunc(got, want, maps.Equal) {
		w.t.Fatalf("counts %v, want %v", got, want)
	}
}

func (w *walk) compareDue(webhook string) {
	now, limit := w.m.now, 1+w.rnd.IntN(20)
	inOrder := w.m.where(func(d *queue.Delivery) bool { return d.Webhook == webhook && !d.Finished() })
	head, ok, err := w.q.Head(webhook)
	// One event may be there twice, once moved from another webhook.
	if w.must(err); ok != (len(inOrder) > 0) || ok && seqOf(head.ID) != seqOf(inOrder[0].ID) {
		w.t.Fatalf("head %v %+v, want %v", ok, head, inOrder)
	}
	waiting := w.m.waiting(webhook)
	var next time.Time
	var want []*queue.Delivery
	for _, d := range waiting {
		if d.NextAttemptAt.After(now) || len(want) == limit {
			next = d.NextAttemptAt
			break
		}
		want = append(want, d)
	}
	got, gotNext, err := w.q.Due(webhook, now, limit, nil)
	w.must(err)
	if len(got) != len(want) || !gotNext.Truncate(time.Microsecond).Equal(next.Truncate(time.Microsecond)) {
		w.t.Fatalf("%d due and next at %s, want %d and %s", len(got), gotNext, len(want), next)
	}
	for i := range got {
		w.same(want[i], got[i])
	}
	if oldest := w.q.OldestDue(webhook); len(waiting) > 0 && !oldest.Truncate(time.Microsecond).Equal(waiting[0].NextAttemptAt.Truncate(time.Microsecond)) {
		w.t.Fatalf("oldest due %s", oldest)
	}
}

func (w *walk) filter() queue.Filter {
	rnd := w.rnd
	f := queue.Filter{Limit: 1 + rnd.IntN(10)}
	if rnd.IntN(2) == 0 {
		f.Webhook = w.webhook()
	}
	if rnd.IntN(2) == 0 {
		f.EventType = modelTypes[rnd.IntN(len(modelTypes))]
	}
	for _, s := range modelStatuses {
		if rnd.IntN(3) == 0 {
			f.Status = append(f.Status, s)
		}
	}
	if rnd.IntN(4) == 0 {
		f.Since = w.m.now.Add(-time.Duration(rnd.IntN(36000)) * time.Second)
	}
	if rnd.IntN(4) == 0 {
		f.Until = w.m.now.Add(-time.Duration(rnd.IntN(36000)) * time.Second)
	}
	return f
}

func (w *walk) compareList() {
	f := w.filter()
	want := w.m.where(func(d *queue.Delivery) bool {
		seq := seqOf(d.ID)
		return (f.Webhook == "" || d.Webhook == f.Webhook) && (f.EventType == "" || d.EventType == f.EventType) &&
			(len(f.Status) == 0 || slices.Contains(f.Status, d.Status)) &&
			(f.Since.IsZero() || seq >= nanos(f.Since)) && (f.Until.IsZero() || seq < nanos(f.Until))
	})
	slices.Reverse(want)
	if n, err := w.q.Count(w.t.Context(), f); err != nil || n != len(want) {
		w.t.Fatalf("counted %d, %v, want %d", n, err, len(want))
	}
	for {
		page, err := w.q.List(w.t.Context(), f)
		w.must(err)
		if len(page.Deliveries) > len(want) || len(page.Deliveries) < min(f.Limit, len(want)) {
			w.t.Fatalf("%+v gave %d of %d", f, len(page.Deliveries), len(want))
		}
		for i, d := range page.Deliveries {
			w.same(want[i], d)
		}
		want = want[len(page.Deliveries):]
		if page.Next == "" {
			break
		}
		f.Before = page.Next
	}
	if len(want) > 0 {
		w.t.Fatalf("%+v left %d out", f, len(want))
	}
}

func (w *walk) compareHistory() {
	for _, webhook := range modelWebhooks {
		for i, span := range queue.Spans {
			got, err := w.q.History(webhook, i)
			w.must(err)
			want := map[int64]*modelBucket{}
			if rings := w.m.history[webhook]; rings != nil {
				for _, b := range rings[i] {
					if last := span.Number(w.m.now); b.number <= last && b.number > last-int64(span.Buckets) {
						want[b.number] = b
					}
				}
			}
			for _, b := range got {
				known := want[span.Number(b.At)]
				if known == nil || b.Delivered != known.delivered || b.Failed != known.failed || b.GivenUp != known.givenUp {
					w.t.Fatalf("%s of %s has %+v, want %+v", span.Name, webhook, b, known)
				}
			}
			if len(got) != len(want) {
				w.t.Fatalf("%s of %s has %d buckets, want %d", span.Name, webhook, len(got), len(want))
			}
		}
	}
}
