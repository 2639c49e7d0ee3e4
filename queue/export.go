package queue

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// What follows reads all that is kept, for a move to another engine. It is read in parts, each in a
// short transaction and of about a mebibyte.

const (
	exportBytes  = 1 << 20
	exportEvents = 500
	exportIDs    = 5000
)

// Instance is this queue's own: no other has its delivery IDs.
func (s *store) Instance() string { return s.instance }

// ExportedEvent is an event with all that is kept of it.
type ExportedEvent struct {
	Seq      uint64 // orders events as they were read
	Event    Event
	QueuedAt time.Time
	Webhooks []string // those that wanted it
	// Latest: no later event has the same id. PayloadID is then the NewEvent's.
	Latest    bool
	PayloadID string
	// Deliveries are in the order of Webhooks; nil for one that is damaged beyond telling what it is.
	Deliveries []*Delivery
}

// Export is a part of the events.
type Export struct {
	Events  []ExportedEvent
	Damaged []string // what is wrong with events that cannot be read
	Next    uint64   // the after of the next part
	Last    bool     // there is none
}

// Export returns the events that follow a seq, oldest first.
func (rd *reader) Export(after uint64) (out Export, err error) {
	out.Next, out.Last = after, true
	size := 0
	err = rd.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindEvent}})
		defer it.Close()
		for it.Seek(eventKey(after + 1)); it.Valid(); it.Next() {
			if len(out.Events)+len(out.Damaged) >= exportEvents || size >= exportBytes {
				out.Last = false
				return nil
			}
			seq := seqOf(it.Item().Key()[1:])
			out.Next = seq
			e, err := rd.export(txn, it.Item(), seq)
			if errors.Is(err, ErrDamaged) {
				out.Damaged = append(out.Damaged, err.Error())
				continue
			}
			if err != nil {
				return err
			}
			size += len(e.Event.Body) + 1000*len(e.Deliveries)
			out.Events = append(out.Events, e)
		}
		return nil
	})
	return out, err
}

func (s *store) export(txn *badger.Txn, item *badger.Item, seq uint64) (out ExportedEvent, err error) {
	e, err := eventOf(item, seq, true)
	if err != nil {
		return out, err
	}
	out = ExportedEvent{Seq: seq, Event: e.Event, QueuedAt: e.queued(seq), Webhooks: e.Webhooks, Deliveries: make([]*Delivery, len(e.Webhooks))}
	known, err := get(txn, dedupKey(e.ID), "the id of an event")
	if err == nil && seqOf(known) == seq {
		out.Latest, out.PayloadID = true, string(known[8:])
	}
	for i := range e.Webhooks {
		r := ref{seq, uint16(i)}
		d, err := s.loadWith(txn, r, e)
		if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
			d, err = s.locate(txn, r)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return out, err
		}
		out.Deliveries[i] = d
	}
	return out, nil
}

// ExportedID is an id that is remembered, whose event is gone.
type ExportedID struct {
	ID, PayloadID string
	Seq           uint64 // of the event
}

// ExportIDs returns the ids whose events are gone, those after a place; the next place is nil at the end.
func (rd *reader) ExportIDs(after []byte) (out []ExportedID, next []byte, err error) {
	err = rd.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindExpiry}})
		defer it.Close()
		for it.Seek(append([]byte{kindExpiry}, after...)); it.Valid(); it.Next() {
			key := it.Item().KeyCopy(nil)[1:]
			if len(out) == exportIDs {
				next = key
				return nil
			}
			seq, id := binary.BigEndian.Uint64(key), string(key[8:])
			if known, err := get(txn, dedupKey(id), "the id of an event"); err == nil && seqOf(known) == seq {
				out = append(out, ExportedID{ID: id, PayloadID: string(known[8:]), Seq: seq})
			}
		}
		return nil
	})
	return out, next, err
}

// ExportCursors returns where the reading of each source continues. A long name is kept shortened:
// sources are the names that there may be.
func (rd *reader) ExportCursors(sources []string) (map[string][]byte, error) {
	whole := map[string]string{}
	for _, name := range sources {
		whole[bounded(name)] = name
	}
	out := map[string][]byte{}
	err := rd.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindCursor}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			name := string(it.Item().Key()[1:])
			cursor, err := valueOf(it.Item(), nil, "the cursor of "+name)
			if err != nil {
				return err
			}
			if full, ok := whole[name]; ok {
				name = full
			}
			out[name] = cursor
		}
		return nil
	})
	return out, err
}
