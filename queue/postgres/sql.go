package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// All that is asked of the database, but for the schema. Where rows of several agents may meet
// they are in the order of their keys, so that no two wait for each other.

// Enqueueing (commit.go).
const (
	sqlBegin = `SELECT clock_timestamp(), nextval('agent.batch'), coalesce((SELECT max(seq) FROM agent.event), 0),
		current_setting('synchronous_standby_names'), current_setting('synchronous_commit')`

	sqlSourceHead = `SELECT gen, token FROM agent.source WHERE name = $1 ORDER BY gen DESC LIMIT 1`

	sqlCursor = `SELECT cursor, gen, current_setting('synchronous_standby_names'), current_setting('synchronous_commit') FROM agent.source WHERE name = $1 ORDER BY gen DESC LIMIT 1`

	sqlKnown = `SELECT id, seq, payload FROM agent.dedup WHERE id = ANY($1::text[])`

	sqlInsertIDs = `INSERT INTO agent.dedup (id, seq, payload)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT (id) DO NOTHING`

	sqlUpdateIDs = `UPDATE agent.dedup d SET seq = n.seq, payload = n.payload
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) n (id, seq, payload, old) WHERE d.id = n.id AND d.seq = n.old`

	sqlInsertEvents = `INSERT INTO agent.event (seq, id, type, queued_at, webhooks, meta, body, crc)
		SELECT seq, id, type, queued_at, string_to_array(webhooks, E'\x1f'), meta, body, crc
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::bytea[], $7::bytea[], $8::bigint[])
			n (seq, id, type, queued_at, webhooks, meta, body, crc)`

	sqlInsertDue = `INSERT INTO agent.due (webhook, seq, idx, due, tried)
		SELECT webhook, seq, idx, due, false FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[]) n (webhook, seq, idx, due)`

	sqlInsertRejected = `WITH kept AS (
			INSERT INTO agent.rejected (seq, key, source, record)
			SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bytea[]) ON CONFLICT (key) DO NOTHING RETURNING octet_length(record) AS size)
		INSERT INTO agent.delta (webhook, status, type, n)
		SELECT '', 'rejected', '', count(*) FROM kept
		UNION ALL SELECT '', status, '', coalesce(sum(size + $5::bigint), 0) FROM kept, unnest('{bytes,rejected_bytes}'::text[]) status GROUP BY status`

	sqlMoveCursor = `INSERT INTO agent.source (name, gen, cursor, token) VALUES ($1, $2, $3, $4)`

	sqlDropCursor = `DELETE FROM agent.source WHERE name = $1 AND gen = $2`

	sqlDelta = `INSERT INTO agent.delta (webhook, status, type, n) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])`

	sqlConfirm = `INSERT INTO agent.memo (name, value) VALUES ('confirmed', '') ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// Claiming (due.go).
const (
	// A webhook's due deliveries from a place on; next to it the time.
	sqlDueFrom = `SELECT clock_timestamp(), due, seq, idx, tried FROM agent.due
		WHERE webhook = $1 AND (due, seq, idx) >= ($2, $3, $4) ORDER BY due, seq, idx LIMIT $5`

	// The first one of a webhook from a place on, none where something is being replayed, or was since that place was
	// found ($3; NULL without one).
	sqlHead = `SELECT clock_timestamp(), r.replayed, d.due, d.seq, d.idx, d.tried
		FROM (SELECT EXISTS (SELECT FROM agent.replay WHERE webhook IN ($1, '') AND until > least(statement_timestamp(), $3::timestamptz)) AS replayed) r
		LEFT JOIN LATERAL (SELECT due, seq, idx, tried FROM agent.due WHERE NOT r.replayed AND webhook = $1 AND seq >= $2 ORDER BY seq, idx LIMIT 1) d ON true`

	sqlOldestDue = `SELECT clock_timestamp(), due FROM agent.due WHERE webhook = $1 ORDER BY due LIMIT 1`

	// What is due of the webhooks that are served here. A clock_timestamp() would be asked for each row that waits.
	sqlAnyDue = `SELECT w FROM unnest($1::text[], $2::timestamptz[]) n (w, since)
		WHERE EXISTS (SELECT FROM agent.due d WHERE d.webhook = w AND d.due >= since AND d.due <= statement_timestamp())`

	sqlEvents = `SELECT seq, meta, crc, webhooks, queued_at, octet_length(body), CASE WHEN octet_length(body) < $2 THEN body END
		FROM agent.event WHERE seq = ANY($1::bigint[])`

	sqlDeliveries = `SELECT seq, idx, rev, record FROM agent.delivery
		WHERE (seq, idx) IN (SELECT * FROM unnest($1::bigint[], $2::integer[]))`
)

// Changing (change.go).
const (
	sqlNow = `SELECT clock_timestamp()`

	sqlLoad = `SELECT n.seq, n.idx, d.rev, d.record, d.webhook, d.status, e.id, coalesce(d.type, e.type), e.webhooks, e.queued_at
		FROM unnest($1::bigint[], $2::integer[]) n (seq, idx)
		LEFT JOIN agent.delivery d ON d.seq = n.seq AND d.idx = n.idx
		LEFT JOIN agent.event e ON e.seq = n.seq AND d.seq IS NULL
		WHERE d.seq IS NOT NULL OR e.seq IS NOT NULL`

	sqlServed = `SELECT name, owner, epoch FROM agent.webhook WHERE name = ANY($1::text[]) ORDER BY name FOR SHARE`

	// What is gone meanwhile is not made again: it has no event.
	sqlUpdateDeliveries = `UPDATE agent.delivery d SET webhook = n.webhook, type = n.type, status = n.status,
			completed = n.completed, rev = n.rev, record = n.record
		FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::integer[], $8::bytea[])
			n (seq, idx, webhook, type, status, completed, rev, record)
		WHERE d.seq = n.seq AND d.idx = n.idx AND d.rev = n.rev - 1`

	sqlInsertDeliveries = `INSERT INTO agent.delivery (seq, idx, webhook, type, status, completed, rev, record)
		SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::integer[], $8::bytea[])`

	sqlNotDue = `DELETE FROM agent.due d USING unnest($1::text[], $2::bigint[], $3::integer[]) n (webhook, seq, idx)
		WHERE d.webhook = n.webhook AND d.seq = n.seq AND d.idx = n.idx`

	// What is left of a delivery whose event is gone.
	sqlDropDue = `DELETE FROM agent.due d USING unnest($1::text[]) w, unnest($2::bigint[], $3::integer[]) n (seq, idx)
		WHERE d.webhook = w AND d.seq = n.seq AND d.idx = n.idx`

	sqlDue = `INSERT INTO agent.due (webhook, seq, idx, due, tried)
		SELECT webhook, seq, idx, due, true FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[]) n (webhook, seq, idx, due)
		ON CONFLICT (webhook, seq, idx) DO UPDATE SET due = excluded.due, tried = true`

	sqlTally = `INSERT INTO agent.tally (webhook, at, bucket) SELECT webhook, $2, bucket FROM unnest($1::text[], $3::bytea[]) n (webhook, bucket)`

	sqlReplaying = `INSERT INTO agent.replay (id, webhook, until) SELECT $1::text || ' ' || w, w, clock_timestamp() + interval '30 s' FROM unnest($2::text[]) w
		ON CONFLICT (id) DO UPDATE SET until = excluded.until`

	// It stays for longer than any agent's place may be older than it.
	sqlReplayed      = `UPDATE agent.replay SET until = clock_timestamp() WHERE id IN (SELECT $1::text || ' ' || w FROM unnest($2::text[]) w)`
	sqlForgetReplays = `DELETE FROM agent.replay WHERE until < clock_timestamp() - interval '10 min'`
)

// What people look at (list.go, find.go, counts.go).
const (
	sqlEvent     = `SELECT seq, meta, crc, body FROM agent.event WHERE seq = $1`
	sqlEventByID = `SELECT e.seq, e.meta, e.crc, e.body FROM agent.dedup d JOIN agent.event e ON e.seq = d.seq WHERE d.id = $1`
	sqlEventSize = `SELECT e.seq, cardinality(e.webhooks) FROM agent.dedup d JOIN agent.event e ON e.seq = d.seq WHERE d.id = $1`
	sqlRecent    = `SELECT seq, meta FROM agent.event ORDER BY seq DESC LIMIT $1`

	// The newest deliveries of each webhook ($1) in each status ($2), below a place, from a seq on, of a type; those
	// that were never tried are in due alone. And those of other kinds ($8), or never tried for other webhooks ($9),
	// found by the events of the type.
	sqlNewest = `SELECT seq, idx FROM (
			SELECT x.seq, x.idx FROM unnest($1::text[], $2::text[]) c (webhook, status), LATERAL (
				SELECT d.seq, d.idx FROM agent.delivery d
				WHERE d.webhook = c.webhook AND d.status = c.status AND (d.seq, d.idx) < ($3, $4) AND d.seq >= $5 AND ($6 = '' OR d.type = $6)
				ORDER BY d.seq DESC, d.idx DESC LIMIT $7) x
			UNION ALL
			SELECT x.seq, x.idx FROM unnest($1::text[], $2::text[]) c (webhook, status), LATERAL (
				SELECT d.seq, d.idx FROM agent.due d
				WHERE c.status = 'pending' AND d.webhook = c.webhook AND NOT d.tried AND (d.seq, d.idx) < ($3, $4) AND d.seq >= $5
					AND ($6 = '' OR (SELECT e.type FROM agent.event e WHERE e.seq = d.seq) = $6)
				ORDER BY d.seq DESC, d.idx DESC LIMIT $7) x
			UNION ALL
			(SELECT x.seq, x.idx FROM agent.event e, LATERAL (
				SELECT d.seq, d.idx FROM agent.delivery d
				WHERE d.seq = e.seq AND (d.seq, d.idx) < ($3, $4) AND d.webhook || E'\x1f' || d.status = ANY($8::text[])
				UNION ALL
				SELECT d.seq, d.idx FROM agent.due d
				WHERE d.webhook = ANY($9::text[]) AND d.seq = e.seq AND (d.seq, d.idx) < ($3, $4) AND NOT d.tried OFFSET 0) x
			WHERE cardinality($8) > 0 AND e.type = $6 AND e.seq <= $3 AND e.seq >= $5 ORDER BY e.seq DESC, x.idx DESC LIMIT $7)
		) n ORDER BY seq DESC, idx DESC LIMIT $7`

	sqlCountSome = `SELECT (SELECT count(*) FROM agent.delivery d, unnest($1::text[], $2::text[]) c (webhook, status)
			WHERE d.webhook = c.webhook AND d.status = c.status AND (d.seq, d.idx) < ($3, $4) AND d.seq >= $5 AND ($6 = '' OR d.type = $6))
		+ (SELECT count(*) FROM agent.due d, unnest($1::text[], $2::text[]) c (webhook, status)
			WHERE c.status = 'pending' AND d.webhook = c.webhook AND NOT d.tried AND (d.seq, d.idx) < ($3, $4) AND d.seq >= $5
				AND ($6 = '' OR (SELECT e.type FROM agent.event e WHERE e.seq = d.seq) = $6))
		+ (SELECT coalesce(sum(x.tried + x.untried), 0)::bigint FROM agent.event e, LATERAL (SELECT
				(SELECT count(*) FROM agent.delivery d
					WHERE d.seq = e.seq AND (d.seq, d.idx) < ($3, $4) AND d.webhook || E'\x1f' || d.status = ANY($7::text[])) AS tried,
				(SELECT count(*) FROM agent.due d
					WHERE d.webhook = ANY($8::text[]) AND d.seq = e.seq AND (d.seq, d.idx) < ($3, $4) AND NOT d.tried) AS untried) x
			WHERE cardinality($7) > 0 AND e.type = $6 AND e.seq <= $3 AND e.seq >= $5)`

	sqlCounts = `SELECT webhook, status, type, sum(n)::bigint FROM agent.delta GROUP BY 1, 2, 3 HAVING sum(n) <> 0`

	sqlTotals = `SELECT coalesce(sum(n) FILTER (WHERE status = 'bytes'), 0)::bigint, coalesce(sum(n) FILTER (WHERE status = 'rejected'), 0)::bigint,
		current_setting('server_version'), current_setting('synchronous_standby_names')
		FROM agent.delta WHERE webhook = ''`

	sqlFindEvents   = `SELECT d.id FROM agent.dedup d JOIN agent.event e ON e.seq = d.seq WHERE d.id >= $1 AND d.id < $2 ORDER BY d.id LIMIT $3`
	sqlFindRejected = `SELECT seq FROM agent.rejected WHERE seq BETWEEN $1 AND $2 ORDER BY seq DESC LIMIT $3`
	sqlFindSeqs     = `SELECT seq, cardinality(webhooks) FROM agent.event WHERE seq BETWEEN $1 AND $2 ORDER BY seq DESC LIMIT $3`
	// The index alone tells the seqs: no event is read for its own.
	sqlFindShort = `WITH found AS MATERIALIZED (SELECT seq FROM agent.event WHERE (seq & $1) = $2)
		SELECT e.seq, cardinality(e.webhooks) FROM found JOIN agent.event e ON e.seq = found.seq
		WHERE cardinality(e.webhooks) > $3 ORDER BY e.seq DESC LIMIT $4`

	sqlRejected = `SELECT seq, record FROM agent.rejected WHERE seq < $1 AND seq >= $2 AND ($3 = '' OR source = $3) ORDER BY seq DESC LIMIT $4`

	sqlDropRejected = `WITH gone AS (DELETE FROM agent.rejected WHERE seq = ANY($1::bigint[]) RETURNING octet_length(record) AS size)
		INSERT INTO agent.delta (webhook, status, type, n)
		SELECT '', 'rejected', '', -count(*) FROM gone
		UNION ALL SELECT '', status, '', -coalesce(sum(size + $2::bigint), 0) FROM gone, unnest('{bytes,rejected_bytes}'::text[]) status GROUP BY status`

	sqlTallies = `SELECT bucket, at FROM agent.tally WHERE webhook = $1 ORDER BY n`
	sqlHistory = `SELECT number, bucket FROM agent.history WHERE webhook = $1 AND span = $2`

	sqlLogLock   = `SELECT pg_advisory_xact_lock($1)`
	sqlLogLast   = `SELECT coalesce(max(n), 0) FROM agent.log`
	sqlLogSet    = `INSERT INTO agent.log (n, record) VALUES ($1, $2) ON CONFLICT (n) DO UPDATE SET record = excluded.record`
	sqlLogTrim   = `DELETE FROM agent.log WHERE n <= $1`
	sqlLogNewest = `SELECT record FROM agent.log WHERE n < $1 ORDER BY n DESC LIMIT $2`
)

// What is kept about webhooks and agents (state.go, own.go, agents.go).
const (
	sqlWebhook  = `SELECT state, pause FROM agent.webhook WHERE name = $1`
	sqlSetState = `UPDATE agent.webhook SET state = $2 WHERE name = $1 AND owner = $3 AND epoch = $4`
	// Somebody who serves nothing may set it while nobody serves the webhook.
	sqlSetFreeState = `INSERT INTO agent.webhook AS w (name, state) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET state = excluded.state WHERE w.until < clock_timestamp()`
	sqlSetPause = `INSERT INTO agent.webhook (name, pause) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET pause = excluded.pause`
	sqlMemo     = `SELECT value FROM agent.memo WHERE name = $1`
	sqlSetMemo  = `INSERT INTO agent.memo (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	sqlDropMemo = `DELETE FROM agent.memo WHERE name = $1`

	sqlNotify = `SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload`

	// The agent's sign of life, unless another process has its name ($5: this one takes it).
	sqlSeen = `INSERT INTO agent.member AS m (name, process, seen, version, status) VALUES ($1, $2, clock_timestamp(), $3, $4)
		ON CONFLICT (name) DO UPDATE SET process = excluded.process, seen = excluded.seen, version = excluded.version, status = excluded.status
		WHERE m.process = excluded.process OR $5 RETURNING name`
	sqlName   = `INSERT INTO agent.webhook (name, until) SELECT name, clock_timestamp() - interval '1 ms' FROM unnest($1::text[]) name ON CONFLICT (name) DO NOTHING`
	sqlExtend = `WITH mine AS (
			SELECT w.name, n.ends FROM agent.webhook w JOIN unnest($1::text[], $2::bigint[], $3::interval[]) n (name, epoch, ends) ON n.name = w.name
			WHERE w.owner = $4 AND w.epoch = n.epoch ORDER BY w.name FOR UPDATE OF w)
		UPDATE agent.webhook w SET until = clock_timestamp() + mine.ends
		FROM mine WHERE w.name = mine.name RETURNING w.name, w.pause`
	sqlLive = `SELECT m.name, m.status, coalesce(w.serves, 0) FROM agent.member m
		LEFT JOIN (SELECT owner, count(*) AS serves FROM agent.webhook WHERE until > clock_timestamp() AND name <> '' GROUP BY owner) w ON w.owner = m.name
		WHERE m.process <> '' AND m.seen > clock_timestamp() - $1::interval ORDER BY m.name`
	// What has been free for a time ($5), or was this agent's before it was started again; first what was.
	sqlTake = `WITH free AS (
			SELECT w.name, n.ends FROM agent.webhook w JOIN unnest($1::text[], $2::interval[]) n (name, ends) ON n.name = w.name
			WHERE (w.until < clock_timestamp() - $5::interval OR w.owner = $3) AND w.name <> ALL (coalesce($4::text[], '{}'))
			ORDER BY w.owner <> $3, md5(w.name || $3) LIMIT $6 FOR UPDATE OF w SKIP LOCKED)
		UPDATE agent.webhook w SET owner = $3, epoch = w.epoch + 1, until = clock_timestamp() + free.ends
		FROM free WHERE w.name = free.name RETURNING w.name, w.epoch, w.state, w.pause`
	sqlLetGo = `UPDATE agent.webhook SET owner = '', until = clock_timestamp() - interval '1 ms' WHERE name = $1 AND owner = $2 AND epoch = $3`
	sqlLeft  = `UPDATE agent.member SET process = '', seen = clock_timestamp() WHERE name = $1 AND process = $2`
	// The lease of the upkeep is that of the webhook "", which none is called. No beat waits for another's.
	sqlKeep = `WITH free AS (
			SELECT name FROM agent.webhook WHERE name = '' AND (until < clock_timestamp() OR owner = $1) FOR UPDATE SKIP LOCKED)
		UPDATE agent.webhook w SET owner = $1, epoch = w.epoch + 1, until = clock_timestamp() + $2::interval
		FROM free WHERE w.name = free.name RETURNING w.name`
	sqlMoved = `SELECT n.name FROM unnest($1::text[], $2::bigint[]) n (name, gen)
		WHERE n.gen > coalesce((SELECT max(s.gen) FROM agent.source s WHERE s.name = n.name), 0)`
	sqlAgents = `SELECT m.name, m.version, m.seen, clock_timestamp(), m.process <> '' AND m.seen > clock_timestamp() - $1::interval, m.process = '', m.status,
			ARRAY(SELECT w.name FROM agent.webhook w WHERE w.owner = m.name AND w.until > clock_timestamp() AND w.name <> '' ORDER BY 1)
		FROM agent.member m ORDER BY m.name`
	sqlForgetAgent   = `DELETE FROM agent.member WHERE name = $1 AND (process = '' OR seen < clock_timestamp() - $2::interval)`
	sqlForgetStopped = `DELETE FROM agent.member WHERE process = '' AND seen < clock_timestamp() - $1::interval`
)

// Upkeep (upkeep.go).
const (
	sqlFoldCounts = `WITH gone AS (DELETE FROM agent.delta RETURNING webhook, status, type, n)
		INSERT INTO agent.delta (webhook, status, type, n) SELECT webhook, status, type, sum(n) FROM gone GROUP BY 1, 2, 3 HAVING sum(n) <> 0`

	sqlTakeTallies = `WITH gone AS (DELETE FROM agent.tally RETURNING n, webhook, at, bucket) SELECT webhook, at, bucket FROM gone ORDER BY n`

	sqlSetBucket = `INSERT INTO agent.history (webhook, span, place, number, bucket) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (webhook, span, place) DO UPDATE SET number = excluded.number, bucket = excluded.bucket`

	// Looking for some is given up before the agent gives up the connection.
	sqlLookShort = `SET LOCAL statement_timeout = '5s'`

	// Events with what they take and whether they are finished: each has a finished delivery for each of its webhooks.
	sqlOld = `SELECT e.seq, octet_length(e.body) + octet_length(e.meta) + d.bytes, cardinality(e.webhooks), d.finished = cardinality(e.webhooks)
		FROM agent.event e, LATERAL (SELECT count(*) AS finished, coalesce(sum(octet_length(record)), 0)::bigint AS bytes
			FROM agent.delivery d WHERE d.seq = e.seq AND d.completed < $3) d
		WHERE e.seq >= $1 AND e.seq < $2 AND e.queued_at < $3 ORDER BY e.seq LIMIT $4`

	sqlLockDeliveries = `SELECT FROM agent.delivery WHERE seq = ANY($1::bigint[]) ORDER BY seq, idx FOR UPDATE`

	sqlForget = `WITH gone AS (
			DELETE FROM agent.event e WHERE e.seq = ANY($1::bigint[])
				AND (SELECT count(*) FROM agent.delivery d WHERE d.seq = e.seq AND d.completed < $2) = cardinality(e.webhooks)
			RETURNING e.seq, e.id, octet_length(e.body) + octet_length(e.meta) + $3::bigint AS size),
		deliveries AS (DELETE FROM agent.delivery d USING gone WHERE d.seq = gone.seq RETURNING d.webhook, d.status, d.type, octet_length(d.record) + $4::bigint AS size),
		ids AS (INSERT INTO agent.expiry (seq, id) SELECT seq, id FROM gone),
		counts AS (INSERT INTO agent.delta (webhook, status, type, n)
			SELECT webhook, status, type, -count(*) FROM deliveries GROUP BY 1, 2, 3
			UNION ALL SELECT '', 'bytes', '', -(SELECT coalesce(sum(size), 0) FROM gone) - (SELECT coalesce(sum(size), 0) FROM deliveries))
		SELECT count(*) FROM gone`

	sqlOldRejected = `SELECT seq FROM agent.rejected WHERE seq < $1 ORDER BY seq LIMIT $2`

	// The oldest rejected records, of which some must go until the others take no more than so much; at most so many.
	sqlRejectedBeyond = `SELECT seq FROM (
			SELECT seq, sum(size) OVER (ORDER BY seq) - size AS gone
			FROM (SELECT seq, octet_length(record) + $2::bigint AS size FROM agent.rejected ORDER BY seq LIMIT $3) oldest) r
		WHERE gone < (SELECT coalesce(sum(n), 0) - $1 FROM agent.delta WHERE webhook = '' AND status = 'rejected_bytes') ORDER BY seq`

	sqlExpire = `WITH old AS (
			DELETE FROM agent.expiry WHERE seq IN (SELECT seq FROM agent.expiry WHERE seq < $1 ORDER BY seq LIMIT $2) RETURNING seq, id),
		ids AS (DELETE FROM agent.dedup d USING old WHERE d.id = old.id AND d.seq = old.seq)
		SELECT count(*) FROM old`

	sqlForgetHistory = `DELETE FROM agent.history h WHERE webhook <> ALL (coalesce($1::text[], '{}'))
		AND NOT EXISTS (SELECT FROM agent.delta d WHERE d.webhook = h.webhook GROUP BY d.status, d.type HAVING sum(d.n) <> 0)`

	sqlLatestDue = `SELECT due, seq, idx FROM agent.due WHERE webhook = $1 AND due >= $2 AND (due, seq, idx) < ($3, $4, $5)
		ORDER BY due DESC, seq DESC, idx DESC LIMIT $6`
)

// constraintOf is the constraint that an error is about, "" for none.
func constraintOf(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.ConstraintName
	}
	return ""
}

// expect has a statement be done again with all of its transaction unless it changes n rows.
func expect(n int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return errAgain
		}
		return nil
	}
}

// confirm has a transaction write something, so that its commit waits for the standbys: with
// it they have what was committed before.
func confirm(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, sqlConfirm)
	return err
}

// delta is by how much a transaction changes the counts. The rows of the webhook "" are of all:
// how many rejected records there are, and how many bytes what is kept takes.
type delta map[counted]int64

type counted struct {
	webhook string
	status  queue.Status
	typ     string
}

const statusBytes, statusRejected queue.Status = "bytes", "rejected"

func (d delta) add(webhook string, status queue.Status, typ string, n int64) {
	d[counted{webhook, status, typ}] += n
}

func (d delta) bytes(n int) { d.add("", statusBytes, "", int64(n)) }

func (d delta) queue(batch *pgx.Batch) {
	var webhooks, statuses, types []string
	var ns []int64
	for c, n := range d {
		if n != 0 {
			webhooks, statuses, types, ns = append(webhooks, c.webhook), append(statuses, string(c.status)), append(types, c.typ), append(ns, n)
		}
	}
	if len(ns) > 0 {
		batch.Queue(sqlDelta, webhooks, statuses, types, ns)
	}
}
