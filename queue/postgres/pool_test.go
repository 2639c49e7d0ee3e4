package postgres

import (
	"testing"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// A migration takes as long as it takes: one that is given up would be at the next start too.
func TestOpen_AMigrationHasNoTimeLimit(t *testing.T) {
	url := pgtest.Server(t)
	open(t, Options{URL: url})
	migrations = append(migrations, `DO $$ BEGIN ASSERT current_setting('statement_timeout') = '0' AND current_setting('lock_timeout') = '0'; END $$`)
	defer func() { migrations = migrations[:len(migrations)-1] }()
	open(t, Options{URL: url})
}

// The server may end the beat's connection, and then be another that has lost the webhooks' rows.
func TestBeat_NamesItsWebhooksAgainInANewConnection(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "agent-0", Options{})
	o := &owner{q: q, leaving: map[string]leaving{}, s: queue.Server{
		Webhooks: func() []queue.Served { return []queue.Served{{Webhook: "a"}} },
		Status:   func() queue.AgentStatus { return queue.AgentStatus{} },
	}}
	defer o.disconnect()
	if err := o.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := o.conn.PgConn().PID()
	execute(t, url, "DELETE FROM agent.webhook")
	if terminate(t, url, pid); o.beat(t.Context()) == nil {
		t.Fatal("its connection was not ended")
	}
	if err := o.beat(t.Context()); err != nil || !q.held.has("a") {
		t.Errorf("it serves %v, %v", q.held.names(), err)
	}
}

// A newer agent may have added columns to tables of which an older one has statements prepared.
func TestPool_TablesMayGrow(t *testing.T) {
	url := pgtest.Server(t)
	q := agent(t, url, "agent-0", Options{})
	a := serve(t, q, "w")
	a.await(t, "w")
	gen := int64(0)
	for i := range 9 { // PostgreSQL may keep a plan from the sixth time on
		gen = commit(t, q, queue.Batch{Source: "log", Gen: gen, Cursor: []byte("1"), Events: []queue.NewEvent{event(2*i, "w"), event(2*i+1, "w")}}).Gen
		for _, status := range []queue.Status{queue.Retrying, queue.Success} {
			for _, d := range due(t, q, "w") {
				o := outcome(d, a.epoch("w"), status, d.Attempts+1)
				if status == queue.Retrying && d.Attempts == 0 {
					o.Due = d.NextAttemptAt
				}
				if err := q.Record(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
		}
		if i == 6 {
			for _, table := range []string{"due", "delivery", "event", "dedup", "tally", "delta", "webhook", "source", "member"} {
				execute(t, url, "ALTER TABLE agent."+table+" ADD later text DEFAULT 'x'")
			}
		}
	}
	if n := q.Counts()["w"][queue.Success]; n != 18 {
		t.Errorf("%d delivered", n)
	}
}

// A server that was started again has ended all sessions. Not each of them fails somebody.
func TestPool_WhereOneSessionIsLostTheOthersAreTried(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url})
	var all []*session
	for range maxConns {
		s, err := q.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		terminate(t, url, s.PgConn().PID())
		q.release(s)
	}
	_, _ = q.List(t.Context(), queue.Filter{}) // it may meet the first
	if _, err := q.List(t.Context(), queue.Filter{}); err != nil {
		t.Error(err)
	}
}
