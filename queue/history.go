package queue

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The history counts what attempts came to, per webhook, for the charts. Each span is a ring of
// buckets: a bucket's key is its place in the ring, and its value says which time it is of. So
// it is as large as its webhooks are many, whatever the clock does, and nothing in it has to be
// deleted while the webhook is there.
//
// It is written in the transaction that records the outcomes, a bucket of each span for each
// webhook, and so agrees with them also after a kill. Only a bucket that is damaged begins
// again: no count may keep an outcome from being recorded.

// Span is a stretch of time up to now, and the steps in which it is counted.
type Span struct {
	Name    string
	Step    time.Duration
	Buckets int
}

// Spans are all there are. Their order and numbers are part of the layout.
var Spans = [...]Span{
	{"1h", time.Minute, 60},
	{"24h", 15 * time.Minute, 96},
	{"30d", 6 * time.Hour, 120},
}

// Number is that of the step which a moment is in, since 1970.
func (s Span) Number(t time.Time) int64 { return t.Unix() / int64(s.Step/time.Second) }

// Begin is when the first bucket begins of a span that ends now.
func (s Span) Begin(now time.Time) time.Time {
	return time.Unix((s.Number(now)-int64(s.Buckets)+1)*int64(s.Step/time.Second), 0)
}

// tookBounds part the durations of attempts, for quantiles. Their values are part of the layout.
var tookBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Bucket is what one step's attempts came to.
type Bucket struct {
	At        time.Time // when it begins
	Delivered uint64
	Failed    uint64 // attempts, also those of a held webhook that do not count for its retries
	GivenUp   uint64 // of Failed those that were the delivery's last
	Slowest   time.Duration
	Took      [len(tookBounds) + 1]uint64 // attempts by their duration
}

// Count takes in an attempt.
func (b *Bucket) Count(o *Outcome) {
	switch o.Status {
	case Success:
		b.Delivered++
	case Failed:
		b.Failed++
		b.GivenUp++
	default:
		b.Failed++
	}
	took := max(0, o.Attempt.Took)
	b.Slowest = max(b.Slowest, took)
	i, _ := slices.BinarySearch(tookBounds[:], took)
	b.Took[i]++
}

func (b *Bucket) Add(o *Bucket) {
	b.Delivered, b.Failed, b.GivenUp = b.Delivered+o.Delivered, b.Failed+o.Failed, b.GivenUp+o.GivenUp
	b.Slowest = max(b.Slowest, o.Slowest)
	for i, n := range o.Took {
		b.Took[i] += n
	}
}

// Quantile estimates how long the fastest part of the attempts took at most: 0.5 is the median.
func (b *Bucket) Quantile(part float64) time.Duration {
	wanted := part * float64(b.Delivered+b.Failed)
	var low time.Duration
	for i, n := range b.Took {
		high := b.Slowest
		if i < len(tookBounds) {
			high = min(high, tookBounds[i])
		}
		if n > 0 && wanted <= float64(n) {
			return low + time.Duration(float64(high-low)*wanted/float64(n))
		}
		wanted -= float64(n)
		low = high
	}
	return b.Slowest
}

// encode writes the bucket of a step. What follows in a value that a later version wrote is not read.
func (b *Bucket) encode(number int64) []byte {
	out := make([]byte, 0, 64)
	for _, n := range []uint64{uint64(number), b.Delivered, b.Failed, b.GivenUp, uint64(b.Slowest)} {
		out = binary.AppendUvarint(out, n)
	}
	for _, n := range b.Took {
		out = binary.AppendUvarint(out, n)
	}
	return seal(out)
}

func decodeBucket(value []byte) (b Bucket, number int64, err error) {
	data, err := unseal("a bucket of the history", value)
	if err != nil {
		return Bucket{}, 0, err
	}
	next := func() uint64 {
		n, used := binary.Uvarint(data)
		if used <= 0 {
			err = ErrDamaged
			return 0
		}
		data = data[used:]
		return n
	}
	number = int64(next())
	b.Delivered, b.Failed, b.GivenUp, b.Slowest = next(), next(), next(), time.Duration(next())
	for i := range b.Took {
		b.Took[i] = next()
	}
	return b, number, err
}

func historyPrefix(webhook string) []byte { return appendName([]byte{kindHistory}, bounded(webhook)) }

func bucketKey(webhook string, span int, number int64) []byte {
	return u16(append(historyPrefix(webhook), byte(span)), uint16(number%int64(Spans[span].Buckets)))
}

// attempted counts an attempt with the transaction.
func (w *writeTxn) attempted(webhook string, o *Outcome) {
	b := w.history[bounded(webhook)]
	if b == nil {
		b = &Bucket{}
		w.history[bounded(webhook)] = b
	}
	b.Count(o)
}

// countAttempts adds what the transaction's attempts came to into the buckets of this moment.
func (w *writeTxn) countAttempts() error {
	now := w.wr.now()
	for webhook, b := range w.history {
		for i, span := range Spans {
			number := span.Number(now)
			key := bucketKey(webhook, i, number)
			sum := w.bucket(key, number)
			sum.Add(b)
			if err := w.set(key, sum.encode(number)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket reads the bucket of a step: an empty one where its place in the ring has an earlier
// time's, or something that cannot be read.
func (w *writeTxn) bucket(key []byte, number int64) (b Bucket) {
	defer func() {
		if recover() != nil { // a read of a damaged table panics within Badger
			b = Bucket{}
		}
	}()
	item, err := w.txn.Get(key)
	if err != nil {
		return Bucket{}
	}
	_ = item.Value(func(value []byte) error {
		if known, at, err := decodeBucket(value); err == nil && at == number {
			b = known
		}
		return nil
	})
	return b
}

// History returns what a webhook's attempts came to over a span up to now, oldest first,
// without the buckets in which there was none.
func (rd *reader) History(webhook string, span int) ([]Bucket, error) {
	var out []Bucket
	s := Spans[span]
	last := s.Number(rd.now())
	err := rd.view(func(txn *badger.Txn) error {
		eachBucket(txn, webhook, span, func(b Bucket, number int64) {
			if number <= last && number > last-int64(s.Buckets) {
				b.At = time.Unix(number*int64(s.Step/time.Second), 0)
				out = append(out, b)
			}
		})
		return nil
	})
	slices.SortFunc(out, func(a, b Bucket) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	return out, err
}

// eachBucket passes the buckets of a webhook's span, of whatever time, without damaged ones.
func eachBucket(txn *badger.Txn, webhook string, span int, f func(b Bucket, number int64)) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: append(historyPrefix(webhook), byte(span)), PrefetchValues: true, PrefetchSize: Spans[span].Buckets})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		_ = it.Item().Value(func(value []byte) error {
			if b, number, err := decodeBucket(value); err == nil {
				f(b, number)
			}
			return nil
		})
	}
}

// LastFailed returns the webhook's latest failed attempt, where in the latest minute in which it had
// attempts none succeeded, however long ago that is.
func (rd *reader) LastFailed(ctx context.Context, webhook string) (a Attempt, ok bool, err error) {
	var latest Bucket
	last := int64(-1)
	err = rd.view(func(txn *badger.Txn) error {
		eachBucket(txn, webhook, 0, func(b Bucket, number int64) {
			if number > last {
				latest, last = b, number
			}
		})
		return nil
	})
	if err != nil || latest.Delivered > 0 || latest.Failed == 0 {
		return Attempt{}, false, err
	}
	page, err := rd.List(ctx, Filter{Webhook: webhook, Status: []Status{Retrying, Failed}, Limit: 1})
	if err != nil || len(page.Deliveries) == 0 || len(page.Deliveries[0].History) == 0 {
		return Attempt{}, false, err
	}
	history := page.Deliveries[0].History
	return history[len(history)-1], true, nil
}

// forgetHistory deletes the history of webhooks that are neither configured nor have deliveries.
func (m *maintenance) forgetHistory(ctx context.Context) error {
	known := map[string]bool{}
	for _, name := range append(m.webhooks(), m.counts.webhooks()...) {
		known[bounded(name)] = true
	}
	var keys [][]byte
	err := m.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindHistory}})
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			key := it.Item().KeyCopy(nil)
			if name := nameAt(key[1:]); known[name] {
				it.Seek(after(historyPrefix(name)))
				continue
			}
			keys = append(keys, key)
			it.Next()
		}
		return nil
	})
	for part := range slices.Chunk(keys, 100) {
		err = errors.Join(err, m.writer.submit(ctx, cost{len(part), 220 * int64(len(part))}, func(w *writeTxn) error {
			for _, key := range part {
				if err := w.delete(key); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return err
}

// nameAt reads a name from where it begins in a key, "" where there is none.
func nameAt(key []byte) string {
	if len(key) < 2 || len(key) < 2+int(binary.BigEndian.Uint16(key)) {
		return ""
	}
	return string(key[2 : 2+binary.BigEndian.Uint16(key)])
}
