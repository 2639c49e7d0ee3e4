package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// replaying counts the replays under way, by webhook; "" is for all webhooks. An ordered
// webhook's deliveries are replayed in several commits, and none may go out before the
// oldest is there: meanwhile Head finds nothing. The zero value is ready.
type replaying struct {
	mu sync.Mutex
	by map[string]int
}

// begin returns what must be called in the end.
func (r *replaying) begin(webhooks map[string]bool) (end func()) {
	add := func(n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.by == nil {
			r.by = map[string]int{}
		}
		for name := range webhooks {
			if r.by[name] += n; r.by[name] == 0 {
				delete(r.by, name)
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

func (r *replaying) of(webhook string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[webhook] > 0 || r.by[""] > 0
}

// changes are those that people make to deliveries which are there: replays, moves, discards.
// Each goes in parts of a transaction each, so that it may be of any size and holds up nobody:
// an error leaves what came before it done. Each delivery is read again within its
// transaction, since it may have been sent or deleted after it was selected.
type changes struct {
	reader *reader
	writer *writer
}

// Replay queues deliveries again, due at once, the oldest first, under the same event id;
// by says whose wish it was. One that is not finished is only made due. An unknown id is an
// error, and then nothing is replayed.
func (c *changes) Replay(ctx context.Context, by string, ids []string) (int, error) {
	webhooks := map[string]bool{}
	for _, id := range ids {
		d, err := c.reader.Get(id)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return 0, err
		}
		webhooks[d.Webhook] = true
	}
	defer c.notifyAll(webhooks)
	defer c.reader.replaying.begin(webhooks)()
	return c.replay(ctx, by, slices.Sorted(slices.Values(ids))) // an id begins with its place
}

func (c *changes) notifyAll(webhooks map[string]bool) {
	names := slices.Sorted(maps.Keys(webhooks))
	if webhooks[""] {
		names = c.reader.counts.webhooks()
	}
	c.writer.notify(names)
}

// replay leaves out what is no longer there.
func (c *changes) replay(ctx context.Context, by string, ids []string) (int, error) {
	total := 0
	for part := range slices.Chunk(ids, maxChanges) {
		n := 0
		err := c.writer.submit(ctx, changeCost(len(part)), func(w *writeTxn) (err error) { n, err = w.replay(by, part); return err })
		if err != nil {
			return total, fmt.Errorf("after %d deliveries: %w", total, err)
		}
		total += n
	}
	return total, nil
}

func (w *writeTxn) replay(by string, ids []string) (n int, err error) {
	now := w.wr.now()
	for _, id := range ids {
		at, err := w.wr.parseDeliveryID(id)
		if err == nil {
			err = w.change(at, func(d *Delivery) { d.Requeue(by, now) })
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

// ReplayMatching replays what a filter selects, the oldest first, and reports how far it
// is. What was created before the call is replayed, in parts: an error leaves those before
// it replayed.
func (c *changes) ReplayMatching(ctx context.Context, by string, f Filter, progress func(done, total int)) (int, error) {
	webhooks := map[string]bool{f.Webhook: true}
	defer c.notifyAll(webhooks)
	defer c.reader.replaying.begin(webhooks)()
	// A list begins with the newest. Where its parts begin is all that is kept of it.
	begins, total := []string{f.Before}, 0
	err := c.reader.each(ctx, f, func(ids []string) error {
		begins = append(begins, ids[len(ids)-1])
		total += len(ids)
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for i := len(begins) - 2; i >= 0; i-- {
		f.Before = begins[i]
		var part []string
		err := c.reader.each(ctx, f, func(ids []string) error {
			for _, id := range ids {
				if id < begins[i+1] {
					return errEnough
				}
				part = append(part, id)
			}
			if ids[len(ids)-1] == begins[i+1] {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return n, err
		}
		slices.Reverse(part)
		done, err := c.replay(ctx, by, part)
		n += done
		progress(n, max(n, total))
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// errEnough ends a walk through a list.
var errEnough = errors.New("enough")
