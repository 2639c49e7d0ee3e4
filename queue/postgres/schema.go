package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// The schema is the format's versions one after another. A version only adds what the one before
// it can be without, so that agents of both run together; what is added is used from the next on.
//
// What a producer, an endpoint or a file system said is kept as bytes, since PostgreSQL's text
// holds no NUL and no broken UTF-8: an event's metadata, a delivery and a rejected record are JSON.
// The columns beside that are what is searched by.
//
// Nothing that changes often is a row which is updated: while somebody holds a long snapshot
// (a pg_dump), each change leaves a dead version in everybody's way. So a source's cursor is a new
// row each time, and counts and the history are appended and folded by the upkeep.
var migrations = []string{`
CREATE SEQUENCE agent.batch;
CREATE TABLE agent.event (
	seq       bigint PRIMARY KEY,
	id        text COLLATE "C" NOT NULL,
	type      text COLLATE "C" NOT NULL,
	queued_at timestamptz NOT NULL,
	webhooks  text[] COLLATE "C" NOT NULL,
	meta      bytea NOT NULL,
	body      bytea NOT NULL,
	crc       bigint NOT NULL
);
ALTER TABLE agent.event ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE agent.dedup (
	id      text COLLATE "C" PRIMARY KEY,
	seq     bigint NOT NULL,
	payload text COLLATE "C" NOT NULL
);
CREATE TABLE agent.expiry (seq bigint PRIMARY KEY, id text COLLATE "C" NOT NULL);
CREATE TABLE agent.due (
	webhook text COLLATE "C" NOT NULL,
	seq     bigint NOT NULL,
	idx     integer NOT NULL,
	due     timestamptz NOT NULL,
	tried   boolean NOT NULL,
	PRIMARY KEY (webhook, seq, idx)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_at ON agent.due (webhook, due, seq, idx);
CREATE TABLE agent.delivery (
	seq       bigint NOT NULL,
	idx       integer NOT NULL,
	webhook   text COLLATE "C" NOT NULL,
	type      text COLLATE "C" NOT NULL,
	status    text COLLATE "C" NOT NULL,
	completed timestamptz,
	rev       integer NOT NULL,
	record    bytea NOT NULL,
	PRIMARY KEY (seq, idx)
) WITH (fillfactor = 90);
CREATE INDEX delivery_status ON agent.delivery (webhook, status, seq, idx);
CREATE TABLE agent.source (
	name   text COLLATE "C" NOT NULL,
	gen    bigint NOT NULL,
	cursor bytea NOT NULL,
	token  bigint NOT NULL,
	PRIMARY KEY (name, gen)
);
CREATE TABLE agent.rejected (
	seq    bigint PRIMARY KEY,
	key    bytea NOT NULL UNIQUE,
	source text COLLATE "C" NOT NULL,
	record bytea NOT NULL
);
CREATE TABLE agent.webhook (
	name  text COLLATE "C" PRIMARY KEY,
	owner text COLLATE "C" NOT NULL DEFAULT '',
	epoch bigint NOT NULL DEFAULT 0,
	until timestamptz NOT NULL DEFAULT '-infinity',
	state bytea,
	pause bytea
) WITH (fillfactor = 50);
CREATE TABLE agent.member (
	name    text COLLATE "C" PRIMARY KEY,
	process text NOT NULL,
	seen    timestamptz NOT NULL,
	version text NOT NULL,
	status  bytea
) WITH (fillfactor = 50);
CREATE TABLE agent.delta (
	webhook text COLLATE "C" NOT NULL,
	status  text COLLATE "C" NOT NULL,
	type    text COLLATE "C" NOT NULL,
	n       bigint NOT NULL
);
CREATE TABLE agent.tally (n bigint GENERATED ALWAYS AS IDENTITY, webhook text COLLATE "C" NOT NULL, at timestamptz NOT NULL, bucket bytea NOT NULL);
CREATE TABLE agent.history (
	webhook text COLLATE "C" NOT NULL,
	span    integer NOT NULL,
	place   integer NOT NULL,
	number  bigint NOT NULL,
	bucket  bytea NOT NULL,
	PRIMARY KEY (webhook, span, place)
);
CREATE TABLE agent.log (n bigint PRIMARY KEY, record bytea NOT NULL);
CREATE TABLE agent.memo (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE agent.replay (id text PRIMARY KEY, webhook text COLLATE "C" NOT NULL, until timestamptz NOT NULL);
`, `
CREATE INDEX event_type ON agent.event (type, seq);
INSERT INTO agent.delta (webhook, status, type, n)
	SELECT '', 'rejected_bytes', '', coalesce(sum(octet_length(record) + 200), 0) FROM agent.rejected;
`}

// migrationLock is the advisory lock of whoever creates or changes the schema.
const migrationLock = 0x696e74656c6c69 // "intelli"

// migrationSQL begins a migration. It takes as long as it takes, and whoever begins meanwhile waits for it: one that is
// given up would be at the next start too.
const migrationSQL = `BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0`

// migrate brings the schema to this version's format, and returns the queue's instance.
func migrate(ctx context.Context, conn *pgx.Conn) (instance string, err error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: migrationSQL})
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return "", err
	}
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('agent.meta') IS NOT NULL").Scan(&exists); err != nil {
		return "", err
	}
	if !exists {
		if err := found(ctx, tx); err != nil {
			return "", err
		}
	}
	var format string
	err = tx.QueryRow(ctx, "SELECT (SELECT value FROM agent.meta WHERE name = 'format'), (SELECT value FROM agent.meta WHERE name = 'instance')").Scan(&format, &instance)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(format)
	if err != nil || n < 0 || len(instance) != 8 {
		return "", fmt.Errorf("%w: the schema agent says that it has format %q; restore the database from a backup, or drop the schema to start empty", queue.ErrDamaged, format)
	}
	if n > len(migrations) {
		return "", fmt.Errorf("%w: the database's queue has format %d and this version knows %d; use the newer version again, nothing was changed", queue.ErrNewer, n, len(migrations))
	}
	if n == len(migrations) {
		return instance, nil
	}
	for _, m := range migrations[n:] {
		if _, err := tx.Exec(ctx, m); err != nil {
			return "", err
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE agent.meta SET value = $1 WHERE name = 'format'", strconv.Itoa(len(migrations))); err != nil {
		return "", err
	}
	return instance, tx.Commit(ctx)
}

// found makes an empty schema, in which no migration is done yet.
func found(ctx context.Context, tx pgx.Tx) error {
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS agent; CREATE TABLE agent.meta (name text PRIMARY KEY, value text NOT NULL)`)
	_, err2 := tx.Exec(ctx, "INSERT INTO agent.meta (name, value) VALUES ('format', '0'), ('instance', $1)", hex.EncodeToString(id))
	return errors.Join(err, err2)
}
