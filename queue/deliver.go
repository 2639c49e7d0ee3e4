package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How much of an attempt is kept.
const (
	maxHistory  = 50
	maxReplays  = 20
	maxResponse = 1000
	maxError    = 2000
)

func comboFor(webhook string, s Status, typ string) combo {
	return combo{bounded(webhook), s, bounded(typ)}
}

func (d *Delivery) combo() combo { return comboFor(d.Webhook, d.Status, d.EventType) }

// read reads a sealed value into out, which stays nil where there is none.
func (q *Queue) read(key []byte, what string, out *[]byte) error {
	return q.view(func(txn *badger.Txn) error {
		v, err := get(txn, key, what)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		*out = v
		return err
	})
}

func loadEvent(txn *badger.Txn, seq uint64) (*storedEvent, error) {
	item, err := txn.Get(eventKey(seq))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("the event of %s: %w", seqTime(seq).UTC().Format(time.RFC3339Nano), ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	var e *storedEvent
	if err := item.Value(func(v []byte) (err error) { e, err = decodeEvent(seq, v); return err }); err != nil {
		if !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, err
	}
	return e, nil
}

// load reads a delivery. One that was never tried has no record of its own: it is what
// its event says.
func (q *Queue) load(txn *badger.Txn, r ref) (*Delivery, error) {
	value, err := get(txn, deliveryKey(r), "delivery "+q.deliveryID(r))
	if err == nil {
		d := &Delivery{}
		return d, decodeJSON("delivery "+q.deliveryID(r), value, d)
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	e, err := loadEvent(txn, r.seq)
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", q.deliveryID(r), err)
	}
	if int(r.idx) >= len(e.Webhooks) {
		return nil, fmt.Errorf("delivery %s: %w", q.deliveryID(r), ErrNotFound)
	}
	created := seqTime(r.seq)
	return &Delivery{
		ID: q.deliveryID(r), EventID: e.ID, EventType: e.Type, Webhook: e.Webhooks[r.idx],
		Status: Pending, CreatedAt: created, NextAttemptAt: created,
	}, nil
}

// Record makes the outcomes of attempts durable, all or none. An outcome of a delivery
// that is no longer there is dropped.
func (q *Queue) Record(ctx context.Context, outcomes ...Outcome) error {
	return q.do(ctx, 7*len(outcomes), func(r *round) error {
		for i := range outcomes {
			if err := r.record(&outcomes[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *round) record(o *Outcome) error {
	return r.change(o.DeliveryID, func(d *Delivery) {
		a := o.Attempt
		a.Response, a.Error = clip(a.Response, maxResponse), clip(a.Error, maxError)
		d.Attempts = max(d.Attempts, a.N)
		if !o.Free {
			d.Spent++
		}
		d.Status, d.URL = o.Status, o.URL
		d.LastAttemptAt, d.NextAttemptAt, d.CompletedAt = a.At, o.Due, time.Time{}
		d.ResponseCode, d.ResponseBody, d.Error = a.Status, a.Response, a.Error
		if d.finished() {
			d.NextAttemptAt, d.CompletedAt = time.Time{}, a.At.Add(a.Took)
		}
		d.History = append(d.History, a)
		d.History = d.History[max(0, len(d.History)-maxHistory):]
	})
}

func (d *Delivery) finished() bool { return d.Status == Success || d.Status == Failed }

// change rewrites a delivery and moves it where it then belongs.
func (r *round) change(id string, f func(d *Delivery)) error {
	at, err := r.q.parseDeliveryID(id)
	if err != nil {
		return err
	}
	d, err := r.q.load(r.txn, at)
	if errors.Is(err, ErrDamaged) {
		d, err = r.q.locate(r.txn, at)
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	before, due, waiting := d.combo(), d.NextAttemptAt, !d.finished()
	f(d)
	value, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if waiting {
		if err := r.delete(dueKey(d.Webhook, due, at)); err != nil {
			return err
		}
	}
	if !d.finished() {
		if err := r.enqueue(dueKey(d.Webhook, d.NextAttemptAt, at), d.Webhook); err != nil {
			return err
		}
	}
	if err := r.index(at, before, d.combo()); err != nil {
		return err
	}
	return r.set(deliveryKey(at), value)
}

// locate rebuilds from the index what is known of a delivery whose record or event is
// damaged, so that it can be given up.
func (q *Queue) locate(txn *badger.Txn, r ref) (*Delivery, error) {
	for co := range q.counts.combos(func(combo) bool { return true }) {
		if _, err := txn.Get(co.indexKey(r)); err == nil {
			created := seqTime(r.seq)
			return &Delivery{
				ID: q.deliveryID(r), Webhook: co.webhook, EventType: co.typ, Status: co.status,
				CreatedAt: created, NextAttemptAt: created,
			}, nil
		}
	}
	return nil, fmt.Errorf("delivery %s: %w", q.deliveryID(r), ErrNotFound)
}

// marks remember, for each prefix of keys that is read from its low end, from which key
// on there is something. Badger keeps deleted keys for a while, and finding the head of
// a queue behind a million of them takes seconds.
type marks struct {
	mu  sync.Mutex
	gen uint64
	low map[string][]byte
}

func (m *marks) init() { m.low = map[string][]byte{} }

// token is taken before a transaction is opened: what is committed after it may be
// missing from what the transaction sees, and found must then not raise a mark above it.
func (m *marks) token() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gen
}

// from is where to begin.
func (m *marks) from(prefix []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.low[string(prefix)]; k != nil {
		return k
	}
	return prefix
}

// found raises a mark to the first key there was, unless keys were added since the token.
func (m *marks) found(prefix, key []byte, token uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if token == m.gen {
		m.low[string(prefix)] = key
	}
}

// lower makes the marks cover keys that were added.
func (m *marks) lower(keys []placed) {
	if len(keys) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gen++
	for _, k := range keys {
		if low := m.low[k.mark]; low != nil && bytes.Compare(k.key, low) < 0 {
			m.low[k.mark] = k.key
		}
	}
}

// ascend walks the keys with a prefix from its mark on, until f says no. token is from
// before txn was opened.
func (q *Queue) ascend(txn *badger.Txn, token uint64, prefix []byte, f func(key []byte) bool) {
	from := q.marks.from(prefix)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	first := true
	for it.Seek(from); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if first {
			q.marks.found(prefix, key, token)
			first = false
		}
		if !f(key) {
			return
		}
	}
	if first {
		q.marks.found(prefix, after(prefix), token)
	}
}

// Due gives deliveries of the webhook that are due at now in order of their due time, at
// most limit, leaving out those that skip says yes to; and when the next one after them
// is due, zero where none waits.
func (q *Queue) Due(webhook string, now time.Time, limit int, skip func(id string) bool) ([]Delivery, time.Time, error) {
	var out []Delivery
	var next time.Time
	token := q.marks.token()
	err := q.view(func(txn *badger.Txn) error {
		var refs []ref
		q.ascend(txn, token, duePrefix(webhook), func(key []byte) bool {
			r := refAt(key)
			if skip != nil && skip(q.deliveryID(r)) {
				return true
			}
			if due := dueOf(key); len(refs) == limit || due.After(now) {
				next = due
				return false
			}
			refs = append(refs, r)
			return true
		})
		for _, r := range refs {
			d, err := q.claimable(txn, r, webhook)
			if err != nil {
				return err
			}
			out = append(out, *d)
		}
		return nil
	})
	return out, next, err
}

// claimable loads a delivery for sending. One that is damaged or half gone must be
// claimed to be given up, or it would be in the way for ever; EventOf says what is wrong
// with it.
func (q *Queue) claimable(txn *badger.Txn, r ref, webhook string) (*Delivery, error) {
	d, err := q.load(txn, r)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		return &Delivery{ID: q.deliveryID(r), Webhook: webhook, Status: Pending, CreatedAt: seqTime(r.seq), NextAttemptAt: seqTime(r.seq)}, nil
	}
	return d, err
}

// Head gives the webhook's oldest unfinished delivery, due or not, in the order the events
// were read.
func (q *Queue) Head(webhook string) (Delivery, bool, error) {
	name := bounded(webhook)
	waiting := q.counts.combos(func(c combo) bool {
		return c.webhook == name && (c.status == Pending || c.status == Retrying)
	})
	var d *Delivery
	token := q.marks.token()
	err := q.view(func(txn *badger.Txn) (err error) {
		var head *ref
		for co := range waiting {
			q.ascend(txn, token, co.prefix(), func(key []byte) bool {
				r := refAt(key)
				if head == nil || r.seq < head.seq {
					head = &r
				}
				return false
			})
		}
		if head != nil {
			d, err = q.claimable(txn, *head, webhook)
		}
		return err
	})
	if err != nil || d == nil {
		return Delivery{}, false, err
	}
	return *d, true, nil
}

// OldestDue is when the webhook's first unfinished delivery is, or was, due; zero where none waits.
func (q *Queue) OldestDue(webhook string) (due time.Time) {
	token := q.marks.token()
	// For display only: an error shows elsewhere.
	_ = q.view(func(txn *badger.Txn) error {
		q.ascend(txn, token, duePrefix(webhook), func(key []byte) bool {
			due = dueOf(key)
			return false
		})
		return nil
	})
	return due
}

// Event gives the latest event of an id, with its body.
func (q *Queue) Event(id string) (Event, error) {
	var e *storedEvent
	err := q.view(func(txn *badger.Txn) error {
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

// EventOf gives the event a delivery belongs to, with its body.
func (q *Queue) EventOf(deliveryID string) (Event, error) {
	r, err := q.parseDeliveryID(deliveryID)
	if err != nil {
		return Event{}, err
	}
	var e *storedEvent
	err = q.view(func(txn *badger.Txn) (err error) {
		e, err = loadEvent(txn, r.seq)
		return err
	})
	if err != nil {
		return Event{}, fmt.Errorf("the event of delivery %s: %w", deliveryID, err)
	}
	return e.Event, nil
}
