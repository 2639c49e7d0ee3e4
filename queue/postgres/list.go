package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// searchFor bounds how long one List searches; what it has not reached is for the next page.
const searchFor = 80 * time.Millisecond

// List returns deliveries, newest first; a search ends after 80 ms with what it has found.
func (q *Queue) List(ctx context.Context, f queue.Filter) (page queue.Page, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	until, err := q.until(&f)
	if err != nil {
		return page, err
	}
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		page = queue.Page{}
		k, err := matching(ctx, tx, &f)
		if err != nil || k.none() {
			return err
		}
		return q.fill(ctx, tx, &page, &f, k, until)
	})
	return page, err
}

// until is the place below which a filter's deliveries are.
func (q *Queue) until(f *queue.Filter) (ref, error) {
	until := ref{seq: math.MaxInt64, idx: math.MaxInt32}
	if !f.Until.IsZero() {
		until = ref{seq: seqAt(f.Until)}
	}
	if f.Before == "" {
		return until, nil
	}
	before, err := q.parseDeliveryID(f.Before)
	if err == nil && before.less(until) {
		until = before
	}
	return until, err
}

// kinds are the webhooks and statuses of which there are deliveries, side by side. Those that have many others
// besides the type that is looked for are found by the type's events instead.
type kinds struct {
	webhooks, statuses []string
	byType             []string // webhook and status, joined
	untried            []string // webhooks of which some were never tried, of byType
}

// matching returns the kinds of which a filter may select some.
func matching(ctx context.Context, tx pgx.Tx, f *queue.Filter) (k kinds, err error) {
	counts, err := readCounts(ctx, tx)
	if err != nil {
		return k, err
	}
	type kind struct{ webhook, status string }
	found, all, ofType := map[kind]bool{}, map[kind]int64{}, map[string]int64{}
	for c, n := range counts {
		at := kind{c.webhook, string(c.status)}
		all[at] += n
		if c.typ == text(f.EventType) {
			ofType[c.webhook] += n
		}
		if selects(f, c) {
			found[at] = true
		}
	}
	events := int64(0) // of the type, about
	for _, n := range ofType {
		events = max(events, n)
	}
	for at := range found {
		if f.EventType == "" || all[at] <= events {
			k.webhooks, k.statuses = append(k.webhooks, at.webhook), append(k.statuses, at.status)
			continue
		}
		k.byType = append(k.byType, at.webhook+webhookSeparator+at.status)
		if at.status == string(queue.Pending) {
			k.untried = append(k.untried, at.webhook)
		}
	}
	return k, nil
}

func (k *kinds) none() bool { return len(k.webhooks)+len(k.byType) == 0 }

// selects reports whether a filter selects deliveries of a kind.
func selects(f *queue.Filter, c counted) bool {
	return c.webhook != "" && (f.Webhook == "" || c.webhook == text(f.Webhook)) && (f.EventType == "" || c.typ == text(f.EventType)) &&
		(len(f.Status) == 0 || slices.Contains(f.Status, c.status))
}

// fill puts what a filter selects into a page.
func (q *Queue) fill(ctx context.Context, tx pgx.Tx, page *queue.Page, f *queue.Filter, k kinds, until ref) error {
	stop := time.Now().Add(searchFor)
	wanted := queue.NewSearch(f.Search)
	for {
		// One more than wanted shows whether there is more.
		all, err := q.newest(ctx, tx, f, k, until, f.Limit-len(page.Deliveries)+1)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, d := range all {
			if len(page.Deliveries) == f.Limit {
				page.Next = q.deliveryID(until)
				return nil
			}
			until = d.ref
			ok := wanted.In(d.ID + " " + d.EventID + " " + d.EventType + " " + d.Error)
			if !ok {
				if ok, err = q.inPayload(ctx, tx, d.seq, wanted); err != nil {
					return err
				}
			}
			if ok {
				d.Clip(f.MaxText)
				page.Deliveries = append(page.Deliveries, d.Delivery)
			}
			if f.Search != "" && time.Now().After(stop) {
				page.Next = q.deliveryID(until)
				return nil
			}
		}
	}
}

// newest returns the newest deliveries below a place, at most limit.
func (q *Queue) newest(ctx context.Context, tx pgx.Tx, f *queue.Filter, k kinds, until ref, limit int) (all []*stored, err error) {
	rows, err := tx.Query(ctx, sqlNewest, k.webhooks, k.statuses, until.seq, until.idx, seqAt(f.Since), text(f.EventType), limit, k.byType, k.untried)
	if err != nil {
		return nil, err
	}
	var refs []ref
	var r ref
	if _, err := pgx.ForEachRow(rows, []any{&r.seq, &r.idx}, func() error { refs = append(refs, r); return nil }); err != nil || len(refs) == 0 {
		return nil, err
	}
	all, err = q.load(ctx, tx, refs)
	slices.SortFunc(all, func(a, b *stored) int { return compareRefs(b.ref, a.ref) })
	return all, err
}

// load reads deliveries, in no order.
func (q *Queue) load(ctx context.Context, tx pgx.Tx, refs []ref) ([]*stored, error) {
	seqs, idxs := split(refs)
	rows, err := tx.Query(ctx, sqlLoad, seqs, idxs)
	if err != nil {
		return nil, err
	}
	return q.scanAll(rows)
}

// inPayload reports whether an event's payload has what is searched for. What cannot be read does not.
func (q *Queue) inPayload(ctx context.Context, tx pgx.Tx, seq int64, wanted *queue.Search) (bool, error) {
	e, err := eventWhere(ctx, tx.Conn(), sqlEvent, seq)
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrDamaged) {
		return false, nil
	}
	return err == nil && wanted.InPayload(e.Body), err
}

// Count says how many deliveries a filter selects. With Search it reads all that might be.
func (q *Queue) Count(ctx context.Context, f queue.Filter) (n int, err error) {
	if f.Search != "" {
		err = q.each(ctx, f, func(ids []string) error { n += len(ids); return nil })
		return n, err
	}
	until, err := q.until(&f)
	if err != nil {
		return 0, err
	}
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		n = 0
		if f.Since.IsZero() && f.Until.IsZero() && f.Before == "" {
			counts, err := readCounts(ctx, tx)
			for c, part := range counts {
				if selects(&f, c) {
					n += int(part)
				}
			}
			return err
		}
		k, err := matching(ctx, tx, &f)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, sqlCountSome, k.webhooks, k.statuses, until.seq, until.idx, seqAt(f.Since), text(f.EventType), k.byType, k.untried).Scan(&n)
	})
	return n, err
}

// each is queue.Walk over this queue's list; nobody needs the texts.
func (q *Queue) each(ctx context.Context, f queue.Filter, do func(ids []string) error) error {
	f.MaxText = 100
	return queue.Walk(ctx, q.List, f, do)
}

// Get returns one delivery, with its due time by this agent's clock.
func (q *Queue) Get(id string) (d queue.Delivery, err error) {
	r, err := q.parseDeliveryID(id)
	if err != nil {
		return d, err
	}
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		c := &change{q: q, refs: []ref{r}}
		all, err := c.load(ctx, conn, c.refs)
		if err == nil && len(all) == 0 {
			return fmt.Errorf("delivery %s: %w", id, queue.ErrNotFound)
		}
		if err == nil {
			d = all[0].Delivery
			d.NextAttemptAt = c.clock.ours(d.NextAttemptAt)
		}
		return err
	})
	return d, err
}

// Event returns the latest event of an id, with its body.
func (q *Queue) Event(id string) (e queue.Event, err error) {
	err = q.read(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
		if e, err = eventWhere(ctx, tx.Conn(), sqlEventByID, text(id)); errors.Is(err, queue.ErrNotFound) {
			err = fmt.Errorf("event %s: %w", id, err)
		}
		return err
	})
	return e, err
}

// DeliveriesOf returns the deliveries of the latest event of an id.
func (q *Queue) DeliveriesOf(eventID string) (out []queue.Delivery, err error) {
	err = q.read(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
		out = nil
		var seq int64
		var n int32
		if err := tx.QueryRow(ctx, sqlEventSize, text(eventID)).Scan(&seq, &n); err != nil {
			return fmt.Errorf("event %s: %w", eventID, notFound(err))
		}
		var refs []ref
		for i := range n {
			refs = append(refs, ref{seq, i})
		}
		all, err := q.load(ctx, tx, refs)
		slices.SortFunc(all, func(a, b *stored) int { return compareRefs(a.ref, b.ref) })
		for _, d := range all {
			out = append(out, d.Delivery)
		}
		return err
	})
	return out, err
}

// Recent returns the latest events, newest first, without their bodies and with long types cut.
func (q *Queue) Recent(ctx context.Context, limit int) (out []queue.Event, err error) {
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, sqlRecent, limit)
		if err != nil {
			return err
		}
		var seq int64
		var meta []byte
		_, err = pgx.ForEachRow(rows, []any{&seq, &meta}, func() error {
			var e queue.Event
			if json.Unmarshal(meta, &e) == nil { // else it is shown with its deliveries
				e.Type, e.Path = queue.ClipText(e.Type, queue.MaxRecentText), queue.ClipText(e.Path, queue.MaxRecentText)
				out = append(out, e)
			}
			return nil
		})
		return err
	})
	return out, err
}
