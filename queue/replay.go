package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Replay queues deliveries again, due at once, under the same event id; by says whose
// wish it was. One that is not finished is only made due. An unknown id is an error, and
// then nothing is replayed.
func (q *Queue) Replay(ctx context.Context, by string, ids []string) (int, error) {
	for _, id := range ids {
		if _, err := q.Get(id); err != nil && !errors.Is(err, ErrDamaged) {
			return 0, err
		}
	}
	return q.replay(ctx, by, ids)
}

// replay leaves out what is no longer there.
func (q *Queue) replay(ctx context.Context, by string, ids []string) (int, error) {
	total := 0
	for part := range slices.Chunk(ids, maxChanges) {
		n := 0
		err := q.do(ctx, changeCost(len(part)), func(r *round) (err error) { n, err = r.replay(by, part); return err })
		if err != nil {
			return total, fmt.Errorf("after %d deliveries: %w", total, err)
		}
		total += n
	}
	return total, nil
}

func (r *round) replay(by string, ids []string) (n int, err error) {
	now := r.q.now()
	for _, id := range ids {
		at, err := r.q.parseDeliveryID(id)
		if err == nil {
			err = r.change(at, func(d *Delivery) {
				d.Status = Pending
				if d.Attempts > 0 {
					d.Status = Retrying
				}
				if !d.CompletedAt.IsZero() {
					d.Spent = 0
				}
				d.NextAttemptAt, d.CompletedAt = now, time.Time{}
				d.Replays = append(d.Replays, Replay{At: now, By: by})
				d.Replays = d.Replays[max(0, len(d.Replays)-maxReplays):]
			})
		}
		switch {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotFound): // deleted since it was selected
			return 0, err
		}
	}
	return n, nil
}

// ReplayMatching replays what a filter selects and tells how far it is. What was created
// before the call is replayed, in parts: an error leaves those before it replayed.
func (q *Queue) ReplayMatching(ctx context.Context, by string, f Filter, progress func(done, total int)) (int, error) {
	total, err := q.Count(ctx, f)
	if err != nil {
		return 0, err
	}
	n := 0
	err = q.each(ctx, f, func(ids []string) error {
		done, err := q.replay(ctx, by, ids)
		n += done
		progress(n, max(n, total))
		return err
	})
	return n, err
}
