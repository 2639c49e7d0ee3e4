package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// When the queue is close to its bound, in percent of it; how many finished events then go before it is
// looked again; and which part of the bound rejected records may have then.
const (
	pressedPercent = 95
	shortenBy      = 20_000
	rejectedShare  = 10
)

// deleteBytes is how much a transaction deletes at most for each row that it may delete: in all about
// 15 MiB. By their number alone large events would take longer than a statement may.
const deleteBytes = 3 << 10

const statementTimeout = "57014"

// retain deletes events that were queued before a moment and whose deliveries were all finished
// before it, from a seq on, the oldest first, at most limit. It returns how many, and the seq to go on
// with: 0 where it has come to the end.
func (q *Queue) retain(ctx context.Context, now, before time.Time, from int64, limit int) (removed int, next int64, err error) {
	part := deletePart
	// A seq that is ahead of the time is of no time.
	for _, span := range [][2]int64{{0, seqAt(before)}, {seqAt(now.Add(time.Second)), math.MaxInt64}} {
		for next = max(from, span[0]); ctx.Err() == nil; {
			if removed >= limit {
				return removed, next, nil
			}
			n, last, err := q.forget(ctx, next, span[1], before, part, limit-removed)
			removed += n
			switch {
			case sqlState(err) == statementTimeout && part > 1:
				part /= 2
				continue
			case err != nil:
				return removed, next, err
			}
			if last == 0 {
				break
			}
			next = last + 1
		}
	}
	return removed, 0, ctx.Err()
}

// old is an event as retain sees it.
type old struct {
	seq        int64
	bytes      int64
	deliveries int
	finished   bool
}

// forget deletes what is finished of the next part events, at most limit, and returns how many, and the last
// it has done with, 0 where there are none. Only what it deletes is locked: it may have to look at
// all of a long queue for little.
func (q *Queue) forget(ctx context.Context, from, to int64, before time.Time, part, limit int) (removed int, last int64, err error) {
	var found []old
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found = nil
		if _, err := tx.Exec(ctx, sqlLookShort); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlOld, from, to, before, part)
		if err != nil {
			return err
		}
		var e old
		_, err = pgx.ForEachRow(rows, []any{&e.seq, &e.bytes, &e.deliveries, &e.finished}, func() error { found = append(found, e); return nil })
		return err
	})
	for err == nil && len(found) > 0 && removed < limit {
		var seqs []int64
		var rest []old
		n := 0
		seqs, rest = portion(found, part, limit-removed)
		if len(seqs) > 0 {
			n, err = q.forgetSeqs(ctx, seqs, before)
		}
		if err == nil {
			removed += n
			last = found[len(found)-len(rest)-1].seq
			found = rest
		}
	}
	return removed, last, err
}

// portion returns which of the events one transaction deletes, at least one where any is finished, and those
// after them.
func portion(found []old, part, limit int) (seqs []int64, rest []old) {
	deliveries, bytes := 0, int64(0)
	for i, e := range found {
		if !e.finished {
			continue
		}
		deliveries, bytes = deliveries+e.deliveries, bytes+e.bytes
		if len(seqs) == limit || len(seqs) > 0 && (deliveries > part || bytes > int64(part)*deleteBytes) {
			return seqs, found[i:]
		}
		seqs = append(seqs, e.seq)
	}
	return seqs, nil
}

// forgetSeqs deletes events that are finished still.
func (q *Queue) forgetSeqs(ctx context.Context, seqs []int64, before time.Time) (n int, err error) {
	err = q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(sqlLockDeliveries, seqs)
		batch.Queue(sqlForget, seqs, before, int64(eventOverhead), int64(deliveryOverhead)).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
		return tx.SendBatch(ctx, batch).Close()
	})
	return n, err
}

// pressed reports whether what is kept is close to the bound.
func (q *Queue) pressed() bool {
	limit, _, _ := q.limits.Get()
	return limit > 0 && q.Stats().Bytes >= limit/100*pressedPercent
}

// shorten is how far the making of room has come. It is Run's alone.
type shorten struct {
	from  int64     // the seq to go on with: what is before it was looked at
	since time.Time // when from was 0
	rests time.Time // until when nothing is looked for, since nothing was found
}

// restFor is how many times as long as looking in vain took it is not done again, at most restAtMost.
const (
	restFor    = 10
	restAtMost = time.Minute
)

// shrink makes room: of rejected records, which must not stop the reading, and of finished events, since
// a shorter history is better than standing still.
func (q *Queue) shrink(ctx context.Context) error {
	if err := q.shrinkRejected(ctx); err != nil {
		return err
	}
	s := &q.shorten
	for q.measure(); q.pressed() && ctx.Err() == nil && time.Now().After(s.rests); q.measure() {
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if s.from == 0 || began.Sub(s.since) > upkeepEvery {
			s.from, s.since = 0, began // what was unfinished then may be finished now
		}
		whole := s.from == 0
		n, next, err := q.retain(ctx, now, now, s.from, shortenBy)
		if err != nil {
			return err
		}
		if s.from = next; n > 0 {
			q.log.Warn("the history of finished deliveries is cut short as long as the queue is close to [state] max_size", "events", n)
		} else if whole {
			s.rests = time.Now().Add(min(restFor*time.Since(began), restAtMost))
			return nil
		}
	}
	return ctx.Err()
}

// shrinkRejected keeps rejected records to their part of the bound.
func (q *Queue) shrinkRejected(ctx context.Context) error {
	limit, _, _ := q.limits.Get()
	dropped := 0
	for ctx.Err() == nil {
		var seqs []int64
		err := q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
			seqs = nil
			return each1(ctx, tx, func(seq int64) { seqs = append(seqs, seq) }, sqlRejectedBeyond, limit/rejectedShare, int64(rejectedOverhead), deletePart)
		})
		if err == nil && len(seqs) > 0 {
			err = q.dropRejected(ctx, seqs)
		}
		if err != nil {
			return err
		}
		if dropped += len(seqs); len(seqs) < deletePart {
			break
		}
	}
	if dropped > 0 {
		q.metrics.dropped.Add(float64(dropped))
		q.log.Warn("the oldest rejected records were dropped: together they took more than a tenth of [state] max_size", "records", dropped)
	}
	return ctx.Err()
}
