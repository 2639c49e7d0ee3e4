package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// What a move asks the database.
const (
	sqlTransferBegin = `SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')`

	sqlTransferProgress = `SELECT value FROM agent.memo WHERE name = $1 FOR UPDATE`

	sqlEventsTaken   = `SELECT seq FROM agent.event WHERE seq = ANY($1::bigint[])`
	sqlRejectedTaken = `SELECT seq FROM agent.rejected WHERE seq = ANY($1::bigint[])`

	sqlTransferDue = `INSERT INTO agent.due (webhook, seq, idx, due, tried)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::boolean[])`

	sqlTransferIDs = `WITH kept AS (
			INSERT INTO agent.dedup (id, seq, payload)
			SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT (id) DO NOTHING RETURNING seq, id)
		INSERT INTO agent.expiry (seq, id) SELECT seq, id FROM kept ON CONFLICT DO NOTHING`

	sqlTransferSource = `INSERT INTO agent.source (name, gen, cursor, token)
		SELECT $1, 1, $2, 0 WHERE NOT EXISTS (SELECT FROM agent.source WHERE name = $1)`

	sqlTransferWebhook = `INSERT INTO agent.webhook AS w (name, state, pause) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET state = coalesce(w.state, excluded.state), pause = coalesce(w.pause, excluded.pause)`
)

// transferRows are the rows of a part of the events.
type transferRows struct {
	*transfer
	clock   clock
	known   map[string]bool // ids that the shared queue has
	seqs    []int64         // of the events
	moved   Transferred
	delta   delta
	waiting map[string]bool // webhooks for which something is due

	ids        eventRows // of ids and seqs alone
	payloads   []string
	events     eventRows
	due        dueRows
	tried      []bool // beside due
	deliveries deliveryRows
}

// prepare reads what the part meets.
func (r *transferRows) prepare(ctx context.Context, tx pgx.Tx, events []queue.ExportedEvent) error {
	ids := make([]string, len(events))
	r.seqs, r.known, r.waiting = make([]int64, len(events)), map[string]bool{}, map[string]bool{}
	for i := range events {
		ids[i], r.seqs[i] = text(events[i].Event.ID), int64(events[i].Seq)
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlNow).QueryRow(func(row pgx.Row) error {
		var at time.Time
		err := row.Scan(&at)
		r.clock = r.q.at(at)
		return err
	})
	batch.Queue(sqlKnown, ids).Query(func(rows pgx.Rows) error {
		var id, payload string
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&id, &seq, &payload}, func() error { r.known[id] = true; return nil })
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return free(ctx, tx, sqlEventsTaken, r.seqs)
}

// free changes those of the seqs that are taken: two queues may have counted the same nanosecond.
func free(ctx context.Context, tx pgx.Tx, taken string, seqs []int64) error {
	for asked := seqs; len(asked) > 0; {
		rows, err := tx.Query(ctx, taken, asked)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		asked = nil
		for _, seq := range found {
			i, next := slices.Index(seqs, seq), seq+1
			for slices.Contains(seqs, next) {
				next++
			}
			seqs[i] = next
			asked = append(asked, next)
		}
	}
	return nil
}

// add makes the rows of an event, unless the shared queue knows it.
func (r *transferRows) add(e *queue.ExportedEvent, seq int64) error {
	id := text(e.Event.ID)
	if r.known[id] {
		r.moved.Known++
		return nil
	}
	stored := e.Event
	stored.Source = r.Source(stored.Source)
	meta, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	body := e.Event.Body
	if body == nil {
		body = []byte{}
	}
	v := &r.events
	v.seqs, v.ids, v.types, v.queued = append(v.seqs, seq), append(v.ids, id), append(v.types, text(stored.Type)), append(v.queued, e.QueuedAt)
	v.webhooks = append(v.webhooks, text(strings.Join(e.Webhooks, webhookSeparator)))
	v.metas, v.bodies, v.crcs = append(v.metas, meta), append(v.bodies, body), append(v.crcs, checksum(meta, body))
	if e.Latest {
		r.ids.ids, r.ids.seqs, r.payloads = append(r.ids.ids, id), append(r.ids.seqs, seq), append(r.payloads, text(e.PayloadID))
	}
	r.moved.Events++
	r.delta.bytes(eventOverhead + len(meta) + len(body))
	for i, d := range e.Deliveries {
		if d == nil {
			r.moved.Damaged++
			continue
		}
		if err := r.deliver(e, d, ref{seq, int32(i)}); err != nil {
			return err
		}
	}
	return nil
}

// deliver makes the rows of a delivery. One that was never tried is what its event says.
func (r *transferRows) deliver(e *queue.ExportedEvent, d *queue.Delivery, at ref) error {
	untried := d.Status == queue.Pending && len(d.History)+len(d.Replays) == 0 && d.Attempts == 0 && d.Webhook == e.Webhooks[at.idx]
	webhook, typ := text(d.Webhook), text(d.EventType)
	r.webhooks[d.Webhook] = true
	r.moved.Deliveries++
	r.delta.add(webhook, d.Status, typ, 1)
	d.ID = r.q.deliveryID(at)
	if !d.Finished() {
		d.NextAttemptAt = roundUp(r.clock.theirs(d.NextAttemptAt))
		r.due.add(webhook, at, d.NextAttemptAt)
		r.tried, r.waiting[d.Webhook] = append(r.tried, !untried), true
		r.moved.Waiting++
		r.delta.bytes(dueOverhead)
	}
	if untried {
		return nil
	}
	record, err := json.Marshal(d)
	if err != nil {
		return err
	}
	stored := &stored{ref: at, Delivery: *d}
	r.deliveries.add(stored, stored.counted(), record)
	r.delta.bytes(deliveryOverhead + len(record))
	return nil
}

// batch inserts the rows. Where another agent has used an id meanwhile, all of it is done again.
func (r *transferRows) batch() *pgx.Batch {
	batch := &pgx.Batch{}
	if i := &r.ids; len(i.ids) > 0 {
		batch.Queue(sqlInsertIDs, i.ids, i.seqs, r.payloads).Exec(expect(len(i.ids)))
	}
	if v := &r.events; len(v.seqs) > 0 {
		batch.Queue(sqlInsertEvents, v.seqs, v.ids, v.types, v.queued, v.webhooks, v.metas, v.bodies, v.crcs)
	}
	if d := &r.due; len(d.seqs) > 0 {
		batch.Queue(sqlTransferDue, d.webhooks, d.seqs, d.idxs, d.at, r.tried)
	}
	r.deliveries.queue(batch, sqlInsertDeliveries)
	r.delta.queue(batch)
	return batch
}
