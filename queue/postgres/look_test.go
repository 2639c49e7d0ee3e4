package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// How long anything that people look at may take beside a million deliveries; and the counting of those since a
// moment, which is one by one: it is asked for before they are replayed.
const (
	lookLimit  = 100 * time.Millisecond
	countLimit = time.Second
)

// TestLookSoak_AMillionDeliveries times what people look at: a million deliveries that are finished, and as
// many that were never tried.
func TestLookSoak_AMillionDeliveries(t *testing.T) {
	if os.Getenv("INTELLIDOCS_SOAK") != "long" {
		t.Skip("set INTELLIDOCS_SOAK=long to look at a million deliveries")
	}
	const events = 250_000
	for _, c := range []struct {
		name     string
		finished bool
	}{{"Finished", true}, {"Waiting", false}} {
		t.Run(c.name, func(t *testing.T) {
			q := open(t, Options{URL: pgtest.Server(t)})
			m := &crowd{q: q, events: events, finished: c.finished, begin: time.Now().Add(-30*24*time.Hour).UnixMicro() * seqStep}
			m.fill(t)
			m.look(t)
		})
	}
}

// crowd is a queue of many events for each of four webhooks. It is written as the engine writes, but for the
// transactions.
type crowd struct {
	q        *Queue
	events   int
	finished bool
	begin    int64 // the first seq
}

// step is from one event's seq to the next one's: they fill 30 days.
func (m *crowd) step() int64 { return (30 * 24 * time.Hour).Microseconds() / int64(m.events) * seqStep }

// typeOf is an event's type: a common one, some that are seldom and one that ten events have, the oldest.
func (m *crowd) typeOf(n int) string {
	switch {
	case n < 10:
		return "rare_one"
	case n < m.events/2 && n%2 == 0:
		return "common_long_ago"
	case n%1000 == 1:
		return "one_of_a_thousand"
	case n%20 == 3:
		return "one_of_twenty"
	}
	return "scan_completed"
}

// statusOf is what became of an event's delivery: of a thousand five failed, and two will be tried again.
func (m *crowd) statusOf(n, idx int) queue.Status {
	switch {
	case !m.finished:
		return queue.Pending
	case (n+idx)%200 == 7:
		return queue.Failed
	case (n+idx)%500 == 8:
		return queue.Retrying
	}
	return queue.Success
}

func (m *crowd) fill(t *testing.T) {
	t.Helper()
	began := time.Now()
	const part = 5000
	total := delta{}
	for n := 0; n < m.events; n += part {
		e := &enqueue{q: m.q, now: time.Now(), latest: map[string]latest{}, webhooks: map[string]bool{}, delta: total}
		var all []*stored
		for i := n; i < n+part; i++ {
			e.next = m.begin + int64(i)*m.step()
			ev := event(i, benchWebhooks...)
			ev.Type = m.typeOf(i)
			ev.Body = append(fmt.Appendf(nil, `{"n": %d, "x": "`, i), bytes.Repeat([]byte("x"), 600)...)
			seq := e.next
			if err := e.add(&ev); err != nil {
				t.Fatal(err)
			}
			for idx := range benchWebhooks {
				if status := m.statusOf(i, idx); status != queue.Pending {
					all = append(all, m.tried(ref{seq, int32(idx)}, &ev, status))
				}
			}
		}
		m.copy(t, e, all, total)
	}
	m.fillRejected(t, total)
	batch := &pgx.Batch{}
	total.queue(batch)
	err := m.q.write(t.Context(), m.q.outcomes, func(ctx context.Context, tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err != nil {
		t.Fatal(err)
	}
	execute(t, m.q.opts.URL, "VACUUM ANALYZE") // as autovacuum does meanwhile
	t.Logf("filled in %s", time.Since(began).Round(time.Second))
}

// tried is a delivery that was tried once.
func (m *crowd) tried(r ref, ev *queue.NewEvent, status queue.Status) *stored {
	at := seqTime(r.seq)
	d := &stored{ref: r, Delivery: m.q.untried(r, &storedEvent{Event: ev.Event, webhooks: ev.Webhooks, queuedAt: at})}
	d.was, d.waiting = d.counted(), true
	o := queue.Outcome{
		Status: status, URL: "https://example.com/…",
		Attempt: queue.Attempt{N: 1, At: at.Add(time.Second), Took: 20 * time.Millisecond, Status: 200, Header: "HTTP/1.1 200 OK\nContent-Type: text/plain", Response: "ok", Outcome: "delivered"},
	}
	if status == queue.Retrying {
		o.Due = time.Now().Add(time.Hour)
	}
	d.Attempted(&o)
	return d
}

// copy writes what commits and recorded outcomes would have written.
func (m *crowd) copy(t *testing.T, e *enqueue, all []*stored, total delta) {
	t.Helper()
	var rows changeRows
	for _, d := range all {
		if err := rows.add(d, total); err != nil {
			t.Fatal(err)
		}
	}
	tried := map[ref]time.Time{} // zero: no longer due
	for i, seq := range rows.gone.seqs {
		tried[ref{seq, rows.gone.idxs[i]}] = time.Time{}
	}
	for i, seq := range rows.due.seqs {
		tried[ref{seq, rows.due.idxs[i]}] = rows.due.at[i]
	}
	r, f := &e.rows, &rows.fresh
	var due [][]any
	for i, seq := range r.dueSeqs {
		at, known := tried[ref{seq, r.dueIdx[i]}]
		if !known {
			at = r.dueAt[i]
		}
		if !at.IsZero() {
			due = append(due, []any{r.dueWebhooks[i], seq, r.dueIdx[i], at, known})
		}
	}
	m.load(t, "due", []string{"webhook", "seq", "idx", "due", "tried"}, len(due), func(i int) []any { return due[i] })
	m.load(t, "event", []string{"seq", "id", "type", "queued_at", "webhooks", "meta", "body", "crc"}, len(r.seqs), func(i int) []any {
		return []any{r.seqs[i], r.ids[i], r.types[i], r.queued[i], benchWebhooks, r.metas[i], r.bodies[i], r.crcs[i]}
	})
	m.load(t, "dedup", []string{"id", "seq", "payload"}, len(r.seqs), func(i int) []any { return []any{r.ids[i], r.seqs[i], ""} })
	m.load(t, "delivery", []string{"seq", "idx", "webhook", "type", "status", "completed", "rev", "record"}, len(f.seqs), func(i int) []any {
		return []any{f.seqs[i], f.idxs[i], f.webhooks[i], f.types[i], f.statuses[i], f.completed[i], f.revs[i], f.records[i]}
	})
}

func (m *crowd) fillRejected(t *testing.T, total delta) {
	t.Helper()
	const n = 20_000
	m.load(t, "rejected", []string{"seq", "key", "source", "record"}, n, func(i int) []any {
		r := queue.Rejected{Source: "log", Path: "/log", Offset: int64(i), Reason: "cannot be read", Data: []byte("{"), At: seqTime(m.begin)}
		record, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		total.add("", statusRejected, "", 1)
		total.bytes(len(record) + rejectedOverhead)
		total.add("", "rejected_bytes", "", int64(len(record)+rejectedOverhead))
		return []any{m.begin + int64(i)*m.step(), rejectedKey(&r), r.Source, record}
	})
}

func (m *crowd) load(t *testing.T, table string, columns []string, n int, row func(i int) []any) {
	t.Helper()
	err := m.q.lent("write", func(ctx context.Context, s *session) error {
		_, err := s.CopyFrom(ctx, pgx.Identifier{"agent", table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// look times everything that people look at, a few times each.
func (m *crowd) look(t *testing.T) {
	q, ctx, middle := m.q, t.Context(), m.begin+int64(m.events/2)*m.step()
	list := func(f queue.Filter, least int) func() error {
		return func() error {
			page, err := q.List(ctx, f)
			if err == nil && len(page.Deliveries) < least {
				err = fmt.Errorf("%d deliveries, and at least %d are there", len(page.Deliveries), least)
			}
			return err
		}
	}
	count := func(f queue.Filter) func() error { return func() error { _, err := q.Count(ctx, f); return err } }
	find := func(typed string) func() error {
		return func() error {
			ids, err := q.Find(ctx, typed, 10)
			if err == nil && len(ids) == 0 {
				err = fmt.Errorf("%s is not found", typed)
			}
			return err
		}
	}
	id := q.deliveryID(ref{middle, 2})
	some := []queue.Status{queue.Success}
	few := []queue.Status{queue.Failed, queue.Retrying}
	least := 50
	if !m.finished {
		some, few, least = []queue.Status{queue.Pending}, nil, 0
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"list, newest", list(queue.Filter{}, 50)},
		{"list, webhook", list(queue.Filter{Webhook: "b"}, 50)},
		{"list, status", list(queue.Filter{Status: some}, 50)},
		{"list, few", list(queue.Filter{Status: few}, least)},
		{"list, common type", list(queue.Filter{EventType: "scan_completed"}, 50)},
		{"list, common type long ago", list(queue.Filter{EventType: "common_long_ago"}, 50)},
		{"list, common type long ago, webhook", list(queue.Filter{EventType: "common_long_ago", Webhook: "c"}, 50)},
		{"list, one of 20", list(queue.Filter{EventType: "one_of_twenty"}, 50)},
		{"list, one of 1000", list(queue.Filter{EventType: "one_of_a_thousand"}, 50)},
		{"list, one of 1000, 500", list(queue.Filter{EventType: "one_of_a_thousand", Limit: 500}, 500)},
		{"list, one of 1000, failed", list(queue.Filter{EventType: "one_of_a_thousand", Status: []queue.Status{queue.Failed}}, 0)},
		{"list, rare type", list(queue.Filter{EventType: "rare_one"}, 40)},
		{"list, rare type, webhook", list(queue.Filter{EventType: "rare_one", Webhook: "d"}, 10)},
		{"list, absent type", list(queue.Filter{EventType: "absent"}, 0)},
		{"list, since", list(queue.Filter{Since: seqTime(middle)}, 50)},
		{"list, rare type, since", list(queue.Filter{EventType: "rare_one", Since: seqTime(middle)}, 0)},
		{"list, page in the middle", list(queue.Filter{Before: id}, 50)},
		{"list, last page", list(queue.Filter{Before: q.deliveryID(ref{m.begin + 3*m.step(), 0}), Webhook: "a"}, 3)},
		{"list, until", list(queue.Filter{Until: seqTime(middle)}, 50)},
		{"list, 500", list(queue.Filter{Limit: 500}, 500)},
		{"search, event id", list(queue.Filter{Search: event(m.events-1000, "a").ID}, 0)},
		{"search, nothing", list(queue.Filter{Search: "nowhere to be found"}, 0)},
		{"find, event id", find(event(m.events/3, "a").ID)},
		{"find, event id's beginning", find("evt_0000")},
		{"find, short id", find(queue.ShortID(id))},
		{"find, delivery id", find(id)},
		{"find, delivery id's beginning", find(id[:20])},
		{"find, every delivery", find("dlv_")},
		{"find, rejected", find("rej_")},
		{"get", func() error { _, err := q.Get(id); return err }},
		{"event", func() error { _, err := q.Event(event(m.events/3, "a").ID); return err }},
		{"deliveries of", func() error { _, err := q.DeliveriesOf(event(m.events/3, "a").ID); return err }},
		{"recent", func() error { _, err := q.Recent(ctx, 100); return err }},
		{"counts", func() error { q.Counts(); return nil }},
		{"count, type", count(queue.Filter{EventType: "one_of_twenty"})},
		{"count, since a day", count(queue.Filter{Since: time.Now().Add(-24 * time.Hour)})},
		{"count, since the middle", count(queue.Filter{Since: seqTime(middle)})},
		{"count, since, type", count(queue.Filter{Since: seqTime(middle), EventType: "one_of_twenty"})},
		{"count, since, rare type", count(queue.Filter{Since: seqTime(m.begin + m.step()), EventType: "rare_one"})},
		{"oldest due", func() error { q.OldestDue("a"); return nil }},
		{"head", func() error { _, _, err := q.Head("a"); return err }},
		{"stats", func() error { q.measure(); return q.size.err }},
		{"history", func() error { _, err := q.History("a", 0); return err }},
		{"last failed", func() error { _, _, err := q.LastFailed(ctx, "a"); return err }},
		{"rejected", func() error { _, _, err := q.Rejected(ctx, queue.RejectedFilter{}); return err }},
		{"rejected, source", func() error { _, _, err := q.Rejected(ctx, queue.RejectedFilter{Source: "log"}); return err }},
		{"rejected, absent source", func() error { _, _, err := q.Rejected(ctx, queue.RejectedFilter{Source: "absent"}); return err }},
	} {
		var took []time.Duration
		for range 5 {
			began := time.Now()
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			took = append(took, time.Since(began))
		}
		first := took[0]
		slices.Sort(took)
		t.Logf("%-36s median %8s, first %8s", c.name, took[2].Round(100*time.Microsecond), first.Round(100*time.Microsecond))
		limit := lookLimit
		if strings.HasPrefix(c.name, "count, since") {
			limit = countLimit
		}
		if took[2] > limit {
			t.Errorf("%s took %s", c.name, took[2])
		}
	}
}
