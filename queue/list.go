package queue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Filter selects deliveries; zero fields select all.
type Filter struct {
	Status    []Status
	Webhook   string
	EventType string
	Since     time.Time // created at or after
	Until     time.Time // created before
	// Search is text in an id, the type, the error or the payload, in either case.
	Search string
	// Before is a delivery ID: only those that come after it in the list.
	Before string
	Limit  int // 0: 50
	// MaxText, where not 0, cuts a delivery's texts to about so many bytes and leaves its
	// history out: an event's type may be as long as its line.
	MaxText int
}

// Page is a part of a list, newest first. Next, where not empty, is the Before of the
// part that follows.
type Page struct {
	Deliveries []Delivery
	Next       string
}

// searchFor bounds how long one List searches; what it has not reached is for the next page.
const searchFor = 80 * time.Millisecond

// List returns deliveries, newest first. It takes as long as the page is large, however
// many there are; a search ends after 80 ms with what it has found.
func (rd *reader) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	until := ref{seq: ^uint64(0), idx: ^uint16(0)}
	if !f.Until.IsZero() {
		until = ref{seq: nanos(f.Until)}
	}
	if f.Before != "" {
		before, err := rd.parseDeliveryID(f.Before)
		if err != nil {
			return Page{}, err
		}
		if before.less(until) {
			until = before
		}
	}
	stop := time.Now().Add(searchFor)
	wanted := NewSearch(f.Search)
	var page Page
	for {
		// One more than wanted shows whether there is more.
		refs, err := rd.newest(&f, until, f.Limit-len(page.Deliveries)+1)
		if err != nil {
			return Page{}, err
		}
		for _, r := range refs {
			if len(page.Deliveries) == f.Limit {
				page.Next = rd.deliveryID(until)
				return page, nil
			}
			d, ok, err := rd.match(r, wanted)
			if err != nil {
				return Page{}, err
			}
			if until = r; ok {
				d.Clip(f.MaxText)
				page.Deliveries = append(page.Deliveries, *d)
			}
		}
		switch {
		case len(refs) == 0:
			return page, nil
		case ctx.Err() != nil:
			return Page{}, ctx.Err()
		case f.Search != "" && time.Now().After(stop):
			page.Next = rd.deliveryID(until)
			return page, nil
		}
	}
}

func (r ref) less(o ref) bool { return r.seq < o.seq || r.seq == o.seq && r.idx < o.idx }

// match loads a delivery and applies what the index does not know.
func (rd *reader) match(r ref, wanted *Search) (d *Delivery, ok bool, err error) {
	err = rd.view(func(txn *badger.Txn) error {
		d, err = rd.load(txn, r)
		if errors.Is(err, ErrDamaged) {
			if d, err = rd.locate(txn, r); err == nil && d.Error == "" {
				d.Error = "its record is damaged on the disk"
			}
		}
		if err != nil {
			return err
		}
		if ok = wanted.In(d.ID + " " + d.EventID + " " + d.EventType + " " + d.Error); ok {
			return nil
		}
		e, err := loadEvent(txn, r.seq)
		if err == nil {
			ok = wanted.InPayload(e.Body)
		}
		return nil // what cannot be read does not match
	})
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil // deleted meanwhile
	}
	return d, ok, err
}

func (rd *reader) matching(f *Filter) map[indexKey]int64 {
	webhook, typ := bounded(f.Webhook), bounded(f.EventType)
	return rd.counts.where(func(c indexKey) bool {
		return (f.Webhook == "" || c.webhook == webhook) && (f.EventType == "" || c.typ == typ) &&
			(len(f.Status) == 0 || slices.Contains(f.Status, c.status))
	})
}

// newest returns the newest refs below until that the index knows, at most limit.
func (rd *reader) newest(f *Filter, until ref, limit int) ([]ref, error) {
	var since uint64
	if !f.Since.IsZero() {
		since = nanos(f.Since)
	}
	var refs []ref
	err := rd.view(func(txn *badger.Txn) error {
		combos := rd.matching(f)
		if len(combos) == 0 {
			return nil
		}
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindIndex}, Reverse: true})
		defer it.Close()
		for co := range combos {
			part, err := rd.newestOf(txn, it, co, since, until, limit)
			if err != nil {
				return err
			}
			refs = append(refs, part...)
		}
		return nil
	})
	slices.SortFunc(refs, func(a, b ref) int {
		switch {
		case b.less(a):
			return -1
		case a.less(b):
			return 1
		}
		return 0
	})
	return refs[:min(len(refs), limit)], err
}

// newestOf returns those of one indexKey. It asks for no more than there are: the way to the
// next key may lead past a million deleted ones.
func (rd *reader) newestOf(txn *badger.Txn, it *badger.Iterator, co indexKey, since uint64, until ref, limit int) ([]ref, error) {
	prefix := co.prefix()
	lowest := rd.hints.start(prefix)
	seek := until.append(bytes.Clone(prefix))
	if bytes.Compare(seek, lowest) <= 0 {
		return nil, nil
	}
	count, err := get(txn, co.countKey(), "a count")
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	limit = min(limit, int(seqOf(count)))
	var refs []ref
	for it.Seek(seek); limit > 0 && it.ValidForPrefix(prefix); it.Next() {
		r := refAt(it.Item().Key())
		if r.seq < since {
			break
		}
		if r.less(until) {
			if refs = append(refs, r); len(refs) == limit {
				break
			}
		}
	}
	return refs, nil
}

// Count says how many deliveries a filter selects. Without Search, Since, Until and
// Before it costs nothing.
func (rd *reader) Count(ctx context.Context, f Filter) (int, error) {
	n := 0
	if f.Search == "" && f.Since.IsZero() && f.Until.IsZero() && f.Before == "" {
		for _, c := range rd.matching(&f) {
			n += int(c)
		}
		return n, nil
	}
	err := rd.each(ctx, f, func(ids []string) error { n += len(ids); return nil })
	return n, err
}

// each is Walk over this queue's list.
func (rd *reader) each(ctx context.Context, f Filter, do func(ids []string) error) error {
	return Walk(ctx, rd.List, f, do)
}

// Walk calls do with the IDs of everything that a filter selects in a list, newest first, in parts
// of at most 500.
func Walk(ctx context.Context, list func(context.Context, Filter) (Page, error), f Filter, do func(ids []string) error) error {
	f.Limit = 500
	for {
		page, err := list(ctx, f)
		if err != nil {
			return err
		}
		ids := make([]string, len(page.Deliveries))
		for i := range page.Deliveries {
			ids[i] = page.Deliveries[i].ID
		}
		if len(ids) > 0 {
			if err := do(ids); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Before = page.Next
	}
}

// reader answers what is asked about deliveries, events and rejected records.
type reader struct {
	*store
	replaying replaying
}

// Get returns one delivery.
func (rd *reader) Get(id string) (Delivery, error) {
	r, err := rd.parseDeliveryID(id)
	if err != nil {
		return Delivery{}, err
	}
	var d *Delivery
	err = rd.view(func(txn *badger.Txn) (err error) {
		d, err = rd.load(txn, r)
		return err
	})
	if err != nil {
		return Delivery{}, err
	}
	return *d, nil
}

// DeliveriesOf returns the deliveries of the latest event of an id.
func (rd *reader) DeliveriesOf(eventID string) ([]Delivery, error) {
	var out []Delivery
	err := rd.view(func(txn *badger.Txn) error {
		seq, err := get(txn, dedupKey(eventID), "event "+eventID)
		if err != nil {
			return err
		}
		at := ref{seq: seqOf(seq)}
		e, err := loadMeta(txn, at.seq)
		if err != nil {
			return err
		}
		for i := range e.Webhooks {
			at.idx = uint16(i)
			d, err := rd.load(txn, at)
			if err != nil {
				return err
			}
			d.EventType = e.Type // one text for all of them
			out = append(out, *d)
		}
		return nil
	})
	return out, err
}

// Recent returns the latest events, newest first, without their bodies and with long types cut.
func (rd *reader) Recent(_ context.Context, limit int) ([]Event, error) {
	var out []Event
	err := rd.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindEvent}, Reverse: true})
		defer it.Close()
		for it.Seek(after([]byte{kindEvent})); it.Valid() && len(out) < limit; it.Next() {
			e, err := loadMeta(txn, seqOf(it.Item().Key()[1:]))
			if errors.Is(err, ErrDamaged) {
				continue // it is shown with its deliveries
			}
			if err != nil {
				return err
			}
			e.Type, e.Path = ClipText(e.Type, MaxRecentText), ClipText(e.Path, MaxRecentText)
			out = append(out, e.Event)
		}
		return nil
	})
	return out, err
}

// RejectedFilter selects rejected records.
type RejectedFilter struct {
	Source string
	Since  time.Time
	Before string // a rejected record's ID
	Limit  int    // 0: 50
}

// Rejected returns rejected records, newest first, and the Before of the next part.
func (rd *reader) Rejected(ctx context.Context, f RejectedFilter) (out []Rejected, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	seek := after([]byte{kindRejected})
	if f.Before != "" {
		seq, err := parseRejectedID(f.Before)
		if err != nil {
			return nil, "", err
		}
		seek = rejectedKey(seq - 1)
	}
	err = rd.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindRejected}, Reverse: true})
		defer it.Close()
		for it.Seek(seek); it.Valid(); it.Next() {
			seq := seqOf(it.Item().Key()[1:])
			if !f.Since.IsZero() && seq < nanos(f.Since) || ctx.Err() != nil {
				return ctx.Err()
			}
			if len(out) == f.Limit {
				next = out[len(out)-1].ID
				return nil
			}
			rec, err := loadRejected(txn, seq)
			if errors.Is(err, ErrDamaged) {
				rec = Rejected{ID: rejectedID(seq), At: seqTime(seq), Reason: "its record is damaged on the disk"}
			} else if err != nil {
				return err
			}
			if f.Source == "" || rec.Source == f.Source {
				out = append(out, rec)
			}
		}
		return nil
	})
	return out, next, err
}

// RejectedByID returns one rejected record.
func (rd *reader) RejectedByID(id string) (rec Rejected, err error) {
	seq, err := parseRejectedID(id)
	if err != nil {
		return rec, err
	}
	err = rd.view(func(txn *badger.Txn) error {
		rec, err = loadRejected(txn, seq)
		return err
	})
	return rec, err
}

func loadRejected(txn *badger.Txn, seq uint64) (rec Rejected, err error) {
	what := "rejected record " + rejectedID(seq)
	value, err := get(txn, rejectedKey(seq), what)
	if err != nil {
		return rec, err
	}
	return rec, decodeJSON(what, value, &rec)
}
