package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Rejected returns rejected records, newest first, and the Before of the next part.
func (q *Queue) Rejected(ctx context.Context, f queue.RejectedFilter) (out []queue.Rejected, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	before := int64(math.MaxInt64)
	if f.Before != "" {
		if before, err = parseRejectedID(f.Before); err != nil {
			return nil, "", err
		}
	}
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		out, next = nil, ""
		rows, err := tx.Query(ctx, sqlRejected, before, seqAt(f.Since), text(f.Source), f.Limit+1)
		if err != nil {
			return err
		}
		var seq int64
		var record []byte
		_, err = pgx.ForEachRow(rows, []any{&seq, &record}, func() error {
			if len(out) == f.Limit {
				next = out[len(out)-1].ID
				return nil
			}
			out = append(out, decodeRejected(seq, record))
			return nil
		})
		return err
	})
	return out, next, err
}

func decodeRejected(seq int64, record []byte) (r queue.Rejected) {
	if err := json.Unmarshal(record, &r); err != nil {
		r = queue.Rejected{At: seqTime(seq), Reason: "its record is damaged on the disk"}
	}
	r.ID = rejectedID(seq)
	return r
}

// RejectedByID returns one rejected record.
func (q *Queue) RejectedByID(id string) (queue.Rejected, error) {
	seq, err := parseRejectedID(id)
	if err != nil {
		return queue.Rejected{}, err
	}
	out := queue.Rejected{}
	err = q.read(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
		found := false
		rows, err := tx.Query(ctx, sqlRejected, seq+1, seq, "", 1)
		if err != nil {
			return err
		}
		var at int64
		var record []byte
		_, err = pgx.ForEachRow(rows, []any{&at, &record}, func() error { out, found = decodeRejected(at, record), true; return nil })
		if err == nil && !found {
			return fmt.Errorf("rejected record %s: %w", id, queue.ErrNotFound)
		}
		return err
	})
	return out, err
}

// DropRejected forgets rejected records. Unknown ids are no error.
func (q *Queue) DropRejected(ctx context.Context, ids ...string) error {
	var seqs []int64
	for _, id := range ids {
		if seq, err := parseRejectedID(id); err == nil {
			seqs = append(seqs, seq)
		}
	}
	return q.dropRejected(ctx, seqs)
}

func (q *Queue) dropRejected(ctx context.Context, seqs []int64) error {
	for part := range slices.Chunk(seqs, 1000) {
		err := q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlDropRejected, part, int64(rejectedOverhead))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// again does a transaction that may be done twice, until it is known to be committed.
func (q *Queue) again(ctx context.Context, l lane, f func(ctx context.Context, tx pgx.Tx) error) error {
	for try := 0; ; try++ {
		err := q.write(ctx, l, f)
		if err == nil || try > 2 || !transient(err) && !isUnknown(err) {
			return err
		}
	}
}
