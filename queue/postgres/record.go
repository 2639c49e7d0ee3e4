package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Record makes the outcomes of attempts durable, all or none; more than 200 in parts of
// 200. An outcome of a delivery that is no longer there is dropped with what is left of it, and one
// that was recorded already is not counted twice.
//
// An outcome is late where its webhook is not served under its epoch any more: a success closes
// the delivery all the same, since it was delivered, and a failure is in its history only. With
// everything recorded, a *queue.NotOwner then names those webhooks.
func (q *Queue) Record(ctx context.Context, outcomes ...queue.Outcome) error {
	late := map[string]bool{}
	for part := range slices.Chunk(outcomes, maxChanges) {
		if err := q.record(ctx, part, late); err != nil {
			return err
		}
	}
	if len(late) > 0 {
		return &queue.NotOwner{Webhooks: slices.Sorted(maps.Keys(late))}
	}
	return nil
}

func (q *Queue) record(ctx context.Context, outcomes []queue.Outcome, late map[string]bool) error {
	of := map[ref][]*queue.Outcome{}
	c := &change{fenced: true, served: q.held.services(), first: map[ref]bool{}}
	for i := range outcomes {
		r, err := q.parseDeliveryID(outcomes[i].DeliveryID)
		if err != nil {
			return err
		}
		of[r] = append(of[r], &outcomes[i])
		c.first[r] = len(of[r]) == 1 && outcomes[i].Attempt.N == 1 && outcomes[i].Status == queue.Success
		c.refs = append(c.refs, r)
	}
	_, err := q.change(ctx, c, func(c *change, d *stored) bool {
		changed := false
		for _, o := range of[d.ref] {
			if recorded(&d.Delivery, o) {
				continue
			}
			changed = true
			c.attempted(d.Webhook, o)
			if c.served[d.was.webhook] != (service{q.opts.Agent, o.Epoch}) {
				c.late[d.Webhook]++
				if o.Status != queue.Success || d.Status == queue.Success {
					d.Remember(o)
					continue
				}
			}
			c.apply(d, o)
		}
		return changed
	})
	if err != nil {
		return err
	}
	for webhook, n := range c.late {
		late[webhook] = true
		q.metrics.late.Add(float64(n))
	}
	return nil
}

// apply changes the delivery by an outcome, whose times are of this agent's clock.
func (c *change) apply(d *stored, o *queue.Outcome) {
	by := *o
	if !o.Due.IsZero() {
		by.Due = roundUp(c.clock.theirs(o.Due))
	}
	d.Attempted(&by)
	d.LastAttemptAt, d.CompletedAt = c.clock.theirs(d.LastAttemptAt), c.clock.theirs(d.CompletedAt)
}

// recorded reports whether the delivery knows of the attempt: the database may have committed
// without having said so.
func recorded(d *queue.Delivery, o *queue.Outcome) bool {
	return slices.ContainsFunc(d.History, func(a queue.Attempt) bool { return a.N == o.Attempt.N && a.At.Equal(o.Attempt.At) })
}
