package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Cursor is where reading a source continues, nil where it was never read, and its generation:
// how often it was moved.
//
// What is before it may be removed at its word, and a commit whose wait for the standbys was cancelled can be seen
// before they have it. So Cursor commits something itself, with which they have both, and fails where they do not say so.
func (q *Queue) Cursor(source string) (cursor []byte, gen int64, err error) {
	ctx, done := q.within(context.Background(), readTimeout)
	defer done()
	if err := q.intake.enter(ctx); err != nil {
		return nil, 0, q.failed(context.Background(), "wait for a commit", err)
	}
	defer q.intake.leave()
	err = q.lent("read a cursor", func(ctx context.Context, s *session) error {
		return transact(ctx, s.Conn, q.beginSQL(s), func(ctx context.Context, tx pgx.Tx) error {
			var names, level string
			err := tx.QueryRow(ctx, sqlCursor, text(source)).Scan(&cursor, &gen, &names, &level)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err == nil {
				err = q.replicated(names, level)
			}
			if err == nil {
				err = confirm(ctx, tx)
			}
			return err
		})
	})
	if err != nil {
		return nil, 0, err
	}
	q.known.set(text(source), gen)
	return cursor, gen, nil
}

// State is what SetState kept about a webhook, nil for none.
func (q *Queue) State(webhook string) ([]byte, error) {
	state, _, err := q.webhook(webhook)
	return state, err
}

// Pause is what SetPause kept about a webhook, nil for none.
func (q *Queue) Pause(webhook string) ([]byte, error) {
	_, pause, err := q.webhook(webhook)
	return pause, err
}

func (q *Queue) webhook(name string) (state, pause []byte, err error) {
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, sqlWebhook, text(name)).Scan(&state, &pause)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return state, pause, err
}

// SetState keeps what the webhook's server must know after a restart. The epoch is that of its
// Holding. One of 0 stands for somebody who serves nothing, and is refused, with a
// *queue.NotOwner, while an agent serves the webhook.
func (q *Queue) SetState(ctx context.Context, webhook string, epoch int64, state []byte) error {
	return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		sql, args := sqlSetState, []any{text(webhook), state, q.opts.Agent, epoch}
		if epoch == 0 {
			sql, args = sqlSetFreeState, args[:2]
		}
		tag, err := tx.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() == 0 {
			return &queue.NotOwner{Webhooks: []string{webhook}}
		}
		return err
	})
}

// SetPause keeps why the webhook's deliveries are held back, for whoever serves it; nil for not at
// all. Any agent may.
func (q *Queue) SetPause(ctx context.Context, webhook string, pause []byte) error {
	err := q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlSetPause, text(webhook), pause)
		return err
	})
	if err == nil {
		q.tell(notice{Pauses: true, Webhooks: []string{webhook}})
	}
	return err
}

// Memo is what SetMemo kept under a name, nil for none.
func (q *Queue) Memo(name string) (memo []byte, err error) {
	err = q.claim(func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, sqlMemo, q.memoName(name)).Scan(&memo)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return memo, err
}

// SetMemo keeps what this agent must know about itself after a restart; nil forgets it.
func (q *Queue) SetMemo(ctx context.Context, name string, memo []byte) error {
	return q.again(ctx, q.outcomes, func(ctx context.Context, tx pgx.Tx) error {
		if memo == nil {
			_, err := tx.Exec(ctx, sqlDropMemo, q.memoName(name))
			return err
		}
		_, err := tx.Exec(ctx, sqlSetMemo, q.memoName(name), memo)
		return err
	})
}

func (q *Queue) memoName(name string) string { return text(q.opts.Agent + "/" + name) }
