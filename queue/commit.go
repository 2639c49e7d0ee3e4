package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// cost bounds what a change adds to a transaction, the way Badger reckons it.
type cost struct {
	keys  int
	bytes int64
}

func (c cost) plus(o cost) cost    { return cost{c.keys + o.keys, c.bytes + o.bytes} }
func (c cost) fits(room cost) bool { return c.keys <= room.keys && c.bytes <= room.bytes }
func (q *Queue) transaction() cost {
	return cost{int(q.db.MaxBatchCount()) * 9 / 10, q.db.MaxBatchSize() * 9 / 10}
}

// request is one change that waits for the writer.
type request struct {
	cost cost
	// apply adds it to the round. It must not change anything but through the round,
	// since the round may fail.
	apply func(r *round) error
	// alone, instead of apply, is called while nothing is being written.
	alone func() error
	done  chan error
}

// round is one transaction and what follows once it is durable.
type round struct {
	q       *Queue
	txn     *badger.Txn
	seq     uint64
	diff    map[combo]int64 // of the counts
	rej     int64           // of the rejected records
	bytes   int64           // that it writes
	deleted int64           // keys
	due     map[string]bool // webhooks with something new due
	low     []placed        // keys that may lie below a mark
}

type placed struct {
	mark string
	key  []byte
}

// do hands a change to the writer and waits until it is durable.
func (q *Queue) do(ctx context.Context, c cost, apply func(r *round) error) error {
	return q.hand(ctx, &request{cost: c, apply: apply, done: make(chan error, 1)})
}

func (q *Queue) hand(ctx context.Context, req *request) error {
	select {
	case q.requests <- req:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.quit:
		return ErrClosed
	}
	// From here on it will be decided, and quickly; giving up would leave the caller not knowing.
	return <-req.done
}

// commitLoop is the one goroutine that writes.
func (q *Queue) commitLoop() {
	defer close(q.done)
	for {
		var batch []*request
		select {
		case req := <-q.requests:
			batch = append(batch, req)
		case <-q.quit:
			return
		}
		c, alone := batch[0].cost, batch[0].alone != nil
	gather:
		for c.fits(q.room) && !alone {
			select {
			case req := <-q.requests:
				batch = append(batch, req)
				c, alone = c.plus(req.cost), req.alone != nil
			default:
				break gather
			}
		}
		last := batch[len(batch)-1]
		if alone {
			batch = batch[:len(batch)-1]
		}
		q.commitBatch(batch)
		if alone {
			last.done <- last.alone()
		}
	}
}

// commitBatch commits requests together, or, should that fail, one by one, so that one
// that cannot be applied does not fail the others.
func (q *Queue) commitBatch(batch []*request) {
	for len(batch) > 0 {
		n, c := 1, batch[0].cost
		for n < len(batch) && c.plus(batch[n].cost).fits(q.room) {
			c = c.plus(batch[n].cost)
			n++
		}
		err := q.commitRound(batch[:n])
		for _, req := range batch[:n] {
			if err != nil && n > 1 {
				req.done <- q.commitRound([]*request{req})
			} else {
				req.done <- err
			}
		}
		batch = batch[n:]
	}
}

func (q *Queue) commitRound(batch []*request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	r := &round{q: q, txn: q.db.NewTransaction(true), seq: q.seq, diff: map[combo]int64{}, due: map[string]bool{}}
	defer r.txn.Discard()
	for _, req := range batch {
		if err := req.apply(r); err != nil {
			return err
		}
	}
	counted, err := r.count()
	if err != nil {
		return err
	}
	if r.seq != q.seq {
		if err := r.set(metaSeq, seal(u64(nil, r.seq))); err != nil {
			return err
		}
	}
	if err := q.space.admit(q); err != nil {
		return err
	}
	q.touched.Store(true)
	if err := r.txn.Commit(); err != nil {
		return fmt.Errorf("write to the queue: %w", err)
	}
	q.space.wrote(r.bytes)
	q.deleted.Add(r.deleted)
	q.seq = r.seq
	q.counts.add(counted, r.rej)
	q.marks.lower(r.low)
	if len(r.due) > 0 {
		names := make([]string, 0, len(r.due))
		for name := range r.due {
			names = append(names, name)
		}
		slices.Sort(names)
		q.notify(names)
	}
	return nil
}

// errTooBig is a request of ours that one transaction cannot hold: its ops were counted wrong.
var errTooBig = errors.New("a change is too big for one transaction; please report this")

func (r *round) set(key, value []byte) error {
	err := r.txn.Set(key, value)
	r.bytes += int64(len(key) + len(value))
	if errors.Is(err, badger.ErrTxnTooBig) {
		return errTooBig
	}
	return err
}

func (r *round) delete(key []byte) error {
	err := r.txn.Delete(key)
	r.bytes += int64(len(key))
	r.deleted++
	if errors.Is(err, badger.ErrTxnTooBig) {
		return errTooBig
	}
	return err
}

// next gives a seq: now, but later than every one before.
func (r *round) next() uint64 {
	r.seq = max(r.seq+1, nanos(r.q.now()))
	return r.seq
}

// index moves a delivery from one combo to another; "" is none.
func (r *round) index(d ref, from, to combo) error {
	if from == to {
		return nil
	}
	if from.webhook != "" {
		r.diff[from]--
		if err := r.delete(from.indexKey(d)); err != nil {
			return err
		}
	}
	if to.webhook == "" {
		return nil
	}
	r.diff[to]++
	key := to.indexKey(d)
	r.low = append(r.low, placed{string(to.prefix()), key})
	return r.set(key, nil)
}

// enqueue makes a delivery due.
func (r *round) enqueue(key []byte, webhook string) error {
	r.due[webhook] = true
	r.low = append(r.low, placed{string(duePrefix(webhook)), key})
	return r.set(key, nil)
}
