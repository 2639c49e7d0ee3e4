package queuetest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// model is what the queue promises, in maps. What an engine chooses itself, its numbers, it is
// told after a commit: they must ascend, and be the time of it.
type model struct {
	now        time.Time
	events     map[uint64]*modelEvent     // by seq
	known      map[string]uint64          // event id → seq of its latest
	deliveries map[string]*queue.Delivery // by ID, whose order is that of the events
	rejected   map[int64]uint64           // offset → seq
	cursor     string
	state      map[string]string
	pause      map[string]string
	history    modelHistory
}

type modelEvent struct {
	e      queue.NewEvent
	queued time.Time
	ids    []string // of its deliveries
}

const (
	modelWindow    = time.Hour
	modelRetention = 3 * time.Hour
)

var (
	modelWebhooks = []string{"a", "ab", "a/b", strings.Repeat("long", 40)}
	modelTypes    = []string{"scan_completed", "x", strings.Repeat("t", 300)}
	modelStatuses = []queue.Status{queue.Pending, queue.Retrying, queue.Success, queue.Failed}
)

func newModel() *model {
	return &model{
		now: time.Unix(1_800_000_000, 0), events: map[uint64]*modelEvent{}, known: map[string]uint64{},
		deliveries: map[string]*queue.Delivery{}, rejected: map[int64]uint64{},
		state: map[string]string{}, pause: map[string]string{}, history: modelHistory{},
	}
}

func seqTime(seq uint64) time.Time { return time.Unix(0, int64(seq)) }

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

// seqOf reads the seq of a delivery's ID, or a rejected record's.
func seqOf(id string) uint64 {
	begin := len("rej_")
	if strings.HasPrefix(id, "dlv_") {
		begin += 8 // the instance
	}
	seq, err := strconv.ParseUint(id[begin:begin+16], 16, 64)
	if err != nil {
		panic(err)
	}
	return seq
}

// fresh are the events of a batch that are to be queued, and how many are duplicates.
func (m *model) fresh(b queue.Batch) (fresh []queue.NewEvent, duplicates int) {
	seen := map[string]bool{}
	for _, e := range b.Events {
		last, ok := m.known[e.ID]
		if seen[e.ID] || ok && m.now.Sub(seqTime(last)) < modelWindow {
			duplicates++
			continue
		}
		seen[e.ID] = true
		fresh = append(fresh, e)
	}
	return fresh, duplicates
}

// add takes in an event that was queued, with its deliveries.
func (m *model) add(e queue.NewEvent, ds []queue.Delivery) {
	seq, created := seqOf(ds[0].ID), ds[0].CreatedAt
	kept := &modelEvent{e: e, queued: created}
	m.events[seq], m.known[e.ID] = kept, seq
	for i, w := range e.Webhooks {
		id := ds[i].ID
		kept.ids = append(kept.ids, id)
		m.deliveries[id] = &queue.Delivery{
			ID: id, EventID: e.ID, EventType: e.Type, Webhook: w, Status: queue.Pending, CreatedAt: created, NextAttemptAt: created,
		}
	}
}

// recall is what Upkeep does about a clock that was set back.
func (m *model) recall() {
	soon := m.now.Add(time.Minute)
	for _, w := range modelWebhooks {
		for _, d := range slices.Backward(m.waiting(w)) {
			from := d.DueFrom()
			if d.NextAttemptAt.Before(soon) || from.Before(soon) {
				break
			}
			d.NextAttemptAt = m.now.Add(d.NextAttemptAt.Sub(from))
		}
	}
}

// waiting returns a webhook's unfinished deliveries in the order in which they are due.
func (m *model) waiting(webhook string) []*queue.Delivery {
	waiting := m.where(func(d *queue.Delivery) bool { return d.Webhook == webhook && !d.Finished() })
	slices.SortStableFunc(waiting, func(a, b *queue.Delivery) int { return a.NextAttemptAt.Compare(b.NextAttemptAt) })
	return waiting
}

func (m *model) upkeep() {
	m.recall()
	before := m.now.Add(-modelRetention)
	old := func(seq uint64) bool { return seq < nanos(before) }
	for seq, e := range m.events {
		gone := old(seq) || seq > nanos(m.now) && e.queued.Before(before)
		for _, id := range e.ids {
			d := m.deliveries[id]
			gone = gone && d.Finished() && d.CompletedAt.Before(before)
		}
		if !gone {
			continue
		}
		for _, id := range e.ids {
			delete(m.deliveries, id)
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

// where returns the deliveries that f selects, in order.
func (m *model) where(f func(*queue.Delivery) bool) []*queue.Delivery {
	var out []*queue.Delivery
	for _, id := range slices.Sorted(maps.Keys(m.deliveries)) {
		if f(m.deliveries[id]) {
			out = append(out, m.deliveries[id])
		}
	}
	return out
}

// modelHistory is the history that the model knows: what each place of a webhook's rings counts.
type modelHistory map[string]*[len(queue.Spans)]map[int64]*modelBucket

type modelBucket struct {
	number                     int64
	delivered, failed, givenUp uint64
}

func (h modelHistory) attempted(webhook string, status queue.Status, now time.Time) {
	rings := h[webhook]
	if rings == nil {
		rings = &[len(queue.Spans)]map[int64]*modelBucket{{}, {}, {}}
		h[webhook] = rings
	}
	for i, span := range queue.Spans {
		number := span.Number(now)
		b := rings[i][number%int64(span.Buckets)]
		if b == nil || b.number != number {
			b = &modelBucket{number: number}
			rings[i][number%int64(span.Buckets)] = b
		}
		switch status {
		case queue.Success:
			b.delivered++
		case queue.Failed:
			b.failed++
			b.givenUp++
		default:
			b.failed++
		}
	}
}

// upkeep forgets webhooks that have no delivery; none is configured here.
func (h modelHistory) upkeep(deliveries map[string]*queue.Delivery) {
	known := map[string]bool{}
	for _, d := range deliveries {
		known[d.Webhook] = true
	}
	for name := range h {
		if !known[name] {
			delete(h, name)
		}
	}
}
