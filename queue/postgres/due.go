package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// largeBody is from which size on a body is read only when it is sent.
const largeBody = 16 << 10

// Due returns deliveries of the webhook that are due at now, by this agent's clock, in order of
// their due time, at most limit, leaving out those that skip reports true for; and when the
// next one after them is due (zero: none waits).
func (q *Queue) Due(webhook string, now time.Time, limit int, skip func(id string) bool) (out []queue.Delivery, next time.Time, err error) {
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		found, c, at, err := q.dueRefs(ctx, conn, text(webhook), now, limit, skip)
		if err != nil {
			return err
		}
		next = c.ours(at)
		out, err = q.claimed(ctx, conn, webhook, found, c)
		return err
	})
	return out, next, err
}

// dueRef is a delivery that waits; one that was never tried has no row of its own.
type dueRef struct {
	ref
	due   time.Time
	tried bool
}

// dueRefs returns what is due, and when what comes after it is, by the database's clock.
func (q *Queue) dueRefs(ctx context.Context, conn *pgx.Conn, webhook string, now time.Time, limit int, skip func(id string) bool) (found []dueRef, c clock, next time.Time, err error) {
	const more = 64 // about as many are under way
	from, token := q.places.due(webhook)
	whole := from.due.IsZero()
	began := time.Now()
	for page := 0; ; page++ {
		rows, err := conn.Query(ctx, sqlDueFrom, webhook, from.key(), from.seq, from.idx, limit+more)
		if err != nil {
			return nil, c, next, err
		}
		n, done := 0, false
		var r dueRef
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&at, &r.due, &r.seq, &r.idx, &r.tried}, func() error {
			if n++; n == 1 {
				c = q.at(at)
			}
			if n == 1 && page == 0 {
				q.claimedAt.Store(&clock{c.database, c.local})
				q.places.sawDue(webhook, r, c.database, token, whole, time.Since(began))
			}
			from = r
			from.idx++
			if done || skip != nil && skip(q.deliveryID(r.ref)) {
				return nil
			}
			if done = len(found) == limit || r.due.After(c.theirs(now)); done {
				next = r.due
			} else {
				found = append(found, r)
			}
			return nil
		})
		if err == nil && n == 0 && page == 0 && whole {
			q.places.sawNone(webhook, token, time.Since(began))
		}
		if err != nil || done || n < limit+more {
			return found, c, next, err
		}
	}
}

// key is the place's due time for a query.
func (r dueRef) key() pgtype.Timestamptz {
	if r.due.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: r.due, Valid: true}
}

// claimed loads deliveries for sending, with their events, whose bodies are kept for it unless they
// are large. One that is damaged or half gone must be claimed to be given up, or it would be in
// the way forever; EventOf says what is wrong with it. Their due times are by this agent's clock,
// as are those that outcomes have.
func (q *Queue) claimed(ctx context.Context, conn *pgx.Conn, webhook string, refs []dueRef, c clock) (out []queue.Delivery, err error) {
	if len(refs) == 0 {
		return nil, nil
	}
	events := map[int64]*storedEvent{}
	var unread []int64
	var tried []ref
	for _, r := range refs {
		if e := q.recent.get(r.seq); e != nil {
			events[r.seq] = e
		} else {
			unread = append(unread, r.seq)
		}
		if r.tried {
			tried = append(tried, r.ref)
		}
	}
	records := map[ref]*queue.Delivery{}
	batch := &pgx.Batch{}
	if len(unread) > 0 {
		batch.Queue(sqlEvents, unread, largeBody).Query(func(rows pgx.Rows) error { return q.readEvents(rows, events) })
	}
	if len(tried) > 0 {
		seqs, idxs := split(tried)
		batch.Queue(sqlDeliveries, seqs, idxs).Query(func(rows pgx.Rows) error { return q.readRecords(rows, records) })
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	for _, r := range refs {
		e, d := events[r.seq], records[r.ref]
		switch {
		case r.tried && d != nil:
		case !r.tried && e != nil && int(r.idx) < len(e.webhooks):
			untried := q.untried(r.ref, e)
			d = &untried
		default:
			d = &queue.Delivery{ID: q.deliveryID(r.ref), Webhook: webhook, Status: queue.Pending, CreatedAt: seqTime(r.seq), NextAttemptAt: r.due}
		}
		if e != nil {
			d.Size = e.size
		}
		if d.NextAttemptAt = c.ours(d.NextAttemptAt); !d.Finished() {
			out = append(out, *d)
		}
	}
	return out, nil
}

// readEvents reads rows of sqlEvents. One that is damaged is left out.
func (q *Queue) readEvents(rows pgx.Rows, into map[int64]*storedEvent) error {
	for rows.Next() {
		var seq, crc int64
		var meta, body []byte
		e := &storedEvent{}
		if err := rows.Scan(&seq, &meta, &crc, &e.webhooks, &e.queuedAt, &e.size, &body); err != nil {
			return err
		}
		var err error
		if e.Event, err = decodeEvent(seq, meta, body, crc, body != nil); err != nil {
			continue
		}
		into[seq] = e
		if body != nil {
			q.recent.put(seq, e)
		}
	}
	return rows.Err()
}

// readRecords reads rows of sqlDeliveries. One that is damaged is left out.
func (q *Queue) readRecords(rows pgx.Rows, into map[ref]*queue.Delivery) error {
	for rows.Next() {
		var r ref
		var rev int32
		var record []byte
		if err := rows.Scan(&r.seq, &r.idx, &rev, &record); err != nil {
			return err
		}
		d := &queue.Delivery{}
		if q.decode(r, record, d) == nil {
			into[r] = d
		}
	}
	return rows.Err()
}

// Head returns the webhook's oldest unfinished delivery, due or not, in the order the events
// were read. While deliveries of it are being replayed, by any agent, there is none.
func (q *Queue) Head(webhook string) (head queue.Delivery, ok bool, err error) {
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		r, c, err := q.headRef(ctx, conn, text(webhook))
		if r == nil || err != nil {
			return err
		}
		out, err := q.claimed(ctx, conn, webhook, []dueRef{*r}, c)
		if ok = len(out) > 0; ok {
			head = out[0]
		}
		return err
	})
	return head, ok, err
}

// headRef finds the webhook's head, nil for none: from its place on, or from the beginning where something was replayed
// since that was found.
func (q *Queue) headRef(ctx context.Context, conn *pgx.Conn, webhook string) (*dueRef, clock, error) {
	for {
		from, token := q.places.head(webhook)
		began := time.Now()
		var at time.Time
		var replayed bool
		var due *time.Time
		var seq *int64
		var idx *int32
		var tried *bool
		err := conn.QueryRow(ctx, sqlHead, webhook, from.seq, from.since).Scan(&at, &replayed, &due, &seq, &idx, &tried)
		switch {
		case err == nil && replayed && from.since != nil:
			q.places.forget(webhook)
			continue
		case err != nil || seq == nil:
			return nil, clock{}, err
		}
		q.places.sawHead(webhook, *seq, token, from, at, time.Since(began))
		return &dueRef{ref{*seq, *idx}, *due, *tried}, q.at(at), nil
	}
}

// OldestDue is when the webhook's first unfinished delivery is, or was, due, by this agent's clock; zero where none waits.
func (q *Queue) OldestDue(webhook string) (due time.Time) {
	// For display only: an error shows elsewhere.
	_ = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		var at time.Time
		err := conn.QueryRow(ctx, sqlOldestDue, text(webhook)).Scan(&at, &due)
		due = q.at(at).ours(due)
		return err
	})
	return due
}

// EventOf returns the event a delivery belongs to, with its body, of which nothing may be changed.
func (q *Queue) EventOf(deliveryID string) (e queue.Event, err error) {
	r, err := q.parseDeliveryID(deliveryID)
	if err != nil {
		return e, err
	}
	if known := q.recent.get(r.seq); known != nil {
		return known.Event, nil
	}
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		e, err = eventWhere(ctx, conn, sqlEvent, r.seq)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = queue.ErrNotFound
	}
	if err != nil {
		return queue.Event{}, fmt.Errorf("the event of delivery %s: %w", deliveryID, err)
	}
	return e, nil
}

// eventWhere reads one event whole.
func eventWhere(ctx context.Context, conn *pgx.Conn, sql string, arg any) (queue.Event, error) {
	var seq, crc int64
	var meta, body []byte
	if err := conn.QueryRow(ctx, sql, arg).Scan(&seq, &meta, &crc, &body); err != nil {
		return queue.Event{}, notFound(err)
	}
	return decodeEvent(seq, meta, body, crc, true)
}

// notFound is err, or an ErrNotFound where there was no row.
func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return queue.ErrNotFound
	}
	return err
}
