package postgres

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// shortDigits is how many of a seq's last hex digits queue.ShortID has.
const shortDigits = 7

// Find returns the IDs of events, deliveries or rejected records that begin with what
// somebody typed (evt_…, dlv_…, rej_…), or the deliveries of a short ID; at most most of them,
// the newest first but for events.
func (q *Queue) Find(ctx context.Context, typed string, most int) (ids []string, err error) {
	kind, _, _ := strings.Cut(typed, "_")
	low, idx, short := strings.Cut(typed, ".")
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		ids = nil
		add := func(found ...string) { ids = append(ids, found...) }
		switch {
		case kind == "evt":
			return each1(ctx, tx, func(id string) { add(id) }, sqlFindEvents, text(typed), text(typed)+"\U0010FFFF", most)
		case kind == "rej":
			from, to, ok := hexRange(strings.TrimPrefix(typed, "rej_"))
			if !ok {
				return nil
			}
			return each1(ctx, tx, func(seq int64) { add(rejectedID(seq)) }, sqlFindRejected, from, to, most)
		case kind == "dlv":
			return q.findDeliveries(ctx, tx, typed, most, add)
		case short && len(low) == shortDigits:
			return q.findShort(ctx, tx, low, idx, most, add)
		}
		return nil
	})
	return ids[:min(len(ids), most)], err
}

// findDeliveries finds those whose ID begins as it was typed.
func (q *Queue) findDeliveries(ctx context.Context, tx pgx.Tx, typed string, most int, add func(...string)) error {
	begin := "dlv_" + q.instance
	rest, ok := strings.CutPrefix(typed, begin)
	if !ok && !strings.HasPrefix(begin, typed) {
		return nil
	}
	if !ok {
		rest = "" // any of this queue's
	}
	from, to, ok := hexRange(rest[:min(len(rest), 16)])
	if !ok {
		return nil
	}
	return eachSeq(ctx, tx, func(seq int64, webhooks int32) {
		for i := range webhooks {
			if id := q.deliveryID(ref{seq, i}); strings.HasPrefix(id, typed) {
				add(id)
			}
		}
	}, sqlFindSeqs, from, to, most)
}

func (q *Queue) findShort(ctx context.Context, tx pgx.Tx, low, idx string, most int, add func(...string)) error {
	seq, err := strconv.ParseInt(low, 16, 64)
	i, err2 := strconv.ParseUint(idx, 10, 16)
	if err != nil || err2 != nil {
		return nil
	}
	return eachSeq(ctx, tx, func(seq int64, _ int32) {
		add(q.deliveryID(ref{seq, int32(i)}))
	}, sqlFindShort, int64(1)<<(4*shortDigits)-1, seq, int32(i), most)
}

// hexRange is the range of the numbers of 16 hex digits that begin with some.
func hexRange(digits string) (from, to int64, ok bool) {
	if len(digits) > 16 || strings.ToLower(digits) != digits {
		return 0, 0, false
	}
	low, err1 := strconv.ParseUint(digits+strings.Repeat("0", 16-len(digits)), 16, 64)
	high, err2 := strconv.ParseUint(digits+strings.Repeat("f", 16-len(digits)), 16, 64)
	if err1 != nil || err2 != nil || low > math.MaxInt64 {
		return 0, 0, false
	}
	return int64(low), int64(min(high, math.MaxInt64)), true
}

// each1 passes the values of a query's only column.
func each1[T any](ctx context.Context, tx pgx.Tx, f func(T), sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("find: %w", err)
	}
	var v T
	_, err = pgx.ForEachRow(rows, []any{&v}, func() error { f(v); return nil })
	return err
}

// eachSeq passes events' seqs, with how many webhooks wanted each.
func eachSeq(ctx context.Context, tx pgx.Tx, f func(seq int64, webhooks int32), sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("find: %w", err)
	}
	var seq int64
	var webhooks int32
	_, err = pgx.ForEachRow(rows, []any{&seq, &webhooks}, func() error { f(seq, webhooks); return nil })
	return err
}
