package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// enqueue is a batch on its way into the database.
type enqueue struct {
	q    *Queue
	b    queue.Batch
	done queue.Committed
	// unknown: of an earlier try it is not known whether it was committed.
	unknown bool
	tries   map[int64]queue.Committed // what each came to, by its token
	mine    map[claim]bool            // what they chose

	now      time.Time
	batch    int64
	token    int64             // tells whose a cursor is; numbers that the database gives repeat after a failover which lost some
	next     int64             // seq
	latest   map[string]latest // by id: the latest event of it
	rows     eventRows
	webhooks map[string]bool
	delta    delta
}

// claim is an id with the seq that a try has chosen for it.
type claim struct {
	id  string
	seq int64
}

// latest is the event that an id has. old is the seq that the database has for the id.
type latest struct {
	seq, old int64
	payload  string
}

type eventRows struct {
	seqs        []int64
	ids, types  []string
	queued      []time.Time
	webhooks    []string
	metas       [][]byte
	bodies      [][]byte
	crcs        []int64
	dueWebhooks []string
	dueSeqs     []int64
	dueIdx      []int32
	dueAt       []time.Time
}

// transaction is one try.
func (e *enqueue) transaction(ctx context.Context, tx pgx.Tx) error {
	e.rows, e.webhooks, e.delta, e.latest = eventRows{}, map[string]bool{}, delta{}, map[string]latest{}
	e.done = queue.Committed{Gen: e.b.Gen}
	earlier, err := e.begin(ctx, tx)
	if err != nil {
		return err
	}
	if earlier != nil {
		e.done = *earlier
		return confirm(ctx, tx)
	}
	if err := e.choose(); err != nil {
		return err
	}
	if e.b.Cursor != nil {
		e.done.Gen = e.b.Gen + 1
	}
	e.token = newToken()
	e.tries[e.token] = e.done
	for id, l := range e.latest {
		if l.seq != l.old {
			e.mine[claim{id, l.seq}] = true
		}
	}
	return e.insert(ctx, tx)
}

func newToken() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.NativeEndian.Uint64(b[:]))
}

// begin reads what the batch meets: the time, the source's cursor and the ids that are known. earlier is what
// an earlier try came to that was committed after all.
func (e *enqueue) begin(ctx context.Context, tx pgx.Tx) (earlier *queue.Committed, err error) {
	var names, level string
	var gen, last, token int64
	var at time.Time
	batch := &pgx.Batch{}
	batch.Queue(sqlBegin).QueryRow(func(row pgx.Row) error { return row.Scan(&at, &e.batch, &last, &names, &level) })
	batch.Queue(sqlSourceHead, text(e.b.Source)).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&gen, &token)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if len(e.b.Events) > 0 {
		batch.Queue(sqlKnown, e.ids()).Query(func(rows pgx.Rows) error {
			var id string
			var l latest
			_, err := pgx.ForEachRow(rows, []any{&id, &l.seq, &l.payload}, func() error {
				l.old = l.seq
				e.latest[id] = l
				return nil
			})
			return err
		})
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	e.now = e.q.at(at).database
	e.next = firstSeq(e.now, last, e.batch)
	if e.b.Cursor == nil || gen == e.b.Gen {
		return nil, e.q.replicated(names, level)
	}
	if done, ok := e.tries[token]; ok && gen == e.b.Gen+1 {
		return &done, nil
	}
	return nil, fmt.Errorf("source %s: %w", e.b.Source, queue.ErrMoved)
}

func (e *enqueue) ids() []string {
	ids := make([]string, 0, len(e.b.Events))
	for i := range e.b.Events {
		ids = append(ids, text(e.b.Events[i].ID))
		if p := e.b.Events[i].PayloadID; p != "" {
			ids = append(ids, text(p))
		}
	}
	return ids
}

// replicated returns an ErrUnreplicated where the database would acknowledge what one server has.
func (q *Queue) replicated(names, level string) error {
	switch {
	case q.opts.Replication == "trust":
		return nil
	case strings.TrimSpace(names) == "":
		return fmt.Errorf("%w: its synchronous_standby_names is empty, so that a commit is lost with the one server that has it", ErrUnreplicated)
	case level == "off" || level == "local" || level == "remote_write":
		return fmt.Errorf("%w: its synchronous_commit is %s, so that a commit may be lost with the server", ErrUnreplicated, level)
	}
	return nil
}

// choose decides which events are new, and numbers them.
func (e *enqueue) choose() error {
	_, _, window := e.q.limits.Get()
	known := func(seq int64) bool {
		return seq != 0 && (e.b.Backfill || window == 0 || e.now.Sub(seqTime(seq)) < window)
	}
	for i := range e.b.Events {
		ev := &e.b.Events[i]
		l := e.latest[text(ev.ID)]
		again, ours := known(l.seq), e.ours(ev, l)
		if again && ev.Conflicts(l.payload) {
			id := ev.ID
			ev = ev.ByPayload()
			l = e.latest[text(ev.ID)]
			if again, ours = known(l.seq), e.ours(ev, l); !again || ours {
				e.done.Conflicts = append(e.done.Conflicts, id)
			}
		}
		if ours {
			e.queued(ev)
			continue
		}
		if again {
			e.done.Duplicates++
			continue
		}
		if err := e.add(ev); err != nil {
			return err
		}
		e.queued(ev)
	}
	return nil
}

// ours reports whether an earlier try has queued the event, and this one has not met it yet.
func (e *enqueue) ours(ev *queue.NewEvent, l latest) bool {
	return l.seq != 0 && e.mine[claim{text(ev.ID), l.seq}] && l.seq == l.old && !slices.Contains(e.done.Queued, ev.ID)
}

func (e *enqueue) queued(ev *queue.NewEvent) {
	e.done.Queued = append(e.done.Queued, ev.ID)
	e.done.Deliveries += len(ev.Webhooks)
	for _, webhook := range ev.Webhooks {
		e.webhooks[webhook] = true
	}
}

// What a row takes in the database besides its own bytes, with its indexes.
const (
	eventOverhead    = 300
	dueOverhead      = 200
	deliveryOverhead = 150
	rejectedOverhead = 200
)

// add makes the rows of a new event.
func (e *enqueue) add(ev *queue.NewEvent) error {
	if ev.ID == "" || len(ev.Webhooks) > 1<<16-1 {
		return fmt.Errorf("event %q from %s cannot be queued: it has no id, or too many webhooks want it", ev.ID, ev.Path)
	}
	stored := ev.Event
	stored.Type = queue.ClipText(ev.Type, queue.MaxType)
	meta, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	r, seq, typ, id := &e.rows, e.next, text(stored.Type), text(ev.ID)
	e.next += seqStep
	at := queuedAt(seq, e.now)
	r.seqs, r.ids, r.types, r.queued = append(r.seqs, seq), append(r.ids, id), append(r.types, typ), append(r.queued, at)
	r.webhooks = append(r.webhooks, text(strings.Join(ev.Webhooks, webhookSeparator)))
	body := ev.Body
	if body == nil {
		body = []byte{}
	}
	r.metas, r.bodies, r.crcs = append(r.metas, meta), append(r.bodies, body), append(r.crcs, checksum(meta, body))
	for i, webhook := range ev.Webhooks {
		name := text(webhook)
		r.dueWebhooks, r.dueSeqs, r.dueIdx, r.dueAt = append(r.dueWebhooks, name), append(r.dueSeqs, seq), append(r.dueIdx, int32(i)), append(r.dueAt, at)
		e.delta.add(name, queue.Pending, typ, 1)
	}
	e.delta.bytes(eventOverhead + len(meta) + len(ev.Body) + dueOverhead*len(ev.Webhooks))
	e.latest[id] = latest{seq: seq, old: e.latest[id].old, payload: text(ev.PayloadID)}
	return nil
}

// insert writes the batch.
func (e *enqueue) insert(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	if r := &e.rows; len(r.seqs) > 0 {
		e.queueIDs(batch)
		batch.Queue(sqlInsertEvents, r.seqs, r.ids, r.types, r.queued, r.webhooks, r.metas, r.bodies, r.crcs)
		batch.Queue(sqlInsertDue, r.dueWebhooks, r.dueSeqs, r.dueIdx, r.dueAt)
	}
	if err := e.queueRejected(batch); err != nil {
		return err
	}
	e.delta.queue(batch)
	if e.b.Cursor != nil {
		batch.Queue(sqlMoveCursor, text(e.b.Source), e.b.Gen+1, e.b.Cursor, e.token)
		batch.Queue(sqlDropCursor, text(e.b.Source), e.b.Gen)
	} else if batch.Len() == 0 {
		return confirm(ctx, tx) // of an earlier try, perhaps
	}
	return e.conflict(tx.SendBatch(ctx, batch).Close())
}

// conflict says what a key means that is there already: of a cursor that it has moved.
func (e *enqueue) conflict(err error) error {
	if constraintOf(err) == "source_pkey" && !e.unknown {
		return fmt.Errorf("source %s: %w", e.b.Source, queue.ErrMoved)
	}
	return err
}

// queueIDs claims the ids, in one order in all agents. Where another has claimed one meanwhile,
// the transaction is done again.
func (e *enqueue) queueIDs(batch *pgx.Batch) {
	var fresh, again struct {
		ids, payloads []string
		seqs, old     []int64
	}
	for _, id := range slices.Sorted(maps.Keys(e.latest)) {
		l, to := e.latest[id], &fresh
		if l.old != 0 {
			to = &again
		}
		if l.seq != l.old {
			to.ids, to.payloads, to.seqs, to.old = append(to.ids, id), append(to.payloads, l.payload), append(to.seqs, l.seq), append(to.old, l.old)
		}
	}
	if n := len(fresh.ids); n > 0 {
		batch.Queue(sqlInsertIDs, fresh.ids, fresh.seqs, fresh.payloads).Exec(expect(n))
	}
	if n := len(again.ids); n > 0 {
		batch.Queue(sqlUpdateIDs, again.ids, again.seqs, again.payloads, again.old).Exec(expect(n))
	}
}

// queueRejected keeps records that could not be read, once for each place they were read at.
func (e *enqueue) queueRejected(batch *pgx.Batch) error {
	if len(e.b.Rejected) == 0 {
		return nil
	}
	var seqs []int64
	var keys, records [][]byte
	var sources []string
	for i := range e.b.Rejected {
		r := e.b.Rejected[i]
		r.ID = rejectedID(e.next)
		record, err := json.Marshal(r)
		if err != nil {
			return err
		}
		seqs, keys, sources, records = append(seqs, e.next), append(keys, rejectedKey(&r)), append(sources, text(r.Source)), append(records, record)
		e.next += seqStep
	}
	batch.Queue(sqlInsertRejected, seqs, keys, sources, records, int64(rejectedOverhead))
	return nil
}
