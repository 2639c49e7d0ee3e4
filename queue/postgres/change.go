package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// maxChanges is how many deliveries one transaction changes.
const maxChanges = 200

// stored is a delivery as a transaction has read it, and as it is to be.
type stored struct {
	ref
	queue.Delivery
	rev     int32 // of its row; 0: it has none, since it was never tried
	taken   bool  // for never tried, and was not looked up
	size    int   // of its record
	was     counted
	waiting bool // it was unfinished
}

// change is a transaction that changes deliveries. Each is read, changed, and written on condition
// that nobody has changed it meanwhile; else all of it is done again.
type change struct {
	q     *Queue
	refs  []ref // in order, each once
	gone  []ref // those of them that are not there
	clock clock
	tally map[string]*queue.Bucket
	late  map[string]int // outcomes, by webhook
	// served is who serves a webhook; it is read where fenced is set.
	served map[string]service
	fenced bool
	// first are those that are being recorded as delivered at their first attempt.
	first map[ref]bool
}

// service is who serves a webhook, and since when.
type service struct {
	owner string
	epoch int64
}

// change has f change deliveries; f returns which it has changed. What is not there is left out.
func (q *Queue) change(ctx context.Context, c *change, f func(c *change, d *stored) bool) (n int, err error) {
	slices.SortFunc(c.refs, compareRefs)
	c.refs, c.q = slices.Compact(c.refs), q
	var changed []*stored
	for try := 0; ; try++ {
		err = q.write(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
			c.tally, c.late = map[string]*queue.Bucket{}, map[string]int{}
			all, err := c.read(ctx, tx.Conn(), try == 0)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(d *stored) bool { return !f(c, d) })
			n, changed = len(all), all
			return c.write(ctx, tx, all)
		})
		if err == nil {
			q.places.changed(changed)
		}
		if err == nil || try >= maxTries || !transient(err) && (!errors.Is(err, errUnknown) || try > 2) {
			return n, err
		}
	}
}

// read returns the deliveries. With hope those that are recorded as delivered at their first attempt, and whose event
// is at hand, are taken for never tried: it is what they nearly always are. They are then written on condition that they
// have no row and are due, so that it is no less certain than if they had been looked up.
func (c *change) read(ctx context.Context, conn *pgx.Conn, hope bool) (all []*stored, err error) {
	var known bool
	c.clock, known = c.q.latestClock()
	c.gone = nil
	refs := c.refs
	if hope && known && len(c.first) > 0 {
		refs = nil
		for _, r := range c.refs {
			if e := c.q.recent.get(r.seq); c.first[r] && e != nil && int(r.idx) < len(e.webhooks) {
				all = append(all, (&stored{ref: r, Delivery: c.q.untried(r, e), taken: true}).asRead())
			} else {
				refs = append(refs, r)
			}
		}
	}
	if len(refs) > 0 {
		loaded, err := c.load(ctx, conn, refs)
		if err != nil {
			return nil, err
		}
		all = append(all, loaded...)
	}
	slices.SortFunc(all, func(a, b *stored) int { return compareRefs(a.ref, b.ref) })
	return all, nil
}

// load reads deliveries from the database.
func (c *change) load(ctx context.Context, conn *pgx.Conn, refs []ref) (all []*stored, err error) {
	seqs, idxs := split(refs)
	batch := &pgx.Batch{}
	batch.Queue(sqlNow).QueryRow(func(row pgx.Row) error {
		var at time.Time
		err := row.Scan(&at)
		c.clock = c.q.at(at)
		return err
	})
	batch.Queue(sqlLoad, seqs, idxs).Query(func(rows pgx.Rows) error {
		all, err = c.q.scanAll(rows)
		return err
	})
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	there := map[ref]bool{}
	for _, d := range all {
		there[d.ref] = true
	}
	c.gone = slices.DeleteFunc(slices.Clone(refs), func(r ref) bool { return there[r] })
	return all, nil
}

func split(refs []ref) (seqs []int64, idxs []int32) {
	seqs, idxs = make([]int64, len(refs)), make([]int32, len(refs))
	for i, r := range refs {
		seqs[i], idxs[i] = r.seq, r.idx
	}
	return seqs, idxs
}

// scanAll reads what sqlLoad returns.
func (q *Queue) scanAll(rows pgx.Rows) (all []*stored, err error) {
	for rows.Next() {
		d, err := q.scan(rows)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, d)
		}
	}
	return all, rows.Err()
}

// scan reads a row of sqlLoad; nil where the event has no such delivery. One whose record is damaged
// is what its columns say, so that it can be seen and given up.
func (q *Queue) scan(rows pgx.Rows) (*stored, error) {
	d := &stored{}
	var rev *int32
	var record []byte
	var webhook, typ, status, id *string
	var webhooks []string
	var queued *time.Time
	if err := rows.Scan(&d.seq, &d.idx, &rev, &record, &webhook, &status, &id, &typ, &webhooks, &queued); err != nil {
		return nil, err
	}
	switch {
	case rev != nil:
		d.rev, d.size = *rev, len(record)
		if err := q.decode(d.ref, record, &d.Delivery); err != nil {
			d.Delivery = queue.Delivery{
				ID: q.deliveryID(d.ref), Webhook: *webhook, EventType: *typ, Status: queue.Status(*status), CreatedAt: seqTime(d.seq),
				Error: "its record is damaged on the disk",
			}
		}
	case int(d.idx) >= len(webhooks):
		return nil, nil
	default:
		d.Delivery = q.untried(d.ref, &storedEvent{Event: queue.Event{ID: *id, Type: *typ}, webhooks: webhooks, queuedAt: *queued})
	}
	return d.asRead(), nil
}

// asRead takes in what the delivery is before it is changed.
func (d *stored) asRead() *stored {
	d.was, d.waiting = d.counted(), !d.Finished()
	return d
}

func (q *Queue) decode(r ref, record []byte, d *queue.Delivery) error {
	if err := json.Unmarshal(record, d); err != nil {
		return fmt.Errorf("%w: delivery %s: %w", queue.ErrDamaged, q.deliveryID(r), err)
	}
	return nil
}

// untried is a delivery as its event says.
func (q *Queue) untried(r ref, e *storedEvent) queue.Delivery {
	return queue.Delivery{
		ID: q.deliveryID(r), EventID: e.ID, EventType: e.Type, Webhook: e.webhooks[r.idx],
		Status: queue.Pending, CreatedAt: e.queuedAt, NextAttemptAt: e.queuedAt,
	}
}

func (d *stored) counted() counted { return counted{text(d.Webhook), d.Status, text(d.EventType)} }

// changeRows are the rows of changed deliveries: those that have none yet, and those that have.
type changeRows struct {
	fresh, known     deliveryRows
	taken, gone, due dueRows // taken: gone, and there until now
}

type deliveryRows struct {
	seqs                      []int64
	idxs, revs                []int32
	webhooks, types, statuses []string
	completed                 []*time.Time
	records                   [][]byte
}

func (r *deliveryRows) queue(batch *pgx.Batch, sql string) {
	if n := len(r.seqs); n > 0 {
		batch.Queue(sql, r.seqs, r.idxs, r.webhooks, r.types, r.statuses, r.completed, r.revs, r.records).Exec(expect(n))
	}
}

func (r *deliveryRows) add(d *stored, is counted, record []byte) {
	var completed *time.Time
	if d.Finished() {
		completed = &d.CompletedAt
	}
	r.seqs, r.idxs, r.revs = append(r.seqs, d.seq), append(r.idxs, d.idx), append(r.revs, d.rev+1)
	r.webhooks, r.types, r.statuses = append(r.webhooks, is.webhook), append(r.types, is.typ), append(r.statuses, string(is.status))
	r.completed, r.records = append(r.completed, completed), append(r.records, record)
}

type dueRows struct {
	webhooks []string
	seqs     []int64
	idxs     []int32
	at       []time.Time
}

func (d *dueRows) add(webhook string, r ref, at time.Time) {
	d.webhooks, d.seqs, d.idxs, d.at = append(d.webhooks, webhook), append(d.seqs, r.seq), append(d.idxs, r.idx), append(d.at, at)
}

// write writes deliveries where they then belong.
func (c *change) write(ctx context.Context, tx pgx.Tx, all []*stored) error {
	var rows changeRows
	diff := delta{}
	for _, d := range all {
		if err := rows.add(d, diff); err != nil {
			return err
		}
	}
	batch := &pgx.Batch{}
	if c.fenced {
		c.fence(batch, all)
	}
	if c.fenced && len(c.gone) > 0 { // or they would be due for ever to whoever serves their webhook
		seqs, idxs := split(c.gone)
		batch.Queue(sqlDropDue, c.q.held.names(), seqs, idxs)
	}
	rows.fresh.queue(batch, sqlInsertDeliveries)
	rows.known.queue(batch, sqlUpdateDeliveries)
	if t := &rows.taken; len(t.seqs) > 0 {
		batch.Queue(sqlNotDue, t.webhooks, t.seqs, t.idxs).Exec(expect(len(t.seqs)))
	}
	if g := &rows.gone; len(g.seqs) > 0 {
		batch.Queue(sqlNotDue, g.webhooks, g.seqs, g.idxs)
	}
	if d := &rows.due; len(d.seqs) > 0 {
		batch.Queue(sqlDue, d.webhooks, d.seqs, d.idxs, d.at)
	}
	diff.queue(batch)
	if err := c.queueTally(batch); err != nil {
		return err
	}
	if len(all) == 0 {
		batch.Queue(sqlConfirm) // of an earlier try, perhaps
	}
	return tx.SendBatch(ctx, batch).Close()
}

func (r *changeRows) add(d *stored, diff delta) error {
	record, err := json.Marshal(&d.Delivery)
	if err != nil {
		return err
	}
	is, size := d.counted(), len(record)-d.size
	if d.rev == 0 {
		r.fresh.add(d, is, record)
		size += deliveryOverhead
	} else {
		r.known.add(d, is, record)
	}
	if d.waiting && (d.Finished() || is.webhook != d.was.webhook) {
		if d.taken {
			r.taken.add(d.was.webhook, d.ref, time.Time{})
		} else {
			r.gone.add(d.was.webhook, d.ref, time.Time{})
		}
		size -= dueOverhead
	}
	if !d.Finished() {
		r.due.add(is.webhook, d.ref, roundUp(d.NextAttemptAt))
		if !d.waiting || is.webhook != d.was.webhook {
			size += dueOverhead
		}
	}
	diff.bytes(size)
	diff[d.was]--
	diff[is]++
	return nil
}

// fence has the transaction be done again where a webhook is served by another than was thought, and
// keeps it so until the commit.
func (c *change) fence(batch *pgx.Batch, all []*stored) {
	names := map[string]bool{}
	for _, d := range all {
		names[d.was.webhook] = true
	}
	batch.Queue(sqlServed, slices.Sorted(maps.Keys(names))).Query(func(rows pgx.Rows) error {
		is := map[string]service{}
		var name string
		var s service
		if _, err := pgx.ForEachRow(rows, []any{&name, &s.owner, &s.epoch}, func() error { is[name] = s; return nil }); err != nil {
			return err
		}
		for name := range names {
			if is[name] != c.served[name] {
				c.served = is
				return errAgain
			}
		}
		return nil
	})
}

// attempted counts an attempt for the charts.
func (c *change) attempted(webhook string, o *queue.Outcome) {
	b := c.tally[text(webhook)]
	if b == nil {
		b = &queue.Bucket{}
		c.tally[text(webhook)] = b
	}
	b.Count(o)
}

func (c *change) queueTally(batch *pgx.Batch) error {
	names := slices.Sorted(maps.Keys(c.tally))
	buckets := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if buckets[i], err = json.Marshal(c.tally[name]); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		batch.Queue(sqlTally, names, c.clock.database, buckets)
	}
	return nil
}
