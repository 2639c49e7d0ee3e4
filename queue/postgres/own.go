package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// ErrNameTaken is Own's error where another process has this agent's name.
var ErrNameTaken = errors.New("another agent has this agent's name")

// owner takes part in the sharing of the webhooks. At each beat, every third of a lease, it
// extends what this agent serves and takes what nobody serves any more, up to its share.
//
// In the database a lease ends one lease and the webhook's timeout after the beat. This agent
// begins no request once a lease is over, reckoned from before it sent the beat. So of an agent that
// is cut off nothing is under way when its successor begins; only a process that stood still
// can overlap with it.
type owner struct {
	q       *Queue
	s       queue.Server
	conn    *session // the beat's own; nil: to be made. It listens where it is direct
	begun   bool     // this process has had a beat
	named   string   // the webhooks that have a row
	leaving map[string]leaving
	live    int
	failing string // the beat's last error
	beatNow bool
}

// leaving is a webhook that this agent lets go once its requests have ended.
type leaving struct {
	service
	by time.Time // when its lease has run out by itself
}

// Own has this agent serve its share of the webhooks, until ctx ends, and tells it which. The
// others' are served when their agents are silent for longer than their lease. At the end it lets all
// go, as soon as their requests have ended.
//
// Its error is an ErrNameTaken.
func (q *Queue) Own(ctx context.Context, s queue.Server) error {
	o := &owner{q: q, s: s, leaving: map[string]leaving{}}
	defer o.disconnect()
	for ctx.Err() == nil && q.ctx.Err() == nil {
		wait := q.opts.Lease / 3
		err := o.beat(ctx)
		if errors.Is(err, ErrNameTaken) {
			q.held.set(nil)
			o.hold()
			return err
		}
		if err != nil {
			wait = min(time.Second, q.opts.Lease/10)
		}
		o.report(ctx, err)
		o.hold()
		o.wait(ctx, wait)
	}
	o.end()
	return nil
}

// report logs what is new about the beat.
func (o *owner) report(ctx context.Context, err error) {
	switch {
	case err == nil && o.failing != "":
		o.q.log.Info("the queue's database answers again")
		o.failing = ""
	case err != nil && ctx.Err() == nil && err.Error() != o.failing:
		o.failing = err.Error()
		o.q.log.Warn("cannot extend what this agent serves; trying until it succeeds", "error", err)
	}
	up := 1.0
	if err != nil {
		up = 0
	}
	o.q.metrics.up.Set(up)
	o.q.metrics.agents.Set(float64(o.live))
}

// hold tells the agent what it serves.
func (o *owner) hold() {
	var all []queue.Holding
	for name, h := range o.q.held.current() {
		all = append(all, queue.Holding{Webhook: name, Epoch: h.epoch, Until: h.until, State: h.state, Pause: h.pause})
	}
	slices.SortFunc(all, func(a, b queue.Holding) int { return cmp.Compare(a.Webhook, b.Webhook) })
	o.s.Hold(all)
}

// beat is one, with a limit of a third of a lease once it is connected.
func (o *owner) beat(ctx context.Context) error {
	connecting, done := o.q.within(ctx, writeTimeout)
	defer done()
	if err := o.connect(connecting); err != nil {
		return o.q.clean("connect", err)
	}
	ctx, done = o.q.within(ctx, o.q.beatLimit())
	defer done()
	b := &beat{o: o, sent: time.Now(), timeouts: map[string]time.Duration{}, held: o.q.held.current(), leaving: map[string]leaving{}}
	for _, w := range o.s.Webhooks() {
		b.timeouts[text(w.Webhook)] = w.Timeout
	}
	err := transact(ctx, o.conn.Conn, o.q.beginSQL(o.conn), b.transaction)
	if err != nil {
		if !errors.Is(err, ErrNameTaken) && sqlState(err) == "" {
			o.disconnect()
		}
		return o.q.clean("extend what is served", err)
	}
	o.begun, o.named, o.live, o.beatNow = true, b.named, len(b.members), false
	maps.Copy(o.leaving, b.leaving)
	for name := range o.q.held.current() {
		if _, kept := b.held[name]; !kept && o.leaving[name].epoch == 0 {
			o.q.metrics.lost.Inc()
			o.q.log.Warn("another agent serves the webhook now", "webhook", name)
		}
	}
	o.q.held.set(b.held)
	if b.keeper {
		o.q.keeper.Store(b.sent.Add(o.q.opts.Lease).UnixNano())
	}
	for _, source := range b.moved {
		o.q.log.Warn("the database has lost what was committed last; the source is read again from where it stands there", "source", source)
		o.q.opts.Moved(source)
	}
	return nil
}

// beat is one beat on its way.
type beat struct {
	o        *owner
	sent     time.Time
	timeouts map[string]time.Duration // of the configured webhooks
	held     map[string]holding
	leaving  map[string]leaving // from now on
	named    string
	members  []member // those that are alive
	keeper   bool
	moved    []string
}

func (b *beat) transaction(ctx context.Context, tx pgx.Tx) error {
	q := b.o.q
	names := slices.Sorted(maps.Keys(b.timeouts))
	status, err := json.Marshal(memberStatus{b.o.s.Status(), append([]string{}, names...)})
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlSeen, q.opts.Agent, q.process, q.opts.Version, status, !b.o.begun).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(new(string)); errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w, %s: give each agent a name of its own", ErrNameTaken, q.opts.Agent)
		} else if err != nil {
			return err
		}
		return nil
	})
	if b.named = fmt.Sprint(names); b.named != b.o.named {
		batch.Queue(sqlName, append([]string{""}, names...))
	}
	b.queueExtend(batch)
	batch.Queue(sqlLive, q.opts.Lease).Query(func(rows pgx.Rows) (err error) {
		b.members, err = readMembers(rows, names)
		return err
	})
	batch.Queue(sqlKeep, q.opts.Agent, q.opts.Lease).Query(func(rows pgx.Rows) error {
		b.keeper = rows.Next()
		rows.Close()
		return rows.Err()
	})
	sources, gens := q.known.all()
	batch.Queue(sqlMoved, sources, gens).Query(func(rows pgx.Rows) (err error) {
		b.moved, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return b.share(ctx, tx, names)
}

// queueExtend extends what this agent serves, unless it is letting it go, and finds out what it has lost.
func (b *beat) queueExtend(batch *pgx.Batch) {
	var names []string
	var epochs []int64
	var ends []time.Duration
	for _, name := range slices.Sorted(maps.Keys(b.held)) { // in the order in which outcomes lock them
		h := b.held[name]
		if timeout, configured := b.timeouts[name]; configured {
			names, epochs, ends = append(names, name), append(epochs, h.epoch), append(ends, b.o.q.opts.Lease+timeout)
		} else {
			b.leave(name)
		}
	}
	batch.Queue(sqlExtend, names, epochs, ends, b.o.q.opts.Agent).Query(func(rows pgx.Rows) error {
		was := b.held
		b.held = map[string]holding{}
		var name string
		var pause []byte
		_, err := pgx.ForEachRow(rows, []any{&name, &pause}, func() error {
			h := was[name]
			h.until, h.timeout, h.pause = b.sent.Add(b.o.q.opts.Lease), b.timeouts[name], pause
			b.held[name] = h
			return nil
		})
		return err
	})
}

func (h holding) leave() leaving { return leaving{h.service, h.until.Add(h.timeout)} }

// leave has the agent begin nothing more of a webhook.
func (b *beat) leave(name string) {
	h := b.held[name]
	delete(b.held, name)
	b.leaving[name] = h.leave()
}

// share takes what is free up to this agent's share, or lets go what is above it. What has been free for a lease it
// takes all the same: its share is a number, and those below theirs may not have that webhook.
func (b *beat) share(ctx context.Context, tx pgx.Tx, names []string) error {
	q := b.o.q
	shares := shares(b.members)
	for _, name := range b.surplus(shares) {
		b.leave(name)
	}
	if room := shares[q.opts.Agent] - len(b.held); room > 0 {
		if err := b.take(ctx, tx, names, 0, room); err != nil {
			return err
		}
	}
	return b.take(ctx, tx, names, q.opts.Lease, len(names))
}

// take takes at most limit webhooks that have been free for so long.
func (b *beat) take(ctx context.Context, tx pgx.Tx, names []string, since time.Duration, limit int) error {
	q := b.o.q
	taken := slices.Collect(maps.Keys(b.held))
	taken = slices.AppendSeq(taken, maps.Keys(b.o.leaving))
	taken = slices.AppendSeq(taken, maps.Keys(b.leaving))
	ends := make([]time.Duration, len(names))
	for i, name := range names {
		ends[i] = q.opts.Lease + b.timeouts[name]
	}
	rows, err := tx.Query(ctx, sqlTake, names, ends, q.opts.Agent, taken, since, limit)
	if err != nil {
		return err
	}
	var name string
	h := holding{until: b.sent.Add(q.opts.Lease)}
	h.owner = q.opts.Agent
	_, err = pgx.ForEachRow(rows, []any{&name, &h.epoch, &h.state, &h.pause}, func() error {
		h.timeout = b.timeouts[name]
		b.held[name] = h
		h.state, h.pause = nil, nil
		return nil
	})
	return err
}

// letGo gives others what this agent is leaving and has no request of under way. What is busy to the end is theirs
// when its lease has run out.
func (o *owner) letGo(ctx context.Context) {
	ctx, done := o.q.within(ctx, o.q.beatLimit())
	defer done()
	for name, l := range o.leaving {
		if o.s.Busy(name) {
			if time.Now().After(l.by) {
				delete(o.leaving, name)
			}
			continue
		}
		err := transact(ctx, o.conn.Conn, o.q.beginSQL(o.conn), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlLetGo, name, o.q.opts.Agent, l.epoch)
			return err
		})
		if err != nil {
			if sqlState(err) == "" {
				o.disconnect() // the beat makes another connection, and says what is wrong
			}
			return // its lease ends by itself
		}
		delete(o.leaving, name)
		o.q.tell(notice{Webhooks: []string{name}, Pauses: true}) // others look at once
	}
}

// end lets everything go.
func (o *owner) end() {
	longest := time.Second
	for name, h := range o.q.held.current() {
		o.leaving[name], longest = h.leave(), max(longest, h.timeout)
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest+o.q.opts.Lease)
	defer cancel()
	o.q.held.set(nil)
	o.hold()
	for o.connect(ctx) == nil && o.q.ctx.Err() == nil {
		if o.letGo(ctx); len(o.leaving) == 0 {
			_, _ = o.conn.Exec(ctx, sqlLeft, o.q.opts.Agent, o.q.process) // else it is seen to be gone
			return
		}
		if sleep(ctx, o.q.ctx, leavingEvery) != nil {
			return
		}
	}
}
