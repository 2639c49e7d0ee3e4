package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// logLock is the advisory lock of whoever numbers entries.
const logLock = migrationLock + 1

// AppendLog keeps entries, and sets the numbers of those that have none. One with a number is
// kept instead of the one that has it, as long as that is there. All agents have one log. They wait
// for each other here, and nothing else waits with them.
func (q *Queue) AppendLog(ctx context.Context, entries ...*queue.LogEntry) error {
	for part := range slices.Chunk(entries, maxChanges) {
		numbers := make([]uint64, len(part))
		err := q.again(ctx, q.entries, func(ctx context.Context, tx pgx.Tx) error { return appendLog(ctx, tx, part, numbers) })
		if err != nil {
			return err
		}
		for i, e := range part {
			e.N = cmp.Or(numbers[i], e.N)
		}
	}
	return nil
}

func appendLog(ctx context.Context, tx pgx.Tx, part []*queue.LogEntry, numbers []uint64) error {
	if _, err := tx.Exec(ctx, sqlLogLock, int64(logLock)); err != nil {
		return err
	}
	var last uint64
	if err := tx.QueryRow(ctx, sqlLogLast).Scan(&last); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for i, e := range part {
		kept := e.Clipped()
		switch {
		case kept.N == 0:
			last++
			kept.N = last
		case kept.N+queue.MaxLog <= last:
			continue // it is gone
		}
		record, err := json.Marshal(&kept)
		if err != nil {
			return err
		}
		batch.Queue(sqlLogSet, int64(kept.N), record)
		numbers[i] = kept.N
	}
	batch.Queue(sqlLogTrim, int64(last)-queue.MaxLog)
	return tx.SendBatch(ctx, batch).Close()
}

// Log returns entries, newest first, at most limit; before, where not 0, only those with smaller numbers.
func (q *Queue) Log(before uint64, limit int) (out []queue.LogEntry, err error) {
	if before == 0 || before > math.MaxInt64 {
		before = math.MaxInt64
	}
	err = q.read(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
		out = nil
		return each1(ctx, tx, func(record []byte) {
			var e queue.LogEntry
			if json.Unmarshal(record, &e) == nil {
				out = append(out, e)
			}
		}, sqlLogNewest, int64(before), limit)
	})
	return out, err
}
