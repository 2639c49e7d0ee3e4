package queuetest

import (
	"maps"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// compare asks the queue all that it can be asked, and the model.
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
