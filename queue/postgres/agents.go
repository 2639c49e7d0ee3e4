package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Agents are those that share the queue, with those that are gone and not forgotten, by name.
func (q *Queue) Agents(ctx context.Context) (out []queue.Agent, err error) {
	err = q.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, sqlAgents, q.opts.Lease)
		if err != nil {
			return err
		}
		for rows.Next() {
			var a queue.Agent
			var seen, now time.Time
			var status []byte
			if err := rows.Scan(&a.Name, &a.Version, &seen, &now, &a.Live, &a.Stopped, &status, &a.Webhooks); err != nil {
				return err
			}
			a.Seen = time.Now().Add(seen.Sub(now)).Round(0)
			if len(status) > 0 {
				_ = json.Unmarshal(status, &a.Status) // a later version's may be otherwise
			}
			out = append(out, a)
		}
		return rows.Err()
	})
	return out, err
}

// stoppedKept is for how long an agent is shown that was stopped: most that are not started again by then never
// are, as a pod of a name that is no other's.
const stoppedKept = 72 * time.Hour

func (q *Queue) forgetStopped(ctx context.Context) error {
	return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlForgetStopped, stoppedKept)
		return err
	})
}

// ForgetAgent has an agent that is gone no longer be shown. One that is alive is an error.
func (q *Queue) ForgetAgent(ctx context.Context, name string) error {
	return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlForgetAgent, name, q.opts.Lease)
		if err == nil && tag.RowsAffected() == 0 {
			return fmt.Errorf("agent %q that is gone: %w", name, queue.ErrNotFound)
		}
		return err
	})
}
