package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

const (
	// journalMerge is how long the same thing about the same webhook or source is counted in
	// one entry, where nothing else happened to it meanwhile.
	journalMerge = 10 * time.Minute
	// journalGather is how long entries wait for others, since each write is synced.
	journalGather = time.Second
	// journalWaiting bounds the entries that wait to be written, as on a disk that hangs; later
	// ones are lost.
	journalWaiting = 200
)

// journal keeps what happens to the agent in the queue's log, in order. add never blocks.
type journal struct {
	queue    logBook
	log      *slog.Logger
	revision atomic.Uint64 // changes with what is written

	mu      sync.Mutex
	latest  map[string]*queue.LogEntry // by the webhook or source that it is about
	waiting []*queue.LogEntry          // to be written
	wake    chan struct{}
}

func newJournal(q logBook, log *slog.Logger) *journal {
	return &journal{queue: q, log: log, latest: map[string]*queue.LogEntry{}, wake: make(chan struct{}, 1)}
}

// add takes in what happened now.
func (j *journal) add(e queue.LogEntry) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	about := e.Webhook + "\x00" + e.Source
	entry := j.latest[about]
	if entry != nil && entry.Kind == e.Kind && e.Kind != "started" && now.Sub(entry.Last) < journalMerge && !entry.Last.After(now) {
		entry.Last, entry.Detail = now, e.Detail
		entry.Count++
	} else {
		e.At, e.Last, e.Count = now.UTC(), now.UTC(), 1
		entry = &e
		if len(j.latest) >= announceTopics {
			clear(j.latest)
		}
		j.latest[about] = entry
	}
	if len(j.waiting) < journalWaiting && !slices.Contains(j.waiting, entry) {
		j.waiting = append(j.waiting, entry)
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run writes what happened until ctx ends.
func (j *journal) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil // what waits is written at the end, by flush
		case <-j.wake:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(journalGather):
		}
		if err := j.flush(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("cannot keep what happened in the dashboard's log; trying again with what happens next", "error", err)
		}
	}
}

// flush writes what waits. It is called by one goroutine at a time.
func (j *journal) flush(ctx context.Context) error {
	j.mu.Lock()
	waiting := j.waiting
	j.waiting = nil
	copies := make([]*queue.LogEntry, len(waiting))
	for i, e := range waiting {
		copied := *e
		copies[i] = &copied
	}
	j.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	err := j.queue.AppendLog(ctx, copies...)
	j.revision.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range waiting {
		e.N = copies[i].N
	}
	if err != nil {
		again := slices.DeleteFunc(j.waiting, func(e *queue.LogEntry) bool { return slices.Contains(waiting, e) })
		j.waiting = slices.Concat(waiting, again)
	}
	return err
}

// announced adds what is announced to people.
func (j *journal) announced(n announcement) {
	e := queue.LogEntry{Kind: n.kind, Bad: n.bad, Text: n.title, Detail: n.message}
	if reason, _ := n.fields["reason"].(string); reason != "" {
		e.Detail = reason
	}
	if next, _ := n.fields["next_probe"].(string); next != "" {
		e.Detail += "; next tried at " + next
	}
	switch n.kind {
	case "record_rejected", "gap", "source_failed":
		e.Source = n.about
	default:
		e.Webhook = n.about
	}
	j.add(e)
}
