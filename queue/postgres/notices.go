package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// channel is the NOTIFY channel of the database's agents.
const channel = "intellidocs_agent"

// notice is what agents tell each other. One that is lost costs a poll.
type notice struct {
	From     string   // the process
	Webhooks []string // nil: all
	Earlier  bool     // what is due now may be before what was
	Pauses   bool     // one was paused or resumed
}

// notices are those that are not sent yet. They are sent after what they are about was committed:
// within its transaction a NOTIFY would hold a lock of the whole cluster while that waits for the standbys.
type notices struct {
	mu              sync.Mutex
	due             map[string]bool
	earlier, pauses map[string]bool
	changed         chan struct{}
}

// notify says that something new is due of webhooks: here at once, and to the others.
func (q *Queue) notify(webhooks []string) {
	if len(webhooks) == 0 {
		return
	}
	q.opts.Notify(webhooks)
	q.notices.add(slices.DeleteFunc(slices.Clone(webhooks), q.held.has), notice{})
}

// tell says something about webhooks, here and to the others.
func (q *Queue) tell(n notice) {
	if n.Earlier {
		for _, webhook := range n.Webhooks {
			q.places.forget(text(webhook))
		}
	}
	q.opts.Notify(n.Webhooks)
	q.notices.add(n.Webhooks, n)
}

func (n *notices) add(webhooks []string, what notice) {
	if len(webhooks) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	to := &n.due
	switch {
	case what.Earlier:
		to = &n.earlier
	case what.Pauses:
		to = &n.pauses
	}
	if *to == nil {
		*to = map[string]bool{}
	}
	for _, webhook := range webhooks {
		(*to)[webhook] = true
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// take returns what is to be sent, as few as hold it.
func (n *notices) take(from string) (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, part := range []struct {
		of   map[string]bool
		what notice
	}{{n.due, notice{}}, {n.earlier, notice{Earlier: true}}, {n.pauses, notice{Pauses: true}}} {
		for webhooks := range slices.Chunk(slices.Sorted(maps.Keys(part.of)), 20) {
			what := part.what
			what.From, what.Webhooks = from, webhooks
			payload, err := json.Marshal(what)
			if err != nil || len(payload) > maxPayload {
				what.Webhooks = nil
				payload, _ = json.Marshal(what) // plain fields: cannot fail
			}
			out = append(out, string(payload))
		}
	}
	n.due, n.earlier, n.pauses = nil, nil, nil
	return out
}

// maxPayload is PostgreSQL's limit, about.
const maxPayload = 7900

// noticeSQL begins a transaction that waits for nobody's disk.
const noticeSQL = `BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = '5s'`

// sendNotices sends until ctx ends; what it cannot send is polled for.
func (q *Queue) sendNotices(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.notices.changed:
		}
		payloads := q.notices.take(q.process)
		if len(payloads) == 0 {
			continue
		}
		err := q.lent("tell the others", func(ctx context.Context, s *session) error {
			return transact(ctx, s.Conn, noticeSQL, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, sqlNotify, channel, payloads)
				return err
			})
		})
		if err != nil {
			q.log.Debug("cannot tell the other agents what is due; they will look", "error", err)
		}
	}
}
