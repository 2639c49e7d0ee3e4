package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// intake makes batches durable, each with the position behind it: in one transaction, or in as
// many as it takes, the position with the last. Before each it waits until there is room.
type intake struct {
	writer *writer
	disk   *disk
	limits *Limits
}

// Commit makes a batch durable: its events with a delivery for each webhook that wants
// them, its rejected records, and the cursor of its source. While the queue is full it
// waits for room, which stops the reading. An error means that the cursor has not moved;
// reading the batch again then queues nothing twice.
//
// It is one transaction as long as one holds it: about 2,500 deliveries, so 512 events
// for 4 webhooks with names of common length. A larger one is written in several, the
// cursor with the last; see partialBatch.
func (in *intake) Commit(ctx context.Context, b Batch) (Committed, error) {
	var total Committed
	refused := false // even the cursor, which else needs no room to speak of
	for {
		if refused || len(b.Events)+len(b.Rejected) > 0 {
			if err := in.disk.wait(ctx, in.writer.quit); err != nil {
				return Committed{}, err
			}
		}
		part, c, last := in.part(b)
		done, err := in.commitPart(ctx, part, c, total.again)
		if refused = errors.Is(err, ErrFull); refused && ctx.Err() == nil {
			in.disk.measure() // others have filled the disk since it was looked at
			continue
		}
		if err != nil {
			return Committed{}, err
		}
		total.Queued = append(total.Queued, done.Queued...)
		total.Duplicates += done.Duplicates
		total.Conflicts = append(total.Conflicts, done.Conflicts...)
		total.Deliveries += done.Deliveries
		total.again = done.again
		if last {
			return total, nil
		}
		b.Events, b.Rejected = b.Events[len(part.Events):], b.Rejected[len(part.Rejected):]
	}
}

// part is as much of a batch as one transaction holds, what it costs, and whether that
// is all of it.
func (in *intake) part(b Batch) (part Batch, c cost, last bool) {
	c = cost{3, int64(2*len(b.Source)+len(b.Cursor)) + 200}
	counted := map[indexKey]bool{}
	n := 0
	for ; n < len(b.Events); n++ {
		next := c.plus(eventCost(&b.Events[n], counted))
		if n > 0 && !next.fits(in.writer.room) {
			break
		}
		c = next
	}
	part = b
	part.Events, part.Rejected = b.Events[:n], nil
	m := 0
	for ; n == len(b.Events) && m < len(b.Rejected); m++ {
		next := c.plus(cost{2, 512})
		if n+m > 0 && !next.fits(in.writer.room) {
			break
		}
		c = next
	}
	part.Rejected = b.Rejected[:m]
	if last = n == len(b.Events) && m == len(b.Rejected); !last {
		part.Cursor, part.unfinished = nil, b.Cursor != nil
	}
	return part, c, last
}

// eventCost bounds what an event takes: itself, its id, of each delivery the due time,
// the index and, where it has one, its record, and the counts that no event before it in the batch changes.
func eventCost(e *NewEvent, counted map[indexKey]bool) cost {
	c := cost{2, int64(min(len(e.Body)+600, inline) + len(e.ID) + len(e.PayloadID) + 100)}
	for _, webhook := range e.Webhooks {
		co := indexKeyFor(webhook, Pending, e.Type)
		c.keys, c.bytes = c.keys+2, c.bytes+int64(2*len(co.webhook)+len(co.typ)+80)
		if len(e.Body) >= ownRecord {
			c.keys, c.bytes = c.keys+1, c.bytes+int64(len(webhook)+2*MaxType+600)
		}
		if !counted[co] {
			counted[co] = true
			c.keys, c.bytes = c.keys+1, c.bytes+int64(len(co.webhook)+len(co.typ)+60)
		}
	}
	return c
}

func (in *intake) commitPart(ctx context.Context, b Batch, c cost, again bool) (Committed, error) {
	var done Committed
	_, _, window := in.limits.Get()
	encoded, bodies, err := encodeLarge(b.Events)
	if err != nil {
		return done, err
	}
	err = in.writer.submitBodies(ctx, c, bodies, func(w *writeTxn) error {
		done = Committed{again: again} // a transaction that failed is applied again
		left, err := w.readPartial(&b)
		if err != nil {
			return err
		}
		for i := range b.Events {
			e := &b.Events[i]
			known := func(seq uint64) bool {
				done.again = left.has(seq)
				return seq != 0 && (b.Backfill || window == 0 || done.again || w.wr.now().Sub(seqTime(seq)) < window)
			}
			value := encoded[i]
			seq, payload, err := w.latest(e.ID)
			if err != nil {
				return err
			}
			again := known(seq)
			if again && e.Conflicts(payload) {
				id := e.ID
				e, value = e.ByPayload(), nil
				if seq, _, err = w.latest(e.ID); err != nil {
					return err
				}
				if again = known(seq); !again {
					done.Conflicts = append(done.Conflicts, id)
				}
			}
			if again {
				// One whose bytes are damaged is not there: this brings it back.
				if _, err := loadMeta(w.txn, seq); !errors.Is(err, ErrDamaged) {
					done.Duplicates++
					continue
				}
			}
			if err := w.event(e, value); err != nil {
				return err
			}
			done.Queued = append(done.Queued, e.ID)
			done.Deliveries += len(e.Webhooks)
		}
		for i := range b.Rejected {
			if err := w.rejected(&b.Rejected[i]); err != nil {
				return err
			}
		}
		if err := w.writePartial(&b, left, done.again); err != nil || b.Cursor == nil {
			return err
		}
		return w.set(cursorKey(b.Source), seal(b.Cursor))
	})
	return done, err
}

// Conflicts reports whether the event has the id of another, whose PayloadID this is.
func (e *NewEvent) Conflicts(payloadID string) bool {
	return payloadID != "" && e.PayloadID != "" && payloadID != e.PayloadID
}

// ByPayload is the event under the id of its payload.
func (e *NewEvent) ByPayload() *NewEvent {
	named := *e
	named.ID, named.PayloadID, named.TraceID = e.PayloadID, "", TraceOf(e.PayloadID)
	return &named
}

// latest returns the seq of the latest event of an id, 0 where there is none, and, where its
// producer chose the id, its PayloadID.
func (w *writeTxn) latest(id string) (seq uint64, payloadID string, err error) {
	item, err := w.txn.Get(dedupKey(id))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, "", nil
	}
	value, err := valueOf(item, err, "the id of an event")
	if err != nil {
		return 0, "", err
	}
	return seqOf(value), string(value[8:]), nil
}

// encodeLarge encodes events that are large before the writer's turn, since all others wait for that, and
// returns how many bytes all bodies take.
func encodeLarge(events []NewEvent) (encoded [][]byte, bodies int, err error) {
	encoded = make([][]byte, len(events))
	for i := range events {
		e := &events[i]
		if bodies += len(e.Body); len(e.Body) < ownRecord {
			continue
		}
		if encoded[i], err = encodeEvent(e.stored()); err != nil {
			return nil, 0, err
		}
	}
	return encoded, bodies, nil
}

// stored is an event as kept.
func (e *NewEvent) stored() *storedEvent {
	stored := &storedEvent{Event: e.Event, Webhooks: e.Webhooks}
	stored.Type = ClipText(e.Type, MaxType)
	return stored
}

// event queues an event; value is what encodeEvent made of it, nil where that is to be done.
func (w *writeTxn) event(e *NewEvent, value []byte) (err error) {
	if e.ID == "" || len(e.Webhooks) > 1<<16-1 {
		return fmt.Errorf("event %q from %s cannot be queued: it has no id, or too many webhooks want it", e.ID, e.Path)
	}
	seq := w.next()
	stored := e.stored()
	if now := w.wr.now(); seqTime(seq).Sub(now) > time.Second {
		// The clock was set back. What is new is due now all the same.
		stored.QueuedAt, value = time.Unix(0, now.UnixNano()), nil
	}
	if value == nil {
		if value, err = encodeEvent(stored); err != nil {
			return err
		}
	}
	if err := w.set(eventKey(seq), value); err != nil {
		return err
	}
	if err := w.set(dedupKey(e.ID), seal(append(u64(nil, seq), e.PayloadID...))); err != nil {
		return err
	}
	for i, webhook := range e.Webhooks {
		d := ref{seq, uint16(i)}
		if err := w.index(d, indexKey{}, indexKeyFor(webhook, Pending, stored.Type)); err != nil {
			return err
		}
		mark := byte(0)
		if len(e.Body) < ownRecord {
			mark = markUntried
		}
		if err := w.enqueue(dueKey(webhook, stored.queued(seq), d), webhook, mark); err != nil {
			return err
		}
		if mark == markUntried {
			continue
		}
		value, err := encodeJSON(w.wr.untried(stored, d))
		if err == nil {
			err = w.set(deliveryKey(d), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rejected keeps a record that could not be read, once for each place it was read at.
func (w *writeTxn) rejected(rec *Rejected) error {
	key := rejectIDKey(rec)
	if _, err := get(w.txn, key, "a rejected record"); !errors.Is(err, ErrNotFound) {
		return err
	}
	seq := w.next()
	kept := *rec
	kept.ID = rejectedID(seq)
	value, err := encodeJSON(kept)
	if err != nil {
		return err
	}
	w.rejectedDiff++
	return errors.Join(w.set(rejectedKey(seq), value), w.set(key, seal(u64(nil, seq))))
}

// DropRejected forgets rejected records. Unknown ids are no error.
func (q *Queue) DropRejected(ctx context.Context, ids ...string) error {
	return q.writer.dropRejected(ctx, ids)
}

func (wr *writer) dropRejected(ctx context.Context, ids []string) error {
	for part := range slices.Chunk(ids, 1000) {
		err := wr.submit(ctx, cost{2 * len(part), 100 * int64(len(part))}, func(w *writeTxn) error {
			for _, id := range part {
				seq, err := parseRejectedID(id)
				if err != nil {
					continue
				}
				if err := w.deleteRejected(seq); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writeTxn) deleteRejected(seq uint64) error {
	var rec Rejected
	value, err := get(w.txn, rejectedKey(seq), "a rejected record")
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil:
		err = decodeJSON("a rejected record", value, &rec)
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	// A damaged one goes too; its other key then stays, which only keeps it from being rejected again.
	w.rejectedDiff--
	return errors.Join(w.delete(rejectedKey(seq)), w.delete(rejectIDKey(&rec)))
}
