package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// What attempts came to is appended with their outcomes (tally), and folded into rings of
// buckets (history) by the upkeep. Whoever asks gets both.

// buckets are those of a span, by the number of their step.
type buckets map[int64]*queue.Bucket

func (b buckets) add(number int64, o *queue.Bucket) {
	if b[number] == nil {
		b[number] = &queue.Bucket{}
	}
	b[number].Add(o)
}

// read reads what sqlHistory returns. One that is damaged is begun again.
func (b buckets) read(rows pgx.Rows) error {
	var number int64
	var data []byte
	_, err := pgx.ForEachRow(rows, []any{&number, &data}, func() error {
		var o queue.Bucket
		if json.Unmarshal(data, &o) == nil {
			b.add(number, &o)
		}
		return nil
	})
	return err
}

func stepOf(s queue.Span, number int64) time.Time {
	return time.Unix(number*int64(s.Step/time.Second), 0)
}

// History returns what a webhook's attempts came to over a span up to now, oldest first,
// without the buckets in which there was none.
func (q *Queue) History(webhook string, span int) ([]queue.Bucket, error) {
	all, now, err := q.history(context.Background(), webhook, span)
	if err != nil {
		return nil, err
	}
	s := queue.Spans[span]
	last := s.Number(now)
	var out []queue.Bucket
	for _, number := range slices.Sorted(maps.Keys(all)) {
		if number <= last && number > last-int64(s.Buckets) {
			b := *all[number]
			b.At = stepOf(s, number)
			out = append(out, b)
		}
	}
	return out, nil
}

// history returns a span's buckets of whatever time.
func (q *Queue) history(ctx context.Context, webhook string, span int) (all buckets, now time.Time, err error) {
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all = buckets{}
		batch := &pgx.Batch{}
		batch.Queue(sqlNow).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&now)
			now = q.at(now).database
			return err
		})
		batch.Queue(sqlHistory, text(webhook), span).Query(all.read)
		batch.Queue(sqlTallies, text(webhook)).Query(func(rows pgx.Rows) error {
			var at time.Time
			var data []byte
			_, err := pgx.ForEachRow(rows, []any{&data, &at}, func() error {
				var b queue.Bucket
				if json.Unmarshal(data, &b) == nil {
					all.tallied(span, at, &b)
				}
				return nil
			})
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	return all, now, err
}

// tallied takes in what attempts came to at a moment, as a ring does: a later step takes the place of the
// one that many before it, and an earlier one comes to nothing.
func (b buckets) tallied(span int, at time.Time, t *queue.Bucket) {
	s := queue.Spans[span]
	number := s.Number(at)
	for n := range b {
		if n != number && (n-number)%int64(s.Buckets) == 0 {
			delete(b, n)
		}
	}
	b.add(number, t)
}

// LastFailed returns the webhook's latest failed attempt, where in the latest minute in which it had
// attempts none succeeded, however long ago that is.
func (q *Queue) LastFailed(ctx context.Context, webhook string) (a queue.Attempt, ok bool, err error) {
	all, _, err := q.history(ctx, webhook, 0)
	if err != nil || len(all) == 0 {
		return a, false, err
	}
	latest := all[slices.MaxFunc(slices.Collect(maps.Keys(all)), cmp.Compare[int64])]
	if latest.Delivered > 0 || latest.Failed == 0 {
		return a, false, nil
	}
	page, err := q.List(ctx, queue.Filter{Webhook: webhook, Status: []queue.Status{queue.Retrying, queue.Failed}, Limit: 1})
	if err != nil || len(page.Deliveries) == 0 || len(page.Deliveries[0].History) == 0 {
		return a, false, err
	}
	history := page.Deliveries[0].History
	return history[len(history)-1], true, nil
}
