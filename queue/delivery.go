package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dawnsystem/intellidocs-agent/queue/mapped"
)

func indexKeyFor(webhook string, s Status, typ string) indexKey {
	return indexKey{bounded(webhook), s, bounded(typ)}
}

func (d *Delivery) indexed() indexKey { return indexKeyFor(d.Webhook, d.Status, d.EventType) }

// loadEvent reads an event whole.
func loadEvent(txn *badger.Txn, seq uint64) (*storedEvent, error) { return readEvent(txn, seq, true) }

// loadMeta reads an event without its body, which may be large.
func loadMeta(txn *badger.Txn, seq uint64) (*storedEvent, error) { return readEvent(txn, seq, false) }

// loadKnown is loadMeta of an event that may have been read recently.
func (s *store) loadKnown(txn *badger.Txn, seq uint64) (*storedEvent, error) {
	item, err := eventItem(txn, seq)
	if err != nil {
		return nil, err
	}
	if e := s.recent.get(seq); e != nil {
		return e, nil
	}
	return eventOf(item, seq, false)
}

func readEvent(txn *badger.Txn, seq uint64, body bool) (*storedEvent, error) {
	item, err := eventItem(txn, seq)
	if err != nil {
		return nil, err
	}
	return eventOf(item, seq, body)
}

func eventItem(txn *badger.Txn, seq uint64) (*badger.Item, error) {
	item, err := txn.Get(eventKey(seq))
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = fmt.Errorf("the event of %s: %w", seqTime(seq).UTC().Format(time.RFC3339Nano), ErrNotFound)
	}
	return item, err
}

func eventOf(item *badger.Item, seq uint64, body bool) (e *storedEvent, err error) {
	err = item.Value(func(v []byte) (err error) {
		mapped.ReadAtOnce(v)
		e, err = decodeEvent(seq, v, body)
		return err
	})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, err
	}
	return e, nil
}

// ownRecord is from which size of the event's body on a delivery has a record of its own from
// the beginning, so that whoever looks for what is due need not read large events.
const ownRecord = 16 << 10

// load reads a delivery. One that was never tried has no record of its own, unless its event is
// large: it is what its event says.
func (s *store) load(txn *badger.Txn, r ref) (*Delivery, error) { return s.loadWith(txn, r, nil) }

// loadWith reads a delivery whose event may be known already.
func (s *store) loadWith(txn *badger.Txn, r ref, e *storedEvent) (*Delivery, error) {
	item, err := txn.Get(deliveryKey(r))
	if !errors.Is(err, badger.ErrKeyNotFound) {
		d, what := &Delivery{}, "delivery "+s.deliveryID(r)
		value, err := valueOf(item, err, what)
		if err != nil {
			return nil, err
		}
		return d, decodeJSON(what, value, d)
	}
	if e == nil {
		if e, err = s.loadKnown(txn, r.seq); err != nil {
			return nil, fmt.Errorf("delivery %s: %w", s.deliveryID(r), err)
		}
	}
	return s.untriedAt(e, r)
}

// untriedAt is untried, unless the event has no such delivery.
func (s *store) untriedAt(e *storedEvent, r ref) (*Delivery, error) {
	if int(r.idx) >= len(e.Webhooks) {
		return nil, fmt.Errorf("delivery %s: %w", s.deliveryID(r), ErrNotFound)
	}
	return s.untried(e, r), nil
}

// untried is a delivery as its event says.
func (s *store) untried(e *storedEvent, r ref) *Delivery {
	created := e.queued(r.seq)
	return &Delivery{
		ID: s.deliveryID(r), EventID: e.ID, EventType: e.Type, Webhook: e.Webhooks[r.idx],
		Status: Pending, CreatedAt: created, NextAttemptAt: created,
	}
}

// maxChanges is how many deliveries one transaction can change, with the longest names.
const maxChanges = 200

// Record makes the outcomes of attempts durable, all or none; more than 200 in parts of
// 200. An outcome of a delivery that is no longer there is dropped.
func (q *Queue) Record(ctx context.Context, outcomes ...Outcome) error {
	for part := range slices.Chunk(outcomes, maxChanges) {
		err := q.writer.submit(ctx, recordCost(len(part)), func(w *writeTxn) error {
			for i := range part {
				if err := w.record(&part[i]); err != nil {
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

// changeCost is what rewriting deliveries takes, with names of common length: of each its
// record, and its due time, place in the index and count before and after.
func changeCost(n int) cost { return cost{7 * n, 1000 * int64(n)} }

// recordCost is what recording outcomes takes, each of another webhook: with its buckets of the history.
func recordCost(n int) cost {
	return changeCost(n).plus(cost{len(Spans) * n, 100 * int64(len(Spans)*n)})
}

func (w *writeTxn) record(o *Outcome) error {
	at, err := w.wr.parseDeliveryID(o.DeliveryID)
	if err != nil {
		return err
	}
	err = w.change(at, func(d *Delivery) {
		d.Attempted(o)
		w.attempted(d.Webhook, o)
	})
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	// What is left of it would be due forever.
	if key := dueKeyOf(w.txn, []byte{kindDue}, at); key != nil {
		return w.delete(key)
	}
	return nil
}

// load is store.load, which need not ask whether an event that was read recently is still there:
// only the writer deletes any.
func (w *writeTxn) load(r ref) (*Delivery, error) {
	var e *storedEvent
	if !slices.Contains(w.forgotten, r.seq) {
		e = w.wr.recent.get(r.seq)
	}
	return w.wr.loadWith(w.txn, r, e)
}

// change rewrites a delivery and moves it where it then belongs.
func (w *writeTxn) change(at ref, f func(d *Delivery)) error {
	d, err := w.load(at)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		d, err = w.wr.locate(w.txn, at)
	}
	if err != nil {
		return err
	}
	before, webhook, due, waiting := d.indexed(), d.Webhook, d.NextAttemptAt, !d.Finished()
	if f(d); statusByte[d.Status] == 0 {
		return fmt.Errorf("delivery %s cannot become %q; please report this", d.ID, d.Status) // no key could be read again
	}
	value, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if waiting {
		if err := w.delete(dueKey(webhook, due, at)); err != nil {
			return err
		}
	}
	if !d.Finished() {
		if err := w.enqueue(dueKey(d.Webhook, d.NextAttemptAt, at), d.Webhook, 0); err != nil {
			return err
		}
	}
	if err := w.index(at, before, d.indexed()); err != nil {
		return err
	}
	return w.set(deliveryKey(at), value)
}

// locate rebuilds from the index what is known of a delivery whose record or event is
// damaged, so that it can be given up.
func (s *store) locate(txn *badger.Txn, r ref) (*Delivery, error) {
	for co := range s.counts.where(func(indexKey) bool { return true }) {
		if _, err := txn.Get(co.key(r)); err == nil {
			d := &Delivery{
				ID: s.deliveryID(r), Webhook: co.webhook, EventType: co.typ, Status: co.status,
				CreatedAt: seqTime(r.seq),
			}
			if key := dueKeyOf(txn, duePrefix(co.webhook), r); key != nil {
				d.NextAttemptAt = dueOf(key)
			}
			return d, nil
		}
	}
	return nil, fmt.Errorf("delivery %s: %w", s.deliveryID(r), ErrNotFound)
}

// dueKeyOf finds the due key of a delivery by walking them: for repair only.
func dueKeyOf(txn *badger.Txn, prefix []byte, r ref) []byte {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if key := it.Item().Key(); refAt(key) == r {
			return it.Item().KeyCopy(nil)
		}
	}
	return nil
}

// Due returns deliveries of the webhook that are due at now in order of their due time, at
// most limit, leaving out those that skip says yes to; and when the next one after them
// is due, zero where none waits.
func (rd *reader) Due(webhook string, now time.Time, limit int, skip func(id string) bool) ([]Delivery, time.Time, error) {
	var out []Delivery
	var next time.Time
	token, recent := rd.hints.token(), rd.recent.token()
	err := rd.view(func(txn *badger.Txn) error {
		var refs []dueRef
		rd.ascend(txn, token, duePrefix(webhook), func(key []byte, mark byte) bool {
			r := refAt(key)
			if skip != nil && skip(rd.deliveryID(r)) {
				return true
			}
			if due := dueOf(key); len(refs) == limit || due.After(now) {
				next = due
				return false
			}
			refs = append(refs, dueRef{r, mark == markUntried})
			return true
		})
		for _, r := range refs {
			d, err := rd.claimable(txn, r, webhook, recent)
			if err != nil {
				return err
			}
			if !d.Finished() {
				out = append(out, *d)
			}
		}
		return nil
	})
	return out, next, err
}

// claimable loads a delivery for sending. One that is damaged or half gone must be
// claimed to be given up, or it would be in the way forever; EventOf says what is wrong
// with it.
func (s *store) claimable(txn *badger.Txn, r dueRef, webhook string, recent uint64) (d *Delivery, err error) {
	size, e := s.readAhead(txn, r.seq, recent)
	if r.untried && e != nil {
		d, err = s.untriedAt(e, r.ref)
	} else {
		d, err = s.loadWith(txn, r.ref, e)
	}
	if err == nil {
		d.Size = size
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		return &Delivery{ID: s.deliveryID(r.ref), Webhook: webhook, Status: Pending, CreatedAt: seqTime(r.seq), NextAttemptAt: seqTime(r.seq)}, nil
	}
	return d, err
}

// dueRef is a delivery that is due; untried where it is known to have no record of its own.
type dueRef struct {
	ref
	untried bool
}

// readAhead reads an event that will be wanted soon, with its body, unless it is large, and
// returns about what its body takes. What is wrong with an event is told where it is wanted.
func (s *store) readAhead(txn *badger.Txn, seq, recent uint64) (size int, e *storedEvent) {
	if e = s.recent.get(seq); e != nil {
		return e.memory(), e
	}
	item, err := eventItem(txn, seq)
	if err != nil {
		return 0, nil
	}
	if size = int(item.ValueSize()); size >= ownRecord {
		return size, nil
	}
	if e, err = eventOf(item, seq, true); err != nil {
		return size, nil
	}
	s.recent.put(seq, e, recent)
	return size, e
}

// Head returns the webhook's oldest unfinished delivery, due or not, in the order the events
// were read.
func (rd *reader) Head(webhook string) (Delivery, bool, error) {
	if rd.replaying.of(webhook) {
		return Delivery{}, false, nil // notified at its end
	}
	name := bounded(webhook)
	waiting := rd.counts.where(func(c indexKey) bool {
		return c.webhook == name && (c.status == Pending || c.status == Retrying)
	})
	var d *Delivery
	token, recent := rd.hints.token(), rd.recent.token()
	err := rd.view(func(txn *badger.Txn) (err error) {
		var head *ref
		for co := range waiting {
			rd.ascend(txn, token, co.prefix(), func(key []byte, _ byte) bool {
				r := refAt(key)
				if head == nil || r.seq < head.seq {
					head = &r
				}
				return false
			})
		}
		if head != nil {
			d, err = rd.claimable(txn, dueRef{ref: *head}, webhook, recent)
		}
		return err
	})
	if err != nil || d == nil {
		return Delivery{}, false, err
	}
	return *d, true, nil
}

// OldestDue is when the webhook's first unfinished delivery is, or was, due; zero where none waits.
func (rd *reader) OldestDue(webhook string) (due time.Time) {
	token := rd.hints.token()
	// For display only: an error shows elsewhere.
	_ = rd.view(func(txn *badger.Txn) error {
		rd.ascend(txn, token, duePrefix(webhook), func(key []byte, _ byte) bool {
			due = dueOf(key)
			return false
		})
		return nil
	})
	return due
}

// Event returns the latest event of an id, with its body.
func (rd *reader) Event(id string) (Event, error) {
	var e *storedEvent
	err := rd.view(func(txn *badger.Txn) error {
		seq, err := get(txn, dedupKey(id), "event "+id)
		if err == nil {
			e, err = loadEvent(txn, binary.BigEndian.Uint64(seq))
		}
		return err
	})
	if err != nil {
		return Event{}, err
	}
	return e.Event, nil
}

// EventOf returns the event a delivery belongs to, with its body, of which nothing may be changed.
func (rd *reader) EventOf(deliveryID string) (Event, error) {
	r, err := rd.parseDeliveryID(deliveryID)
	if err != nil {
		return Event{}, err
	}
	if e := rd.recent.get(r.seq); e != nil { // without a transaction, which would wait for the commit under way
		return e.Event, nil
	}
	var e *storedEvent
	err = rd.view(func(txn *badger.Txn) (err error) {
		e, err = loadEvent(txn, r.seq)
		return err
	})
	if err != nil {
		return Event{}, fmt.Errorf("the event of delivery %s: %w", deliveryID, err)
	}
	return e.Event, nil
}
