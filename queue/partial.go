package queue

import (
	"encoding/binary"
	"errors"
)

// partialBatch is the range of seqs of a batch's events that were queued while its last
// part, with the cursor, was not: the agent was killed, or the queue full, between two
// transactions. They will be read again, and then they are duplicates, however much later
// that is.
type partialBatch struct{ from, to uint64 }

func (p partialBatch) has(seq uint64) bool { return seq != 0 && p.from <= seq && seq <= p.to }

// readPartial reads the unfinished batch of b's source, if there is one.
func (w *writeTxn) readPartial(b *Batch) (p partialBatch, err error) {
	if b.Cursor == nil && !b.unfinished {
		return p, nil // it is not read again
	}
	data, err := get(w.txn, partialKey(b.Source), "the unfinished batch of "+b.Source)
	if errors.Is(err, ErrNotFound) {
		return p, nil
	}
	if err == nil && len(data) == 16 {
		p.from, p.to = seqOf(data), binary.BigEndian.Uint64(data[8:])
	}
	return p, err
}

// writePartial records a part of a batch that was added to the transaction. An unfinished
// batch ends with the first event that is none of it; batches may be cut differently the
// next time.
func (w *writeTxn) writePartial(b *Batch, p partialBatch, again bool) error {
	switch {
	case b.unfinished && w.seq > w.wr.seq: // it queued something
		if p.to == 0 {
			p.from = w.wr.seq + 1
		}
		return w.set(partialKey(b.Source), seal(u64(u64(nil, p.from), w.seq)))
	case b.Cursor != nil && p.to != 0 && !again && len(b.Events) > 0:
		return w.delete(partialKey(b.Source))
	}
	return nil
}
