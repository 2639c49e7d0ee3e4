package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// How often an agent looks what is due of its webhooks, though nobody said so, and how long that may take; and how often
// whether the requests of those that it lets go have ended.
const (
	pollEvery    = time.Second
	lookTimeout  = 2 * time.Second
	leavingEvery = 50 * time.Millisecond
)

// beatLimit is how long one thing with the beat's connection may take.
func (q *Queue) beatLimit() time.Duration { return max(q.opts.Lease/3, time.Second) }

// connect makes the beat's connection, which listens too where it is the server's own.
func (o *owner) connect(ctx context.Context) error {
	if o.conn != nil && !o.conn.IsClosed() {
		return nil
	}
	o.disconnect()
	s, err := o.q.dial(ctx, min(connectTimeout, o.q.beatLimit()))
	if err != nil {
		return err
	}
	if o.conn = s; !s.direct {
		return nil
	}
	ctx, done := o.q.within(ctx, o.q.beatLimit())
	defer done()
	if _, err = s.Exec(ctx, "LISTEN "+channel); err != nil {
		o.disconnect()
	}
	return err
}

func (o *owner) disconnect() {
	if o.conn == nil {
		return
	}
	o.conn.close()
	o.conn, o.named = nil, "" // a failover may have lost the rows
}

// wait passes on notices, and looks what is due, until the next beat: after a time, or once
// the configuration or a pause has changed.
func (o *owner) wait(ctx context.Context, limit time.Duration) {
	end := time.Now().Add(limit)
	if soonest := o.q.held.ends(); !soonest.IsZero() && soonest.Before(end) {
		end = soonest
	}
	poll := time.Now().Add(pollEvery)
	for ctx.Err() == nil && o.q.ctx.Err() == nil && !o.beatNow && time.Now().Before(end) {
		next := end
		if poll.Before(next) {
			next = poll
		}
		if soon := time.Now().Add(leavingEvery); len(o.leaving) > 0 && soon.Before(next) {
			next = soon
		}
		o.listen(ctx, next)
		if len(o.leaving) > 0 && o.conn != nil {
			o.letGo(ctx)
		}
		if !time.Now().Before(poll) {
			o.look(ctx)
			poll = time.Now().Add(pollEvery)
		}
	}
	o.q.held.expire()
}

// listen waits for a notice, a change of the configuration or the time.
func (o *owner) listen(ctx context.Context, until time.Time) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	defer context.AfterFunc(o.q.ctx, cancel)()
	changed := make(chan bool, 1)
	go func() {
		select {
		case <-o.s.Changed:
			cancel()
			changed <- true
		case <-ctx.Done():
			changed <- false
		}
	}()
	for o.conn != nil && o.conn.direct && ctx.Err() == nil && !o.beatNow {
		n, err := o.conn.WaitForNotification(ctx)
		if err != nil {
			if ctx.Err() == nil {
				o.disconnect()
			}
			break
		}
		o.notified(n.Payload)
	}
	if !o.beatNow {
		<-ctx.Done()
	}
	cancel()
	o.beatNow = <-changed || o.beatNow
}

// notified takes in what another agent says.
func (o *owner) notified(payload string) {
	var n notice
	if json.Unmarshal([]byte(payload), &n) != nil || n.From == o.q.process {
		return
	}
	webhooks := n.Webhooks
	if webhooks == nil {
		webhooks = o.q.held.names()
	}
	if n.Earlier {
		for _, webhook := range webhooks {
			o.q.places.forget(text(webhook))
		}
	}
	o.q.opts.Notify(webhooks)
	o.beatNow = o.beatNow || n.Pauses
}

// look says what is due of the webhooks that this agent serves.
func (o *owner) look(ctx context.Context) {
	names := o.q.held.names()
	if len(names) == 0 || o.conn == nil {
		return
	}
	ctx, done := o.q.within(ctx, min(lookTimeout, o.q.beatLimit())) // the next beat waits for it
	defer done()
	since, whole := make([]pgtype.Timestamptz, len(names)), map[string]int{}
	for i, name := range names {
		from, token := o.q.places.due(name)
		if since[i] = from.key(); from.due.IsZero() {
			whole[name] = token
		}
	}
	began := time.Now()
	rows, err := o.conn.Query(ctx, sqlAnyDue, names, since)
	if err == nil {
		var due []string
		if due, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil && len(due) > 0 {
			o.q.opts.Notify(due)
		}
		for name, token := range whole {
			if err == nil && !slices.Contains(due, name) {
				o.q.places.sawNone(name, token, time.Since(began))
			}
		}
	}
	if err != nil && sqlState(err) == "" {
		o.disconnect() // the beat makes another, and says what is wrong
	}
}
