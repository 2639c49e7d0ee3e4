package queue

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is what the queue promises, in maps.
type model struct {
	now        time.Time
	seq        uint64
	events     map[uint64]*modelEvent
	known      map[string]uint64 // event id → seq of its latest
	deliveries map[ref]*Delivery
	rejected   map[int64]uint64 // offset → seq
	cursor     string
	state      map[string]string
	pause      map[string]string
	history    modelHistory
}

type modelEvent struct {
	e      NewEvent
	seq    uint64
	queued time.Time
}

const (
	modelWindow    = time.Hour
	modelRetention = 3 * time.Hour
)

func (m *model) next() uint64 {
	m.seq = max(m.seq+1, uint64(m.now.UnixNano()))
	return m.seq
}

func (m *model) commit(b Batch) (c Committed) {
	for _, e := range b.Events {
		if last, ok := m.known[e.ID]; ok && m.now.Sub(seqTime(last)) < modelWindow {
			c.Duplicates++
			continue
		}
		seq := m.next()
		c.Queued = append(c.Queued, e.ID)
		c.Deliveries += len(e.Webhooks)
		created := seqTime(seq)
		if created.Sub(m.now) > time.Second {
			created = m.now
		}
		m.events[seq], m.known[e.ID] = &modelEvent{e, seq, created}, seq
		for i, w := range e.Webhooks {
			m.deliveries[ref{seq, uint16(i)}] = &Delivery{EventID: e.ID, EventType: e.Type, Webhook: w, Status: Pending, CreatedAt: created, NextAttemptAt: created}
		}
	}
	for _, r := range b.Rejected {
		if _, ok := m.rejected[r.Offset]; !ok {
			m.rejected[r.Offset] = m.next()
		}
	}
	if b.Cursor != nil {
		m.cursor = string(b.Cursor)
	}
	return c
}

// recall is what Upkeep does about a clock that was set back.
func (m *model) recall() {
	soon := m.now.Add(time.Minute)
	for _, w := range modelWebhooks {
		waiting := m.waiting(w)
		for _, r := range slices.Backward(waiting) {
			d := m.deliveries[r]
			from := d.DueFrom()
			if d.NextAttemptAt.Before(soon) || from.Before(soon) {
				break
			}
			d.NextAttemptAt = m.now.Add(d.NextAttemptAt.Sub(from))
		}
	}
}

// waiting returns a webhook's unfinished deliveries in the order in which they are due.
func (m *model) waiting(webhook string) []ref {
	waiting := m.refs(func(d *Delivery) bool { return d.Webhook == webhook && !d.Finished() })
	slices.SortStableFunc(waiting, func(a, b ref) int {
		return m.deliveries[a].NextAttemptAt.Compare(m.deliveries[b].NextAttemptAt)
	})
	return waiting
}

func (m *model) upkeep() {
	m.recall()
	before := m.now.Add(-modelRetention)
	old := func(seq uint64) bool { return seq < uint64(before.UnixNano()) }
	for seq, e := range m.events {
		gone := old(seq) || seq > nanos(m.now) && e.queued.Before(before)
		for i := range e.e.Webhooks {
			d := m.deliveries[ref{seq, uint16(i)}]
			gone = gone && d.Finished() && d.CompletedAt.Before(before)
		}
		if !gone {
			continue
		}
		for i := range e.e.Webhooks {
			delete(m.deliveries, ref{seq, uint16(i)})
		}
		delete(m.events, seq)
	}
	for offset, seq := range m.rejected {
		if old(seq) {
			delete(m.rejected, offset)
		}
	}
	m.history.upkeep(m.deliveries)
}

// refs returns the deliveries that f selects, in order.
func (m *model) refs(f func(*Delivery) bool) []ref {
	var out []ref
	for r, d := range m.deliveries {
		if f(d) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, compareRefs)
	return out
}

func compareRefs(a, b ref) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

var (
	modelWebhooks = []string{"a", "ab", "a/b", strings.Repeat("long", 60)}
	modelTypes    = []string{"scan_completed", "x", strings.Repeat("t", 300)}
	modelStatuses = []Status{Pending, Retrying, Success, Failed}
)

type modelTest struct {
	t    *testing.T
	rnd  *rand.Rand
	dir  string
	q    *Queue
	m    *model
	next int
}

func TestQueue_BehavesLikeItsModel(t *testing.T) {
	rounds, steps := 6, 150
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		rounds, steps = 60, 1000
	}
	for i := range rounds {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mt := &modelTest{
				t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: filepath.Join(t.TempDir(), "state"),
				m: &model{
					now: time.Unix(1_800_000_000, 0), events: map[uint64]*modelEvent{}, known: map[string]uint64{},
					deliveries: map[ref]*Delivery{}, rejected: map[int64]uint64{}, state: map[string]string{}, pause: map[string]string{}, history: modelHistory{},
				},
			}
			mt.open()
			defer func() { _ = mt.q.Close() }()
			for range steps {
				mt.step()
				mt.compare()
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (mt *modelTest) open() {
	q, err := Open(context.Background(), Options{
		Dir: mt.dir, Retention: modelRetention, DedupWindow: modelWindow, Now: func() time.Time { return mt.m.now },
	})
	if err != nil {
		mt.t.Fatal(err)
	}
	mt.q = q
}

func (mt *modelTest) step() {
	m, q, rnd := mt.m, mt.q, mt.rnd
	all := m.refs(func(*Delivery) bool { return true })
	pick := func() (ref, bool) {
		if len(all) == 0 {
			return ref{}, false
		}
		return all[rnd.IntN(len(all))], true
	}
	switch n := rnd.IntN(20); {
	case n < 7:
		mt.commit()
	case n < 12:
		if r, ok := pick(); ok {
			mt.record(r)
		}
	case n < 14:
		if r, ok := pick(); ok {
			mt.replay(r)
		}
	case n == 14:
		w := modelWebhooks[rnd.IntN(len(modelWebhooks))]
		if value := fmt.Sprintf(`{"n":%d}`, rnd.Int()); rnd.IntN(2) == 0 {
			m.state[w] = value
			mt.must(q.SetState(mt.t.Context(), w, 1, []byte(value)))
		} else {
			m.pause[w] = value
			mt.must(q.SetPause(mt.t.Context(), w, []byte(value)))
		}
	case n == 15:
		mt.must(q.Close())
		mt.open()
	case n == 16:
		m.now = m.now.Add(-time.Duration(rnd.IntN(1800)) * time.Second)
	case n == 17:
		m.upkeep()
		mt.must(q.Upkeep(mt.t.Context()))
	default:
		m.now = m.now.Add(time.Duration(rnd.IntN(3600)) * time.Second)
	}
}

func (mt *modelTest) must(err error) {
	mt.t.Helper()
	if err != nil {
		mt.t.Fatal(err)
	}
}

func (mt *modelTest) commit() {
	rnd := mt.rnd
	b := Batch{Source: "log"}
	if rnd.IntN(4) > 0 {
		b.Cursor = fmt.Append(nil, rnd.Int())
	}
	for range rnd.IntN(6) {
		if rnd.IntN(4) > 0 {
			mt.next++
		}
		e := event(mt.next, modelWebhooks[:rnd.IntN(len(modelWebhooks)+1)]...)
		e.Type = modelTypes[rnd.IntN(len(modelTypes))]
		b.Events = append(b.Events, e)
	}
	for range rnd.IntN(2) {
		b.Rejected = append(b.Rejected, Rejected{Source: "log", Offset: rnd.Int64N(20), Reason: "odd"})
	}
	want := mt.m.commit(b)
	got, err := mt.q.Commit(mt.t.Context(), b)
	mt.must(err)
	if got.Duplicates != want.Duplicates || got.Deliveries != want.Deliveries || !slices.Equal(got.Queued, want.Queued) {
		mt.t.Fatalf("committed %+v, want %+v", got, want)
	}
}

func (mt *modelTest) record(r ref) {
	d, now := mt.m.deliveries[r], mt.m.now
	if d.Finished() {
		return
	}
	o := Outcome{DeliveryID: mt.q.deliveryID(r), Status: modelStatuses[1+mt.rnd.IntN(3)], Attempt: Attempt{N: d.Attempts + 1, At: now}, Free: mt.rnd.IntN(4) == 0}
	if o.Status == Retrying {
		o.Due = now.Add(time.Duration(mt.rnd.IntN(7200)) * time.Second)
	}
	mt.must(mt.q.Record(mt.t.Context(), o))
	mt.m.history.attempted(d.Webhook, o.Status, now)
	d.Attempts++
	if !o.Free {
		d.Spent++
	}
	d.Status, d.LastAttemptAt, d.NextAttemptAt, d.CompletedAt = o.Status, now, o.Due, time.Time{}
	if d.Finished() {
		d.CompletedAt = now
	}
}

func (mt *modelTest) replay(r ref) {
	n, err := mt.q.Replay(mt.t.Context(), "cli", []string{mt.q.deliveryID(r)})
	if err != nil || n != 1 {
		mt.t.Fatal(n, err)
	}
	d := mt.m.deliveries[r]
	if d.Finished() {
		d.Spent = 0
	}
	d.Status, d.NextAttemptAt, d.CompletedAt = Pending, mt.m.now, time.Time{}
	d.Replays = append(d.Replays, Replay{At: mt.m.now})
	if d.Attempts > 0 {
		d.Status = Retrying
	}
}

func (mt *modelTest) compare() {
	mt.compareKept()
	for _, w := range modelWebhooks {
		mt.compareDue(w)
	}
	mt.compareList()
	mt.compareHistory()
	if len(mt.m.deliveries) > 0 {
		r := mt.m.refs(func(*Delivery) bool { return true })[mt.rnd.IntN(len(mt.m.deliveries))]
		d, err := mt.q.Get(mt.q.deliveryID(r))
		mt.must(err)
		mt.same(r, d)
		e, err := mt.q.EventOf(d.ID)
		if want := mt.m.events[r.seq].e; err != nil || e.ID != want.ID || string(e.Body) != string(want.Body) {
			mt.t.Fatalf("event %+v of %s, %v", e, d.ID, err)
		}
	}
}

func (mt *modelTest) same(r ref, d Delivery) {
	mt.t.Helper()
	w := mt.m.deliveries[r]
	if w == nil {
		mt.t.Fatalf("%+v should not be there", d)
	}
	if d.ID != mt.q.deliveryID(r) || d.EventID != w.EventID || d.EventType != w.EventType || d.Webhook != w.Webhook || d.Status != w.Status ||
		d.Attempts != w.Attempts || d.Spent != w.Spent || !d.NextAttemptAt.Equal(w.NextAttemptAt) || !d.CompletedAt.Equal(w.CompletedAt) || !d.CreatedAt.Equal(w.CreatedAt) {
		mt.t.Fatalf("delivery\n%+v, want\n%+v", d, *w)
	}
}

func (mt *modelTest) compareKept() {
	c, _, err := mt.q.Cursor("log")
	if mt.must(err); string(c) != mt.m.cursor {
		mt.t.Fatalf("cursor %q, want %q", c, mt.m.cursor)
	}
	for w, want := range mt.m.state {
		s, err := mt.q.State(w)
		if mt.must(err); string(s) != want {
			mt.t.Fatalf("state %q, want %q", s, want)
		}
	}
	for w, want := range mt.m.pause {
		p, err := mt.q.Pause(w)
		if mt.must(err); string(p) != want {
			mt.t.Fatalf("pause %q, want %q", p, want)
		}
	}
	if got := mt.q.Stats().Rejected; got != int64(len(mt.m.rejected)) {
		mt.t.Fatalf("%d rejected, want %d", got, len(mt.m.rejected))
	}
	want := map[string]map[Status]int64{}
	for _, d := range mt.m.deliveries {
		if want[bounded(d.Webhook)] == nil {
			want[bounded(d.Webhook)] = map[Status]int64{}
		}
		want[bounded(d.Webhook)][d.Status]++
	}
	if got := mt.q.Counts(); !maps.EqualFunc(got, want, maps.Equal) {
		mt.t.Fatalf("counts %v, want %v", got, want)
	}
}

func (mt *modelTest) compareDue(webhook string) {
	now, limit := mt.m.now, 1+mt.rnd.IntN(20)
	waiting := mt.m.refs(func(d *Delivery) bool { return d.Webhook == webhook && !d.Finished() })
	head, ok, err := mt.q.Head(webhook)
	if mt.must(err); ok != (len(waiting) > 0) || ok && head.ID != mt.q.deliveryID(waiting[0]) {
		mt.t.Fatalf("head %v %+v, want %v", ok, head, waiting)
	}
	waiting = mt.m.waiting(webhook)
	var next time.Time
	var want []ref
	for _, r := range waiting {
		if due := mt.m.deliveries[r].NextAttemptAt; due.After(now) || len(want) == limit {
			next = due
			break
		}
		want = append(want, r)
	}
	got, gotNext, err := mt.q.Due(webhook, now, limit, nil)
	mt.must(err)
	if len(got) != len(want) || !gotNext.Equal(next) {
		mt.t.Fatalf("%d due and next at %s, want %d and %s", len(got), gotNext, len(want), next)
	}
	for i := range got {
		mt.same(want[i], got[i])
	}
	if oldest := mt.q.OldestDue(webhook); len(waiting) > 0 && !oldest.Equal(mt.m.deliveries[waiting[0]].NextAttemptAt) {
		mt.t.Fatalf("oldest due %s", oldest)
	}
}

func (mt *modelTest) compareList() {
	rnd := mt.rnd
	f := Filter{Limit: 1 + rnd.IntN(10)}
	if rnd.IntN(2) == 0 {
		f.Webhook = modelWebhooks[rnd.IntN(len(modelWebhooks))]
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
		f.Since = mt.m.now.Add(-time.Duration(rnd.IntN(36000)) * time.Second)
	}
	if rnd.IntN(4) == 0 {
		f.Until = mt.m.now.Add(-time.Duration(rnd.IntN(36000)) * time.Second)
	}
	var want []ref
	for r, d := range mt.m.deliveries {
		if (f.Webhook == "" || d.Webhook == f.Webhook) && (f.EventType == "" || d.EventType == f.EventType) &&
			(len(f.Status) == 0 || slices.Contains(f.Status, d.Status)) &&
			(f.Since.IsZero() || r.seq >= nanos(f.Since)) && (f.Until.IsZero() || r.seq < nanos(f.Until)) {
			want = append(want, r)
		}
	}
	slices.SortFunc(want, func(a, b ref) int { return compareRefs(b, a) })
	if n, err := mt.q.Count(mt.t.Context(), f); err != nil || n != len(want) {
		mt.t.Fatalf("counted %d, %v, want %d", n, err, len(want))
	}
	for {
		page, err := mt.q.List(mt.t.Context(), f)
		mt.must(err)
		if len(page.Deliveries) > len(want) || len(page.Deliveries) < min(f.Limit, len(want)) {
			mt.t.Fatalf("%+v gave %d of %d", f, len(page.Deliveries), len(want))
		}
		for i, d := range page.Deliveries {
			mt.same(want[i], d)
		}
		want = want[len(page.Deliveries):]
		if page.Next == "" {
			break
		}
		f.Before = page.Next
	}
	if len(want) > 0 {
		mt.t.Fatalf("%+v left %d out", f, len(want))
	}
}
