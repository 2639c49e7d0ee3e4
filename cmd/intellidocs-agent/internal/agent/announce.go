package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// announcement is something about the agent itself that people should hear of.
type announcement struct {
	kind    string // webhook_held, …: its event's type without "agent."
	about   string // the webhook or source; "" where it is about neither
	title   string // a line that says what is the matter
	message string // why, and what to do
	bad     bool   // somebody should act
	fields  map[string]any
	queued  func() // called once its event is durable, or no webhook wants it; may be nil
}

const (
	// announceEvery is how often people hear of the same thing about the same webhook or
	// source; what happens meanwhile is counted.
	announceEvery = 10 * time.Minute
	// announceGather is how long the first waits for others like it.
	announceGather = 2 * time.Second
	// announceTopics bounds what is remembered. Webhooks and sources bound it too.
	announceTopics = 2000
	// announceState is where the queue keeps when what was last announced: an agent that is
	// started again and again says nothing twice. No webhook can have this name.
	announceState = "agent: announced"
)

// announcements is the part of the queue that the announcer needs.
type announcements interface {
	Commit(ctx context.Context, b queue.Batch) (queue.Committed, error)
	Memo(name string) ([]byte, error)
	SetMemo(ctx context.Context, name string, memo []byte) error
}

// announcer makes events of what happens to the agent. They go through the same queue and
// in the same formats as any other, to the webhooks that name them in events, and never to
// the one they are about. Announce never blocks; Run queues what was announced.
type announcer struct {
	queue announcements
	route func(eventType string, body []byte, about string) []string
	log   *slog.Logger
	// journal takes everything in as it happens, whether a webhook wants to hear of it or not;
	// nil: none.
	journal *journal

	mu     sync.Mutex
	topics map[string]*topic
	wake   chan struct{}
}

// topic is one kind of thing about one webhook or source.
type topic struct {
	last    time.Time // when it was last announced
	due     time.Time
	count   int // since then
	first   time.Time
	current announcement
}

func newAnnouncer(q announcements, route func(string, []byte, string) []string, log *slog.Logger) *announcer {
	a := &announcer{queue: q, route: route, log: log, topics: map[string]*topic{}, wake: make(chan struct{}, 1)}
	var last map[string]time.Time
	state, err := q.Memo(announceState)
	if err == nil && len(state) > 0 {
		err = json.Unmarshal(state, &last)
	}
	if err != nil {
		log.Warn("cannot read what was announced before; it may be announced again", "error", err)
	}
	for key, at := range last {
		a.topics[key] = &topic{last: at}
	}
	return a
}

// Announce takes in something that people should hear of: at once where they have not for
// ten minutes, else then, with how often it happened.
func (a *announcer) Announce(n announcement) {
	if a.journal != nil {
		a.journal.announced(n)
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	key := n.kind + " " + n.about
	t := a.topics[key]
	if t == nil {
		if len(a.topics) >= announceTopics {
			return
		}
		t = &topic{}
		a.topics[key] = t
	}
	if t.count++; t.count == 1 {
		t.first, t.due = now, now.Add(announceGather)
		// A clock that was set back must not silence it.
		if next := t.last.Add(announceEvery); next.After(t.due) && !t.last.After(now) {
			t.due = next
		}
	}
	t.current = n
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run queues what is announced until ctx ends.
func (a *announcer) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := a.flush(ctx, time.Now())
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// flush queues what is due, and returns when to look again.
func (a *announcer) flush(ctx context.Context, now time.Time) time.Duration {
	next := time.Hour
	said := false
	for _, key := range a.pending() {
		a.mu.Lock()
		t := *a.topics[key]
		a.mu.Unlock()
		if wait := t.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if err := a.commit(ctx, t, now); err != nil {
			if ctx.Err() == nil {
				a.log.Error("cannot queue an event of the agent's own; trying again", "kind", t.current.kind, "about", t.current.about, "error", err)
			}
			return 10 * time.Second
		}
		if t.current.queued != nil {
			t.current.queued()
		}
		a.mu.Lock()
		a.topics[key].last, a.topics[key].due = now, now.Add(announceEvery)
		if a.topics[key].count -= t.count; a.topics[key].count > 0 {
			a.topics[key].first = now
			next = min(next, announceEvery)
		}
		a.mu.Unlock()
		said = true
	}
	if said {
		a.store(ctx)
	}
	return next
}

func (a *announcer) pending() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var keys []string
	for key, t := range a.topics {
		if t.count > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(x, y string) int {
		return cmp.Or(a.topics[x].first.Compare(a.topics[y].first), cmp.Compare(x, y))
	})
	return keys
}

// commit queues the event, where any webhook wants it.
func (a *announcer) commit(ctx context.Context, t topic, now time.Time) error {
	eventType := dispatch.OwnPrefix + t.current.kind
	payload := maps.Clone(t.current.fields)
	if payload == nil {
		payload = map[string]any{}
	}
	host, _ := os.Hostname() // without it the event says less
	severity := "info"
	if t.current.bad {
		severity = "warning"
	}
	maps.Copy(payload, map[string]any{
		"event_type": eventType, "timestamp": t.first.UTC().Format(time.RFC3339), "source": "intellidocs-agent", "host": host,
		"title": t.current.title, "message": t.current.message, "severity": severity, "count": t.count,
	})
	text, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	body, err := pyjson.Canonical(text)
	if err != nil {
		return err
	}
	webhooks := a.route(eventType, body, t.current.about)
	if len(webhooks) == 0 {
		return nil
	}
	sum := sha256.Sum256(body)
	id := hex.EncodeToString(sum[:16])
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a full queue makes it wait
	defer cancel()
	_, err = a.queue.Commit(ctx, queue.Batch{Source: "agent", Events: []queue.NewEvent{{
		Event: queue.Event{
			ID: "evt_" + id, Type: eventType, Source: "agent", Path: "agent", ReadAt: now, TraceID: id, Body: body,
		},
		Webhooks: webhooks,
	}}})
	return err
}

// store remembers when what was last announced. What is old enough to be announced again
// at once is forgotten, but for the digest.
func (a *announcer) store(ctx context.Context) {
	now := time.Now()
	last := map[string]time.Time{}
	a.mu.Lock()
	for key, t := range a.topics {
		switch {
		case now.Sub(t.last) < announceEvery || key == digestTopic:
			last[key] = t.last
		case t.count == 0:
			delete(a.topics, key)
		}
	}
	a.mu.Unlock()
	state, err := json.Marshal(last)
	if err == nil {
		err = a.queue.SetMemo(ctx, announceState, state)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("cannot store what was announced; after a restart it may be announced again", "error", err)
	}
}

// lastTime is when a topic was last announced, zero for never.
func (a *announcer) lastTime(key string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.topics[key]; t != nil {
		return t.last
	}
	return time.Time{}
}

// began remembers a topic as announced now, without doing it.
func (a *announcer) began(key string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.topics[key] = &topic{last: now}
}
