package postgres

import (
	"sync"
	"time"
)

// places remembers per webhook where its unfinished deliveries begin. What is before that is gone, but the
// database goes past the dead rows each time as long as somebody's old snapshot keeps them.
//
// A place is forgotten where this agent adds something before it, and after a second anyway, or
// after twenty times as long as looking without one took: another agent may have added something, or
// have been slow with a commit whose due time is older.
// The zero value is ready.
type places struct {
	mu sync.Mutex
	of map[string]*place
}

type place struct {
	dueAt     dueRef
	past      dueRef // the latest dueAt that was due already: what others add comes after it
	headAt    headPlace
	dueUntil  time.Time // how long it is good
	headUntil time.Time
	reset     int // how often something was added before it
}

// headPlace is where to begin looking for a head. It is not good where something was replayed since it was
// found, by any agent; since is of the database's clock, nil with none.
type headPlace struct {
	seq   int64
	since *time.Time
}

const placeFor = time.Second

// lateBy is how much older than what is there already a seq may be that shows only now: an agent takes
// it when its transaction begins. Within that a head is looked for each time. What comes later still
// waited for a standby, and with it whatever its source committed after it.
const lateBy = 30 * time.Second

func (p *places) at(webhook string) *place {
	if p.of == nil {
		p.of = map[string]*place{}
	}
	if p.of[webhook] == nil {
		p.of[webhook] = &place{}
	}
	return p.of[webhook]
}

// due returns where to begin, and a token for sawDue.
func (p *places) due(webhook string) (from dueRef, token int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	if time.Now().Before(w.dueUntil) {
		from = w.dueAt
	}
	return from, w.reset
}

// sawDue takes in which delivery was the first, at which time of the database's, and how long it took
// to find; whole: without a place.
func (p *places) sawDue(webhook string, first dueRef, at time.Time, token int, whole bool, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	if w.reset != token {
		return
	}
	if !first.due.After(at) {
		w.past = first
	}
	if w.dueAt = first; whole {
		w.dueUntil = time.Now().Add(max(placeFor, 20*took))
	}
}

// sawNone takes in that nothing was due, how long it took to find that without a place, and the token from
// before. What was due last is gone, so the place is there.
func (p *places) sawNone(webhook string, token int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	if w.reset != token || w.past.due.IsZero() {
		return
	}
	w.dueAt, w.dueUntil = w.past, time.Now().Add(max(placeFor, 20*took))
}

// head returns where to begin, and a token for sawHead. It is never above one of a commit
// that is under way: what its source commits next would be sent before it.
func (p *places) head(webhook string) (from headPlace, token int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	if time.Now().Before(w.headUntil) {
		from = w.headAt
	}
	return from, w.reset
}

// sawHead takes in which delivery was the first, from where it was looked for, and how long it took to find; at is the
// database's clock then.
func (p *places) sawHead(webhook string, seq int64, token int, from headPlace, at time.Time, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	if w.reset != token {
		return
	}
	whole := from.since == nil
	if whole {
		since := at.Add(-took)
		from.since = &since
	}
	if w.headAt = (headPlace{seq - lateBy.Microseconds()*seqStep, from.since}); whole {
		w.headUntil = time.Now().Add(max(placeFor, 20*took))
	}
}

// forget has the webhook's next claims look from the beginning.
func (p *places) forget(webhook string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(webhook)
	w.reset++
	w.dueUntil, w.headUntil = time.Time{}, time.Time{}
}

// added takes in that this agent has added a delivery.
func (p *places) added(webhook string, r ref, due time.Time) {
	p.mu.Lock()
	w := p.at(webhook)
	before := due.Before(w.dueAt.due) || due.Equal(w.dueAt.due) && r.less(w.dueAt.ref) || r.seq < w.headAt.seq
	p.mu.Unlock()
	if before {
		p.forget(webhook)
	}
}

// changed takes in what this agent has changed.
func (p *places) changed(all []*stored) {
	for _, d := range all {
		if !d.Finished() {
			p.added(text(d.Webhook), d.ref, d.NextAttemptAt)
		}
	}
}
