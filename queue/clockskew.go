package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// misdated is a delivery that was written while the clock was ahead of where it is now.
type misdated struct {
	ref
	from time.Time // what its due time was computed from
}

// undoSkew restores to deliveries the due time they would have, had the clock not been ahead when
// it was computed: it may lie years from here.
func (m *maintenance) undoSkew(ctx context.Context) error {
	waiting := map[string]bool{}
	for co := range m.counts.where(func(c indexKey) bool { return c.status == Pending || c.status == Retrying }) {
		waiting[co.webhook] = true
	}
	var found []misdated
	now := m.now()
	err := m.view(func(txn *badger.Txn) error {
		for webhook := range waiting {
			found = append(found, m.findMisdated(txn, webhook, now)...)
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		return err
	}
	for part := range slices.Chunk(found, maxChanges) {
		err = errors.Join(err, m.writer.submit(ctx, changeCost(len(part)), func(w *writeTxn) error {
			for _, a := range part {
				err := w.change(a.ref, func(d *Delivery) {
					if !d.Finished() && d.DueFrom().Equal(a.from) {
						d.NextAttemptAt = now.Add(d.NextAttemptAt.Sub(a.from))
					}
				})
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
	if err == nil {
		m.log.Info("the clock was set back; deliveries that it would have put off are due as they should be", "deliveries", len(found))
	}
	return err
}

// findMisdated returns those of a webhook, the latest due first. The first that knows of nothing in
// the future ends it: what is due before it is not put off for longer than a retry is.
func (m *maintenance) findMisdated(txn *badger.Txn, webhook string, now time.Time) (found []misdated) {
	const slack = time.Minute // clocks are set by less all the time
	prefix := duePrefix(webhook)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	for it.Seek(after(prefix)); it.Valid(); it.Next() {
		key := it.Item().Key()
		if dueOf(key).Before(now.Add(slack)) {
			break
		}
		r := refAt(key)
		d, err := m.load(txn, r)
		if err != nil {
			continue // what is damaged is given up when it is due
		}
		from := d.DueFrom()
		if from.Before(now.Add(slack)) {
			break
		}
		found = append(found, misdated{r, from})
	}
	return found
}

// DueFrom is the moment from which a delivery's due time was: the latest before it that
// the delivery knows of.
func (d *Delivery) DueFrom() (at time.Time) {
	moments := []time.Time{d.CreatedAt, d.LastAttemptAt}
	if n := len(d.Replays); n > 0 {
		moments = append(moments, d.Replays[n-1].At)
	}
	for _, m := range moments {
		if m.After(at) && !m.After(d.NextAttemptAt) {
			at = m
		}
	}
	return at
}
