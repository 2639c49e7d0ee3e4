package queue

import (
	"encoding/binary"
	"errors"
)

// left is from which seq to which events of a batch were queued whose last part, with the
// cursor, was not: the agent was killed, or the queue full, between two transactions. They
// will be read again, and then they are duplicates, however much later that is.
type left struct{ from, to uint64 }

func (l left) has(seq uint64) bool { return seq != 0 && l.from <= seq && seq <= l.to }

// left reads what is left of a batch's source.
func (r *round) left(b *Batch) (l left, err error) {
	if b.Cursor == nil && !b.unfinished {
		return l, nil // it is not read again
	}
	data, err := get(r.txn, leftKey(b.Source), "the unfinished batch of "+b.Source)
	if errors.Is(err, ErrNotFound) {
		return l, nil
	}
	if err == nil && len(data) == 16 {
		l.from, l.to = seqOf(data), binary.BigEndian.Uint64(data[8:])
	}
	return l, err
}

// setLeft takes in a part of a batch that was added to the round. What was left is passed
// with the first event that is none of it; batches may be cut differently the next time.
func (r *round) setLeft(b *Batch, l left, again bool) error {
	switch {
	case b.unfinished && r.seq > r.q.seq: // it queued something
		if l.to == 0 {
			l.from = r.q.seq + 1
		}
		return r.set(leftKey(b.Source), seal(u64(u64(nil, l.from), r.seq)))
	case b.Cursor != nil && l.to != 0 && !again && len(b.Events) > 0:
		return r.delete(leftKey(b.Source))
	}
	return nil
}
