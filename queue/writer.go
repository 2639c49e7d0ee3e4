package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// cost bounds what a change adds to a transaction, the way Badger counts it.
type cost struct {
	keys  int
	bytes int64
}

func (c cost) plus(o cost) cost    { return cost{c.keys + o.keys, c.bytes + o.bytes} }
func (c cost) fits(room cost) bool { return c.keys <= room.keys && c.bytes <= room.bytes }

// writer is the one goroutine that writes. Whoever wants a change submits it; the writer
// puts what waits into one transaction, since a sync costs the same for one change as for
// hundreds, and answers each once it is durable.
//
// A transaction is durable whole or not at all, so each change leaves the database consistent
// by itself: a delivery with its due time, its place in the index and its count. What is kept
// in memory of the database (seq, counts, seek hints) follows only after the sync, and
// webhooks are notified after that. A change that cannot be applied fails alone: the others
// are committed without it. A commit that fails fails everything from then on, since nobody
// knows what of it is on the disk (failure).
type writer struct {
	*store
	disk   *disk
	notify func(webhooks []string)

	requests chan *request
	quit     chan struct{}
	done     chan struct{}

	room    cost         // of one transaction
	seq     uint64       // of the latest event or rejected record; the goroutine's alone
	since   atomic.Int64 // when the commit under way began, in Unix nanoseconds; 0: none is
	deleted atomic.Int64 // keys, since the database was last flattened
}

// largeCommit is from how many bytes of events' bodies on a change is committed by itself. It is more than
// what a batch of a source's small events takes.
const largeCommit = 768 << 10

// request is one change that waits for the writer.
type request struct {
	cost cost
	// large is one that takes long to write: what is small does not wait for more than one of them.
	large bool
	// apply adds it to the transaction. It must not change anything but through it, since
	// the transaction may fail.
	apply func(w *writeTxn) error
	// exclusive, instead of apply, is called while nothing is being written.
	exclusive func() error
	done      chan error
}

// submit hands a change to the writer and waits until it is durable.
func (wr *writer) submit(ctx context.Context, c cost, apply func(w *writeTxn) error) error {
	return wr.send(ctx, &request{cost: c, apply: apply})
}

// submitBodies is submit of a change that writes so many bytes of bodies.
func (wr *writer) submitBodies(ctx context.Context, c cost, bytes int, apply func(w *writeTxn) error) error {
	return wr.send(ctx, &request{cost: c, large: bytes >= largeCommit, apply: apply})
}

// exclusive calls f while nothing is being written.
func (wr *writer) exclusive(ctx context.Context, f func() error) error {
	return wr.send(ctx, &request{exclusive: f})
}

func (wr *writer) send(ctx context.Context, req *request) error {
	if err := ctx.Err(); err != nil {
		return err // a select takes any of what is ready: of a caller that has left some would be done
	}
	req.done = make(chan error, 1)
	select {
	case wr.requests <- req:
	case <-ctx.Done():
		return ctx.Err()
	case <-wr.quit:
		return ErrClosed
	case <-wr.failure.failed:
		return wr.failure.err()
	}
	// From here on it will be decided, and quickly; giving up would leave the caller not knowing.
	select {
	case err := <-req.done:
		return err
	case <-wr.failure.failed: // the writer may be stuck in Badger for good
		return wr.failure.err()
	}
}

// run takes requests until quit is closed. In each round what is small goes first, together, and then
// one that is large.
func (wr *writer) run() {
	defer close(wr.done)
	var g gathered
	for wr.gather(&g) {
		wr.commitBatch(g.small)
		if g.exclusive != nil {
			err := wr.failure.err()
			if err == nil {
				wr.compactors.begin(wr.db)
				err = g.exclusive.exclusive()
				wr.compactors.end()
			}
			g.exclusive.done <- err
		}
		if len(g.large) > 0 {
			wr.commitBatch(g.large[:1])
			g.large = slices.Delete(g.large, 0, 1)
		}
	}
}

// gathered are the requests that were taken and not answered.
type gathered struct {
	small     []*request
	large     []*request // first come, first served
	exclusive *request
}

// gather takes what waits, as far as one transaction holds what is small. It waits where there is
// nothing, and returns false once quit is closed.
func (wr *writer) gather(g *gathered) bool {
	g.small, g.exclusive = nil, nil
	var c cost
	take := func(req *request) {
		switch {
		case req.exclusive != nil:
			g.exclusive = req
		case req.large:
			g.large = append(g.large, req)
		default:
			g.small, c = append(g.small, req), c.plus(req.cost)
		}
	}
	if len(g.large) == 0 {
		select {
		case req := <-wr.requests:
			take(req)
		case <-wr.quit:
			return false
		}
	}
	for c.fits(wr.room) && g.exclusive == nil {
		select {
		case req := <-wr.requests:
			take(req)
		default:
			return true
		}
	}
	return true
}

// commitBatch commits requests together, or, should that fail, one by one, so that one
// that cannot be applied does not fail the others.
func (wr *writer) commitBatch(batch []*request) {
	for len(batch) > 0 {
		if err := wr.failure.err(); err != nil {
			for _, req := range batch {
				req.done <- err
			}
			return
		}
		n, c := 1, batch[0].cost
		for n < len(batch) && c.plus(batch[n].cost).fits(wr.room) {
			c = c.plus(batch[n].cost)
			n++
		}
		err := wr.commit(batch[:n])
		for _, req := range batch[:n] {
			if err != nil && n > 1 && wr.failure.err() == nil {
				req.done <- wr.commit([]*request{req})
			} else {
				req.done <- err
			}
		}
		batch = batch[n:]
	}
}

func (wr *writer) commit(batch []*request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	w := &writeTxn{wr: wr, txn: wr.db.NewTransaction(true), seq: wr.seq, diff: map[indexKey]int64{}, due: map[string]bool{}, history: map[string]*Bucket{}}
	defer w.txn.Discard()
	for _, req := range batch {
		if err := req.apply(w); err != nil {
			return err
		}
	}
	counted, err := w.count()
	if err != nil {
		return err
	}
	if err := w.countAttempts(); err != nil {
		return err
	}
	if w.seq != wr.seq {
		if err := w.set(metaSeq, seal(u64(nil, w.seq))); err != nil {
			return err
		}
	}
	if err := wr.disk.admit(); err != nil {
		return err
	}
	wr.touched.Store(true)
	if err := wr.sync(w.txn); err != nil {
		return err
	}
	wr.disk.wrote(w.bytes)
	wr.deleted.Add(w.deleted)
	wr.seq = w.seq
	wr.counts.add(counted, w.rejectedDiff)
	wr.hints.lower(w.low)
	for _, seq := range w.forgotten {
		wr.recent.forget(seq)
	}
	if len(w.due) > 0 {
		names := make([]string, 0, len(w.due))
		for name := range w.due {
			names = append(names, name)
		}
		slices.Sort(names)
		wr.notify(names)
	}
	return nil
}

// sync commits to the disk. Whatever goes wrong there ends the queue: the database may or
// may not have taken the commit in, and no later one may rest on it.
func (wr *writer) sync(txn *badger.Txn) error {
	wr.since.Store(time.Now().UnixNano())
	defer wr.since.Store(0)
	wr.compactors.begin(wr.db)
	defer wr.compactors.end()
	done := make(chan error, 1)
	txn.CommitWith(func(err error) { done <- err })
	select {
	case err := <-done:
		if err == nil {
			// A log may have failed beside it.
			return wr.failure.err()
		}
		if errors.Is(err, badger.ErrTxnTooBig) {
			return errTooBig
		}
		return wr.failure.set("write to", err)
	case <-wr.failure.failed:
		return wr.failure.err()
	}
}

// writeTxn is one transaction and what follows once it is durable.
type writeTxn struct {
	wr           *writer
	txn          *badger.Txn
	seq          uint64
	diff         map[indexKey]int64 // of the counts
	rejectedDiff int64              // of the number of rejected records
	bytes        int64              // that it writes
	deleted      int64              // keys
	due          map[string]bool    // webhooks with something new due
	low          []placed           // keys that may lie below a seek hint
	forgotten    []uint64           // events that it deletes
	history      map[string]*Bucket // what the attempts it records came to, by webhook
}

// placed is a key that was added under a prefix that may have a seek hint.
type placed struct{ prefix, key []byte }

// errTooBig is a request of ours that one transaction cannot hold: its ops were counted wrong.
var errTooBig = errors.New("a change is too big for one transaction; please report this")

func (w *writeTxn) set(key, value []byte) error { return w.setEntry(badger.NewEntry(key, value)) }

func (w *writeTxn) setEntry(e *badger.Entry) error {
	err := w.txn.SetEntry(e)
	w.bytes += int64(len(e.Key) + len(e.Value))
	if errors.Is(err, badger.ErrTxnTooBig) {
		return errTooBig
	}
	return err
}

func (w *writeTxn) delete(key []byte) error {
	err := w.txn.Delete(key)
	w.bytes += int64(len(key))
	w.deleted++
	if key[0] == kindEvent {
		w.forgotten = append(w.forgotten, seqOf(key[1:]))
	}
	if errors.Is(err, badger.ErrTxnTooBig) {
		return errTooBig
	}
	return err
}

// next returns a seq: now, but later than every one before.
func (w *writeTxn) next() uint64 {
	w.seq = max(w.seq+1, nanos(w.wr.now()))
	return w.seq
}

// index moves a delivery from one indexKey to another; "" is none.
func (w *writeTxn) index(d ref, from, to indexKey) error {
	if from == to {
		return nil
	}
	if from.webhook != "" {
		w.diff[from]--
		if err := w.delete(from.key(d)); err != nil {
			return err
		}
	}
	if to.webhook == "" {
		return nil
	}
	w.diff[to]++
	key := to.key(d)
	w.low = append(w.low, placed{to.prefix(), key})
	return w.set(key, nil)
}

// markUntried is on the due key of a delivery that has no record of its own: nobody need look
// for one. Keys without it, as older agents wrote them all, may or may not have a record.
const markUntried = 1

// enqueue makes a delivery due.
func (w *writeTxn) enqueue(key []byte, webhook string, mark byte) error {
	w.due[webhook] = true
	w.low = append(w.low, placed{duePrefix(webhook), key})
	return w.setEntry(badger.NewEntry(key, nil).WithMeta(mark))
}
