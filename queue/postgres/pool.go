package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Connections: one for the beat and what it is told (own.go), and four for everything else.
const maxConns = 4

// When a connection is tried before it is used and for how long, and when another is made in its place.
const (
	tryAfter    = time.Second
	tryFor      = 2 * time.Second
	renewAfter  = time.Hour
	closingTime = time.Second
)

// session is a connection to the database.
type session struct {
	*pgx.Conn
	// direct: it is the server's own, so that what is prepared and set in it stays.
	direct     bool
	made, used time.Time
}

// dial connects. To prepare a statement once saves the server most of the work with it. But a pgbouncer lends each
// transaction another session: there nothing is prepared under a name, and nothing set.
func (q *Queue) dial(ctx context.Context, limit time.Duration) (*session, error) {
	cfg, err := pgx.ParseConfig(q.opts.URL)
	if err != nil {
		return nil, urlError(err)
	}
	configure(cfg, q.opts.Agent, limit)
	for {
		pooled := q.pooled.Load()
		if cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement; pooled {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		}
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		s := &session{Conn: conn, made: time.Now()}
		if err := q.begun(ctx, s, limit); err != nil {
			s.close()
			return nil, err
		}
		if s.direct || pooled {
			return s, nil
		}
		s.close()
	}
}

// begun finds out whether a session is the server's own, and sets it up then. A pgbouncer makes up the process that it
// tells its clients.
func (q *Queue) begun(ctx context.Context, s *session, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var pid uint32
	if err := s.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return err
	}
	s.direct = pid == s.PgConn().PID()
	if q.pooled.Store(!s.direct); !s.direct {
		return nil
	}
	_, err := s.Exec(ctx, q.sessionSQL())
	return err
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	_ = s.Close(ctx)
}

// pool has the sessions that nobody uses. The zero value of all but slots is ready.
type pool struct {
	slots chan struct{} // taken by those that are used
	mu    sync.Mutex
	idle  []*session // the one that was used last at the end
}

func newPool() pool { return pool{slots: make(chan struct{}, maxConns)} }

// acquire waits for a session, and makes one where there is none.
func (q *Queue) acquire(ctx context.Context) (*session, error) {
	select {
	case q.pool.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for s := q.pool.take(); s != nil; s = q.pool.take() {
		if time.Since(s.used) < tryAfter || s.answers(ctx) {
			return s, nil
		}
		s.close()
	}
	s, err := q.dial(ctx, connectTimeout)
	if err != nil {
		<-q.pool.slots
	}
	return s, err
}

// answers tries a session. To one whose server went without a word, what was sent would have all the time that the
// caller has.
func (s *session) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	return s.Ping(ctx) == nil
}

func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	s := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return s
}

// release gives a session back. One that is amid something is closed; where it was lost the others are tried before they
// are used, however short ago that was.
func (q *Queue) release(s *session) {
	defer func() { <-q.pool.slots }()
	const atRest = 'I'
	if s.IsClosed() {
		q.pool.doubt()
	}
	if s.IsClosed() || s.PgConn().IsBusy() || s.PgConn().TxStatus() != atRest || time.Since(s.made) > renewAfter {
		s.close()
		return
	}
	s.used = time.Now()
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	q.pool.idle = append(q.pool.idle, s)
}

func (p *pool) doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.idle {
		s.used = time.Time{}
	}
}

// close ends all sessions, once they are given back.
func (p *pool) close() {
	for range maxConns {
		p.slots <- struct{}{}
	}
	for s := p.take(); s != nil; s = p.take() {
		s.close()
	}
}

// connect makes the first connection, and brings the schema to this version.
func (q *Queue) connect(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(q.opts.URL)
	if err != nil {
		return urlError(err)
	}
	q.secrets = []string{q.opts.URL, cfg.Password}
	s, err := q.acquire(ctx)
	if err != nil {
		return q.clean("connect", err)
	}
	q.instance, err = migrate(ctx, s.Conn)
	q.release(s)
	if err != nil {
		q.pool.close()
		return q.clean("open", err)
	}
	return nil
}
