package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Transfer is how a queue in Badger becomes part of the shared one, with its history. Its agent must be stopped.
//
// Each part is one transaction with how far the move has come, so it can be killed and begun again at
// any moment; what other agents have queued meanwhile is left as it is. The cursors come last:
// an agent that is started too early reads what is being moved, and it is found to be known.
type Transfer struct {
	From *queue.Queue // opened with Moving
	Dir  string       // its state directory: it is marked, and opens no more
	// Source is the name that a source has in the shared queue; others, as "ingest", keep theirs.
	Source func(name string) string
	// Sources and Webhooks are the configured ones, by their names in From.
	Sources, Webhooks []string
	// Progress is told from time to time how far it has come; nil: nobody is.
	Progress func(Transferred)
}

// Transferred is what a transfer has brought, since it was begun last.
type Transferred struct {
	Events, Deliveries, Waiting int
	Known                       int // events that the shared queue had: those and their deliveries were left behind
	Damaged                     int // events and deliveries that cannot be read, left behind
	IDs, Rejected, Cursors      int
}

func (m *Transferred) add(o Transferred) {
	m.Events, m.Deliveries, m.Waiting = m.Events+o.Events, m.Deliveries+o.Deliveries, m.Waiting+o.Waiting
	m.Known, m.Damaged = m.Known+o.Known, m.Damaged+o.Damaged
}

// moveDone is how far a move has come that is done.
const moveDone = "done"

// TakeOver brings all that t.From keeps into this queue, and marks t.Dir.
func (q *Queue) TakeOver(ctx context.Context, t Transfer) (Transferred, error) {
	r := &transfer{q: q, Transfer: t, memo: "moved " + t.From.Instance(), webhooks: map[string]bool{}}
	for _, name := range t.Webhooks {
		r.webhooks[name] = true
	}
	if err := queue.MarkMoved(t.Dir, "PostgreSQL", false); err != nil {
		return Transferred{}, err
	}
	for _, step := range []func(context.Context) error{r.events, r.ids, r.rejected, r.rest} {
		if err := step(ctx); err != nil {
			return r.moved, fmt.Errorf("move the queue: %w", err)
		}
	}
	return r.moved, queue.MarkMoved(t.Dir, "PostgreSQL", true)
}

type transfer struct {
	Transfer
	q        *Queue
	memo     string
	moved    Transferred
	webhooks map[string]bool // all that are met
	done     bool            // by an earlier run
}

// progress returns how far the move has come, and keeps others from going on with it until the commit.
func (r *transfer) progress(ctx context.Context, tx pgx.Tx) (after uint64, err error) {
	var value []byte
	if err := tx.QueryRow(ctx, sqlTransferProgress, r.memo).Scan(&value); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	if r.done = string(value) == moveDone; r.done || len(value) == 0 {
		return 0, nil
	}
	return strconv.ParseUint(string(value), 10, 64)
}

// transaction does a part of the move, again where it is not known whether it was committed.
func (r *transfer) transaction(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return r.q.again(ctx, r.q.intake, f)
}

// events moves events and their deliveries.
func (r *transfer) events(ctx context.Context) error {
	var after uint64
	err := r.transaction(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		var names, level string
		if err := tx.QueryRow(ctx, sqlTransferBegin).Scan(&names, &level); err != nil {
			return err
		}
		if err := r.q.replicated(names, level); err != nil {
			return err
		}
		after, err = r.progress(ctx, tx)
		return err
	})
	for last := r.done; err == nil && !last; {
		var part queue.Export
		if part, err = r.From.Export(after); err != nil {
			return err
		}
		for _, damage := range part.Damaged {
			r.q.log.Warn("an event is left behind", "error", damage)
		}
		if err = r.part(ctx, after, part); err == nil {
			r.moved.Damaged += len(part.Damaged)
			if r.Progress != nil {
				r.Progress(r.moved)
			}
		}
		after, last = part.Next, part.Last
	}
	return err
}

// part moves a part of the events, unless it was moved already.
func (r *transfer) part(ctx context.Context, after uint64, part queue.Export) error {
	var rows *transferRows
	err := r.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows = &transferRows{transfer: r, delta: delta{}}
		switch at, err := r.progress(ctx, tx); {
		case err != nil:
			return err
		case at == part.Next && at != after: // by a commit of which that was not known
			return confirm(ctx, tx)
		case at != after:
			return errors.New("another move of the same state is under way")
		}
		if err := rows.prepare(ctx, tx, part.Events); err != nil {
			return err
		}
		for i := range part.Events {
			if err := rows.add(&part.Events[i], rows.seqs[i]); err != nil {
				return err
			}
		}
		batch := rows.batch()
		batch.Queue(sqlSetMemo, r.memo, []byte(strconv.FormatUint(part.Next, 10)))
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil {
		r.moved.add(rows.moved)
		r.q.notify(slices.Sorted(maps.Keys(rows.waiting)))
	}
	return err
}

// ids moves the ids whose events are gone.
func (r *transfer) ids(ctx context.Context) error {
	for place, first := []byte(nil), true; !r.done && (first || place != nil); first = false {
		found, next, err := r.From.ExportIDs(place)
		if err != nil {
			return err
		}
		var ids, payloads []string
		var seqs []int64
		for _, id := range found {
			ids, payloads, seqs = append(ids, text(id.ID)), append(payloads, text(id.PayloadID)), append(seqs, int64(id.Seq))
		}
		err = r.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlTransferIDs, ids, seqs, payloads)
			return err
		})
		if err != nil {
			return err
		}
		r.moved.IDs += len(ids)
		place = next
	}
	return nil
}

// rejected moves the records that could not be read; each is there once for the place it was read at.
func (r *transfer) rejected(ctx context.Context) error {
	for f := (queue.RejectedFilter{Limit: 50}); !r.done; {
		found, next, err := r.From.Rejected(ctx, f)
		if err != nil {
			return err
		}
		err = r.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error { return r.reject(ctx, tx, found) })
		if err != nil {
			return err
		}
		r.moved.Rejected += len(found)
		if f.Before = next; next == "" {
			return nil
		}
	}
	return nil
}

func (r *transfer) reject(ctx context.Context, tx pgx.Tx, found []queue.Rejected) error {
	var seqs []int64
	for i := range found {
		seq, err := parseRejectedID(found[i].ID)
		if err != nil {
			return err
		}
		seqs = append(seqs, seq)
	}
	if err := free(ctx, tx, sqlRejectedTaken, seqs); err != nil {
		return err
	}
	var keys, records [][]byte
	var sources []string
	for i := range found {
		rec := found[i]
		rec.ID, rec.Source = rejectedID(seqs[i]), r.Source(rec.Source)
		record, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		keys, sources, records = append(keys, rejectedKey(&rec)), append(sources, text(rec.Source)), append(records, record)
	}
	_, err := tx.Exec(ctx, sqlInsertRejected, seqs, keys, sources, records, int64(rejectedOverhead))
	return err
}

// rest moves what is small, and ends the move.
func (r *transfer) rest(ctx context.Context) error {
	if r.done {
		return nil
	}
	cursors, err := r.From.ExportCursors(r.Sources)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for _, name := range slices.Sorted(maps.Keys(cursors)) {
		batch.Queue(sqlTransferSource, text(r.Source(name)), cursors[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.webhooks)) {
		state, err := r.From.State(name)
		if err != nil {
			return err
		}
		pause, err := r.From.Pause(name)
		if err != nil {
			return err
		}
		if state != nil || pause != nil {
			batch.Queue(sqlTransferWebhook, text(name), state, pause)
		}
	}
	batch.Queue(sqlSetMemo, r.memo, []byte(moveDone))
	err = r.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err == nil {
		r.moved.Cursors = len(cursors)
		r.q.tell(notice{Pauses: true, Webhooks: slices.Sorted(maps.Keys(r.webhooks))})
	}
	return err
}
