package postgres

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// How often the agent that has the lease of the upkeep does each part of it, and how many rows one
// transaction deletes.
const (
	foldEvery   = 5 * time.Second
	upkeepEvery = 5 * time.Minute
	deletePart  = 5000
)

// Run keeps the queue in order until ctx ends, while this agent has the lease of that.
func (q *Queue) Run(ctx context.Context) error {
	fold, upkeep := time.NewTicker(foldEvery), time.NewTicker(upkeepEvery)
	defer fold.Stop()
	defer upkeep.Stop()
	failing := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-q.ctx.Done():
			return nil
		case <-fold.C:
			if q.keeps() {
				if err = q.fold(ctx); err == nil && q.pressed() {
					err = q.shrink(ctx)
				}
			}
		case <-upkeep.C:
			if q.keeps() {
				err = q.Upkeep(ctx)
			}
		}
		if err != nil && ctx.Err() == nil && err.Error() != failing {
			failing = err.Error()
			q.log.Warn("the queue's upkeep failed; it is tried again", "error", err)
		} else if err == nil {
			failing = ""
		}
	}
}

// keeps reports whether the upkeep is this agent's.
func (q *Queue) keeps() bool { return time.Now().UnixNano() < q.keeper.Load() }

// Upkeep does at once what Run does every five minutes.
func (q *Queue) Upkeep(ctx context.Context) error {
	_, retention, window := q.limits.Get()
	now, err := q.now(ctx)
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return q.undoSkew(ctx, now) },
		func() error { return q.fold(ctx) },
		func() error {
			if retention == 0 {
				return nil
			}
			if _, _, err := q.retain(ctx, now, now.Add(-retention), 0, math.MaxInt); err != nil {
				return err
			}
			return q.retainRejected(ctx, now.Add(-retention))
		},
		func() error { return q.expireIDs(ctx, now.Add(-window)) },
		func() error { return q.forgetHistory(ctx) },
		func() error { return q.forgetStopped(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// now returns the database's time.
func (q *Queue) now(ctx context.Context) (now time.Time, err error) {
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error { return tx.QueryRow(ctx, sqlNow).Scan(&now) })
	return q.at(now).database, err
}

// fold adds up the counts, and what attempts came to.
func (q *Queue) fold(ctx context.Context) error {
	return q.write(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlFoldCounts); err != nil {
			return err
		}
		return foldTallies(ctx, tx)
	})
}

// foldTallies puts what attempts came to into the rings.
func foldTallies(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, sqlTakeTallies)
	if err != nil {
		return err
	}
	type ring struct {
		webhook string
		span    int
	}
	rings := map[ring]buckets{}
	var webhook string
	var at time.Time
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&webhook, &at, &data}, func() error {
		var t queue.Bucket
		if json.Unmarshal(data, &t) != nil {
			return nil
		}
		for span := range queue.Spans {
			r := ring{webhook, span}
			if rings[r] == nil {
				rings[r] = buckets{}
			}
			rings[r].tallied(span, at, &t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for r, all := range rings {
		known := buckets{}
		if err := readRing(ctx, tx, known, r.webhook, r.span); err != nil {
			return err
		}
		for number, b := range all {
			if before := known[number]; before != nil {
				b.Add(before)
			}
			data, err := json.Marshal(b)
			if err != nil {
				return err
			}
			batch.Queue(sqlSetBucket, r.webhook, r.span, number%int64(queue.Spans[r.span].Buckets), number, data)
		}
	}
	return tx.SendBatch(ctx, batch).Close()
}

func readRing(ctx context.Context, tx pgx.Tx, into buckets, webhook string, span int) error {
	rows, err := tx.Query(ctx, sqlHistory, webhook, span)
	if err != nil {
		return err
	}
	return into.read(rows)
}

func (q *Queue) retainRejected(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		var seqs []int64
		err := q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
			seqs = nil
			return each1(ctx, tx, func(seq int64) { seqs = append(seqs, seq) }, sqlOldRejected, seqAt(before), deletePart)
		})
		if err != nil || len(seqs) == 0 {
			return err
		}
		if err := q.dropRejected(ctx, seqs); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// expireIDs forgets the ids of events that are gone and older than the dedup window.
func (q *Queue) expireIDs(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		n := 0
		err := q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, sqlExpire, seqAt(before), deletePart).Scan(&n)
		})
		if err != nil || n == 0 {
			return err
		}
	}
	return ctx.Err()
}

// forgetHistory deletes the history of webhooks that are neither configured here nor have deliveries.
func (q *Queue) forgetHistory(ctx context.Context) error {
	var known []string
	for _, name := range q.opts.Webhooks() {
		known = append(known, text(name))
	}
	return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlForgetHistory, known)
		return err
	})
}

// undoSkew restores to deliveries the due time they would have, had the database's clock not been ahead when it
// was computed: it may lie years from here.
func (q *Queue) undoSkew(ctx context.Context, now time.Time) error {
	soon := now.Add(time.Minute) // clocks are set by less all the time
	for webhook := range q.Counts() {
		found, err := q.misdated(ctx, webhook, soon)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(found, maxChanges) {
			n, err := q.change(ctx, &change{refs: part}, func(_ *change, d *stored) bool {
				from := d.DueFrom()
				if d.Finished() || from.Before(soon) {
					return false
				}
				d.NextAttemptAt = now.Add(d.NextAttemptAt.Sub(from))
				return true
			})
			if err != nil {
				return err
			}
			q.log.Info("the clock was set back; deliveries that it would have put off are due as they should be", "webhook", webhook, "deliveries", n)
		}
	}
	return ctx.Err()
}

// misdated returns those of a webhook, the latest due first. The first that knows of nothing in the
// future ends it: what is due before it is not put off for longer than a retry is.
func (q *Queue) misdated(ctx context.Context, webhook string, soon time.Time) (found []ref, err error) {
	below := dueRef{ref: ref{math.MaxInt64, math.MaxInt32}}
	for before := (pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}); ; before = below.key() {
		n := 0
		err := q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, sqlLatestDue, webhook, soon, before, below.seq, below.idx, maxChanges)
			if err != nil {
				return err
			}
			var refs []ref
			r := &below
			if _, err := pgx.ForEachRow(rows, []any{&r.due, &r.seq, &r.idx}, func() error { refs = append(refs, r.ref); return nil }); err != nil {
				return err
			}
			all, err := q.load(ctx, tx, refs)
			slices.SortFunc(all, func(a, b *stored) int { return slices.Index(refs, a.ref) - slices.Index(refs, b.ref) })
			for _, d := range all {
				if d.DueFrom().Before(soon) {
					return err
				}
				found = append(found, d.ref)
				n++
			}
			return err
		})
		if err != nil || n < maxChanges {
			return found, err
		}
	}
}
