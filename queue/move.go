package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Move moves the unfinished deliveries of one webhook to another, in parts: an error leaves
// those before it moved. Nobody may be sending the one webhook's meanwhile.
func (c *changes) Move(ctx context.Context, from, to string) (int, error) {
	defer c.reader.replaying.begin(map[string]bool{to: true})()
	return c.changeWaiting(ctx, Filter{Webhook: from}, func(d *Delivery, now time.Time) {
		d.Webhook, d.NextAttemptAt = bounded(to), now
	})
}

// Discard gives up the unfinished deliveries that a filter selects. They stay as failed ones,
// whose error says whose wish it was, until they expire, and can be replayed.
func (c *changes) Discard(ctx context.Context, by string, f Filter) (int, error) {
	return c.changeWaiting(ctx, f, func(d *Delivery, now time.Time) { d.Discard(by, now) })
}

// changeWaiting changes the unfinished deliveries that a filter selects.
func (c *changes) changeWaiting(ctx context.Context, f Filter, change func(d *Delivery, now time.Time)) (int, error) {
	f.Status = []Status{Pending, Retrying}
	n := 0
	err := c.reader.each(ctx, f, func(ids []string) error {
		for part := range slices.Chunk(ids, maxChanges) {
			done := 0
			err := c.writer.submit(ctx, changeCost(len(part)), func(w *writeTxn) error {
				done = 0
				now := w.wr.now()
				for _, id := range part {
					at, err := w.wr.parseDeliveryID(id)
					if err == nil {
						err = w.change(at, func(d *Delivery) {
							if !d.Finished() { // meanwhile
								change(d, now)
								done++
							}
						})
					}
					if err != nil && !errors.Is(err, ErrNotFound) {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("after %d deliveries: %w", n, err)
			}
			n += done
		}
		return nil
	})
	return n, err
}
