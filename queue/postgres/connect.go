package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// How long things may take. A commit waits for the standbys, so it may take longer than a statement.
const (
	connectTimeout = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 60 * time.Second
)

// Each transaction sets its own limits: behind a pgbouncer the session is not this agent's.
const (
	readSQL = `BEGIN READ ONLY; SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '60s'; ` + byKeySQL

	// Everything is found by its keys, in their order, however small or unknown to the planner a table still is:
	// it would read all of one that was filled since it was analyzed.
	byKeySQL = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off`
)

// sessionSQL is what beginSQL sets, for a session that is this agent's.
func (q *Queue) sessionSQL() string {
	return strings.ReplaceAll(q.limitsSQL(), "SET LOCAL", "SET")
}

// limitsSQL sets what every transaction needs. An agent may be cut off amid one, whose locks then keep what it
// serves from the others until the database gives it up: that must not take longer than its lease.
func (q *Queue) limitsSQL() string {
	return fmt.Sprintf(`SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '20s'; SET LOCAL idle_in_transaction_session_timeout = %d; %s`,
		min(q.opts.Lease, time.Minute).Milliseconds(), byKeySQL)
}

// beginSQL begins a transaction that writes.
func (q *Queue) beginSQL(s *session) string {
	if s.direct {
		return "BEGIN"
	}
	return "BEGIN; " + q.limitsSQL()
}

// errUnknown: whether a transaction was committed is not known. Its connection was lost while the
// commit was under way, or the wait for the standbys was cancelled, which PostgreSQL reports
// as a success with a warning.
var errUnknown = errors.New("the database did not say whether it has committed")

// configure has what a connection needs, which is never one to a standby. limit is how long connecting may take: each of the URL's hosts has its
// time, since they are tried in order.
func configure(cfg *pgx.ConnConfig, agent string, limit time.Duration) {
	if cfg.ConnectTimeout == 0 || cfg.ConnectTimeout > limit { // the URL's may be shorter
		cfg.ConnectTimeout = limit
	}
	if cfg.ValidateConnect == nil { // it would be kept, and nothing can be written there
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "intellidocs-agent " + agent
	}
	cfg.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()["warning"] = n.Message
		}
	}
}

// lane is what one at a time may be in.
type lane chan struct{}

func newLane() lane { return make(lane, 1) }

func (l lane) enter(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lane) leave() { <-l }

// within is a context that ends with the queue, and after a time.
func (q *Queue) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(q.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// write has f change something in one transaction. An error is errUnknown where the
// transaction may have been committed all the same, and else means that nothing was changed.
func (q *Queue) write(ctx context.Context, l lane, f func(ctx context.Context, tx pgx.Tx) error) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	within, done := q.within(ctx, writeTimeout)
	defer done()
	s, err := q.acquire(within)
	if err != nil {
		return q.failed(ctx, "connect", err)
	}
	defer q.release(s)
	return q.failed(ctx, "write", transact(within, s.Conn, q.beginSQL(s), f))
}

// transact does f in a transaction. Its error is errUnknown as write's is.
func transact(ctx context.Context, conn *pgx.Conn, begin string, f func(ctx context.Context, tx pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		rollback(ctx, tx)
		return err
	}
	said := conn.PgConn().CustomData()
	delete(said, "warning")
	err = tx.Commit(ctx)
	warning, warned := said["warning"]
	var refused *pgconn.PgError
	switch {
	case err == nil && !warned:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %v", errUnknown, warning)
	case errors.Is(err, pgx.ErrTxCommitRollback), errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR":
		return err
	}
	return fmt.Errorf("%w: %w", errUnknown, err)
}

// rollback gives the server a moment to answer; else the connection is closed.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // the caller has the error that matters
}

// read has f read in one transaction, for people: one at a time.
func (q *Queue) read(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return q.readIn(ctx, q.people, f)
}

func (q *Queue) readIn(ctx context.Context, l lane, f func(ctx context.Context, tx pgx.Tx) error) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	within, done := q.within(ctx, readTimeout)
	defer done()
	s, err := q.acquire(within)
	if err != nil {
		return q.failed(ctx, "connect", err)
	}
	defer q.release(s)
	return q.failed(ctx, "read", transact(within, s.Conn, readSQL, f))
}

// failed says that the queue is closed where that is why, or what the caller's context says.
func (q *Queue) failed(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknown):
		return q.clean(doing, err)
	case q.ctx.Err() != nil:
		return queue.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return q.clean(doing, err)
}

// databaseError is an error of the database's without anything of its URL.
type databaseError struct {
	text        string
	err         error
	unavailable bool
}

// Is makes it an ErrUnavailable where the database did not answer.
func (e *databaseError) Is(target error) bool { return e.unavailable && target == queue.ErrUnavailable }

func (e *databaseError) Error() string { return e.text }
func (e *databaseError) Unwrap() error { return e.err }

// clean returns an error that may be shown. What is this package's own stays as it is.
func (q *Queue) clean(doing string, err error) error {
	var refused *pgconn.PgError
	var connect *pgconn.ConnectError
	text := err.Error()
	switch {
	case errors.As(err, new(*databaseError)), ours(err):
		return err
	case errors.As(err, &connect):
		text = connect.Unwrap().Error() // its own text has the user's and the database's names
	case errors.As(err, &refused):
		text = fmt.Sprintf("%s (SQLSTATE %s)", refused.Message, refused.Code)
	}
	for _, secret := range q.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	away := !errors.As(err, &refused) || refused.SeverityUnlocalized != "ERROR"
	return &databaseError{fmt.Sprintf("the queue's database: %s: %s", doing, text), err, away}
}

func ours(err error) bool {
	for _, own := range []error{queue.ErrNotFound, queue.ErrNewer, queue.ErrDamaged, queue.ErrClosed, queue.ErrMoved, queue.ErrNotOwner, ErrUnreplicated, errAgain} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// claim has f read with a connection that nobody who only looks can keep from it for long.
func (q *Queue) claim(f func(ctx context.Context, conn *pgx.Conn) error) error {
	return q.lent("read", func(ctx context.Context, s *session) error {
		if s.direct {
			return f(ctx, s.Conn)
		}
		return transact(ctx, s.Conn, readSQL, func(ctx context.Context, _ pgx.Tx) error { return f(ctx, s.Conn) })
	})
}

// lent has f do something with any session.
func (q *Queue) lent(doing string, f func(ctx context.Context, s *session) error) error {
	ctx, done := q.within(context.Background(), readTimeout)
	defer done()
	s, err := q.acquire(ctx)
	if err != nil {
		return q.failed(context.Background(), "connect", err)
	}
	defer q.release(s)
	return q.failed(context.Background(), doing, f(ctx, s))
}

func isUnknown(err error) bool { return errors.Is(err, errUnknown) }

// sqlState is the code of what the database refused, "" where it refused nothing.
func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
