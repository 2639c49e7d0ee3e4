package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// What people change: replays, moves, discards. Each goes in parts of a transaction each: an error
// leaves what came before it done.

// Replay queues deliveries again, due at once, the oldest first, under the same event id;
// by says whose wish it was. One that is not finished is only made due. An unknown id is an
// error, and then nothing is replayed.
func (q *Queue) Replay(ctx context.Context, by string, ids []string) (int, error) {
	webhooks, refs := map[string]bool{}, make([]ref, 0, len(ids))
	for part := range slices.Chunk(ids, maxChanges) {
		known := map[ref]bool{}
		for _, id := range part {
			r, err := q.parseDeliveryID(id)
			if err != nil {
				return 0, err
			}
			refs = append(refs, r)
			known[r] = false
		}
		err := q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
			all, err := q.load(ctx, tx, slices.Collect(maps.Keys(known)))
			for _, d := range all {
				webhooks[d.Webhook], known[d.ref] = true, true
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		for r, there := range known {
			if !there {
				return 0, fmt.Errorf("delivery %s: %w", q.deliveryID(r), queue.ErrNotFound)
			}
		}
	}
	slices.SortFunc(refs, compareRefs)
	refs = slices.Compact(refs)
	names := slices.Sorted(maps.Keys(webhooks))
	total := 0
	err := q.replaying(ctx, names, func(mark func() error) error {
		for part := range slices.Chunk(refs, maxChanges) {
			n, err := q.requeue(ctx, by, part, mark)
			if total += n; err != nil {
				return fmt.Errorf("after %d deliveries: %w", total, err)
			}
		}
		return nil
	})
	return total, err
}

// requeue leaves out what is no longer there.
func (q *Queue) requeue(ctx context.Context, by string, refs []ref, mark func() error) (int, error) {
	if err := mark(); err != nil {
		return 0, err
	}
	return q.change(ctx, &change{refs: slices.Clone(refs)}, func(c *change, d *stored) bool {
		d.Requeue(by, c.clock.database)
		return true
	})
}

// replaying has Head find nothing of webhooks, in any agent, until f has ended: the deliveries of an ordered one are
// replayed in several transactions, and what was read later must not go out before all of them
// are there. f marks each step, since what is not marked for half a minute has ended with its agent.
func (q *Queue) replaying(ctx context.Context, webhooks []string, f func(mark func() error) error) error {
	id := rand.Text()
	mark := func() error {
		return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlReplaying, id, webhooks)
			return err
		})
	}
	err := f(mark)
	ended := q.again(context.WithoutCancel(ctx), q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlReplayed, id, webhooks)
		if err == nil {
			_, err = tx.Exec(ctx, sqlForgetReplays)
		}
		return err
	})
	if slices.Contains(webhooks, "") {
		webhooks = slices.Sorted(maps.Keys(q.Counts()))
	}
	q.tell(notice{Earlier: true, Webhooks: webhooks})
	return errors.Join(err, ended)
}

// ReplayMatching replays what a filter selects, the oldest first, and reports how far it
// is. What was created before the call is replayed, in parts: an error leaves those before
// it replayed.
func (q *Queue) ReplayMatching(ctx context.Context, by string, f queue.Filter, progress func(done, total int)) (n int, err error) {
	err = q.replaying(ctx, []string{text(f.Webhook)}, func(mark func() error) error {
		// A list begins with the newest. Where its parts begin is all that is kept of it.
		begins, total := []string{f.Before}, 0
		if err := mark(); err != nil {
			return err
		}
		err := q.each(ctx, f, func(ids []string) error {
			begins = append(begins, ids[len(ids)-1])
			total += len(ids)
			return nil
		})
		for i := len(begins) - 2; i >= 0 && err == nil; i-- {
			f.Before = begins[i]
			var part []ref
			if part, err = q.downTo(ctx, f, begins[i+1]); err != nil {
				break
			}
			slices.Reverse(part)
			for some := range slices.Chunk(part, maxChanges) {
				done, failed := q.requeue(ctx, by, some, mark)
				if n += done; failed != nil {
					err = failed
					break
				}
			}
			progress(n, max(n, total))
		}
		return err
	})
	return n, err
}

// downTo returns what a filter selects down to a delivery, newest first.
func (q *Queue) downTo(ctx context.Context, f queue.Filter, last string) (part []ref, err error) {
	err = q.each(ctx, f, func(ids []string) error {
		for _, id := range ids {
			if id < last {
				return errEnough
			}
			r, err := q.parseDeliveryID(id)
			if err != nil {
				return err
			}
			part = append(part, r)
		}
		if ids[len(ids)-1] == last {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return part, err
}

// errEnough ends a walk through a list.
var errEnough = errors.New("enough")

// Move moves the unfinished deliveries of one webhook to another, in parts: an error leaves
// those before it moved.
func (q *Queue) Move(ctx context.Context, from, to string) (n int, err error) {
	err = q.replaying(ctx, []string{text(to)}, func(mark func() error) error {
		n, err = q.changeWaiting(ctx, queue.Filter{Webhook: from}, mark, func(d *stored, c clock) {
			d.Webhook, d.NextAttemptAt = to, c.database
		})
		return err
	})
	return n, err
}

// Discard gives up the unfinished deliveries that a filter selects. They stay as failed ones,
// whose error says whose wish it was, until they expire, and can be replayed.
func (q *Queue) Discard(ctx context.Context, by string, f queue.Filter) (int, error) {
	return q.changeWaiting(ctx, f, func() error { return nil }, func(d *stored, c clock) { d.Discard(by, c.database) })
}

// changeWaiting changes the unfinished deliveries that a filter selects.
func (q *Queue) changeWaiting(ctx context.Context, f queue.Filter, mark func() error, change1 func(d *stored, c clock)) (int, error) {
	f.Status = []queue.Status{queue.Pending, queue.Retrying}
	n := 0
	err := q.each(ctx, f, func(ids []string) error {
		for part := range slices.Chunk(ids, maxChanges) {
			c := &change{}
			for _, id := range part {
				r, err := q.parseDeliveryID(id)
				if err != nil {
					return err
				}
				c.refs = append(c.refs, r)
			}
			err := mark()
			done := 0
			if err == nil {
				done, err = q.change(ctx, c, func(c *change, d *stored) bool {
					if d.Finished() || f.Webhook != "" && d.was.webhook != text(f.Webhook) { // meanwhile
						return false
					}
					change1(d, c.clock)
					return true
				})
			}
			if n += done; err != nil {
				return fmt.Errorf("after %d deliveries: %w", n, err)
			}
		}
		return nil
	})
	return n, err
}
