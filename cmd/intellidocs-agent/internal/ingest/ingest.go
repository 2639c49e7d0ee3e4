// Package ingest is the step between reading and keeping: it parses a batch of
// records, asks which webhooks want each event, and commits events, rejected records
// and the cursor behind them in one durable step.
package ingest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/parser"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// Committer is the part of the queue that ingest needs.
type Committer interface {
	Commit(ctx context.Context, b queue.Batch) (queue.Committed, error)
}

// Options are what New needs; Registerer may be nil.
type Options struct {
	Queue Committer
	// Route names the webhooks that want an event.
	Route func(eventType string, body []byte) []string
	// Positional identifies an event by where it was read instead of by its content
	// (dedup_window = 0).
	Positional func() bool
	// Shared: several agents share the queue. A position is then told with its source.
	Shared bool
	// Rejected and Missed are told of records that cannot be read and of gaps; nil: nobody is.
	Rejected   func(source, path string, offset int64, reason string)
	Missed     func(source, path, reason string)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Ingest is safe for concurrent use by several sources.
type Ingest struct {
	opts    Options
	metrics *metrics
}

// New makes an Ingest.
func New(o Options) *Ingest {
	if o.Positional == nil {
		o.Positional = func() bool { return false }
	}
	if o.Rejected == nil {
		o.Rejected = func(string, string, int64, string) {}
	}
	if o.Missed == nil {
		o.Missed = func(string, string, string) {}
	}
	return &Ingest{opts: o, metrics: newMetrics(o.Registerer)}
}

// Kind tells how the records of a source are read.
type Kind uint8

// The kinds of records.
const (
	Lines   Kind = iota + 1 // lines of a log
	Objects                 // JSON values of spool files
)

// Totals is what became of records, counted once each.
type Totals struct {
	Records    int            `json:"records"`
	Events     map[string]int `json:"events"` // by type, duplicates included
	Queued     int            `json:"queued"`
	Duplicates int            `json:"duplicates"`
	Skipped    int            `json:"skipped"`
	Rejected   int            `json:"rejected"`
	Deliveries int            `json:"deliveries"`
}

// Source is the ingest of one source. Its Handle is a tailer.Handler; Flush may be
// called beside it.
type Source struct {
	in   *Ingest
	name string
	kind Kind
	key  []byte // whose MAC events must carry; empty: they need none
	// backfill keeps an event out that was queued at any time the queue remembers.
	backfill bool

	// committing is held while a batch is made durable, which lasts as long as the queue
	// is full.
	committing sync.Mutex
	verbose    verboseLogs
	deferred   []byte    // a cursor that stands behind skipped records only
	gen        int64     // the cursor's generation
	last       time.Time // of the last commit

	mu     sync.Mutex // never held over a commit
	totals Totals
}

// Source makes the ingest of the named source. With a key only events that carry its MAC are
// taken.
func (in *Ingest) Source(name string, kind Kind, key []byte) *Source {
	in.metrics.begin(name)
	return &Source{in: in, name: name, kind: kind, key: key, totals: Totals{Events: map[string]int{}}}
}

// From says at which generation of its cursor the source continues.
func (s *Source) From(gen int64) *Source {
	s.gen = gen
	return s
}

// Expect makes the series of a source that will be read, at zero.
func (in *Ingest) Expect(name string) { in.metrics.begin(name) }

// Backfill makes the ingest of old records: what the queue remembers at all is not
// queued again, however long ago it was.
func (in *Ingest) Backfill(name string, kind Kind, key []byte) *Source {
	s := in.Source(name, kind, key)
	s.backfill = true
	return s
}

// Totals is what the source has seen since it was made.
func (s *Source) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.totals
	t.Events = maps.Clone(t.Events)
	return t
}

// cursorEvery bounds how often a cursor is committed that has nothing to keep before
// it. Reading skipped records again after a crash is harmless; an fsync for each
// batch of a busy log that holds no events is not.
const cursorEvery = time.Second

// Handle makes a batch durable: without an error its events, its rejected records and
// its cursor are on the disk. It returns which records were rejected.
func (s *Source) Handle(ctx context.Context, b *tailer.Batch) ([]tailer.Rejection, error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	now := time.Now()
	qb, rejections, seen := s.read(b, now)
	qb.Cursor = b.Position(rejections)
	if len(qb.Events) == 0 && len(qb.Rejected) == 0 && b.Gap == nil && now.Sub(s.last) < cursorEvery && s.kind == Lines {
		s.deferred = append(s.deferred[:0], qb.Cursor...)
	} else if err := s.commit(ctx, qb, &seen); err != nil {
		return nil, err
	}
	if b.Gap != nil {
		s.gap(b.Gap)
	}
	s.count(seen)
	return rejections, nil
}

// Flush commits a cursor that Handle put off. While Handle is at work there is nothing to
// do: it commits a later one.
func (s *Source) Flush(ctx context.Context) error {
	if !s.committing.TryLock() {
		return nil
	}
	defer s.committing.Unlock()
	if len(s.deferred) == 0 {
		return nil
	}
	return s.commit(ctx, queue.Batch{Source: s.name, Cursor: s.deferred}, &batch{})
}

func (s *Source) commit(ctx context.Context, qb queue.Batch, seen *batch) error {
	qb.Backfill, qb.Gen = s.backfill, s.gen
	done, err := s.in.opts.Queue.Commit(ctx, qb)
	if err != nil {
		return fmt.Errorf("source %s: keep a batch of %d events: %w", s.name, len(qb.Events), err)
	}
	s.deferred, s.last = s.deferred[:0], time.Now()
	if qb.Cursor != nil {
		s.gen = done.Gen
	}
	seen.queued, seen.duplicates, seen.deliveries = len(done.Queued), done.Duplicates, done.Deliveries
	seen.conflicts = len(done.Conflicts)
	for _, id := range done.Conflicts {
		s.in.opts.Logger.Warn("an event_id came again with another payload: the event is queued under an id of its payload; give each event an event_id of its own, or none",
			"source", s.name, "event_id", id)
	}
	return nil
}

// batch is what was seen in one batch, counted once it is durable.
type batch struct {
	records    int
	events     map[string]int
	skipped    map[string]int
	incomplete int
	rejected   int
	queued     int
	duplicates int
	deliveries int
	conflicts  int
}

func (s *Source) read(b *tailer.Batch, now time.Time) (qb queue.Batch, rejections []tailer.Rejection, seen batch) {
	qb.Source, seen.records = s.name, len(b.Records)
	for i := range b.Records {
		r := &b.Records[i]
		res := s.parse(r, now, s.kind == Lines && s.verbose.knows(r))
		if res.Headed {
			s.verbose.learn(r)
		}
		if reason := s.take(r, &res, now, &qb, &seen); reason != "" {
			rejections = append(rejections, tailer.Rejection{Record: i, Reason: reason})
		}
	}
	return qb, rejections, seen
}

// take adds to a batch what a record turned out to be, and what else stood on its line. It
// returns why the record was rejected, if any of that was: it is kept once, as it stands there.
func (s *Source) take(r *tailer.Record, res *parser.Result, now time.Time, qb *queue.Batch, seen *batch) (rejected string) {
	for res := range res.All() {
		switch res.Verdict {
		case parser.Accept:
			qb.Events = append(qb.Events, s.event(r, &res.Event, now))
			if seen.events == nil {
				seen.events = map[string]int{}
			}
			seen.events[res.Event.Type]++
			if res.Event.Incomplete {
				seen.incomplete++
			}
		case parser.Reject:
			rejected = cmp.Or(rejected, res.Reason)
		default:
			if seen.skipped == nil {
				seen.skipped = map[string]int{}
			}
			seen.skipped[res.Reason]++
		}
	}
	if rejected != "" {
		qb.Rejected = append(qb.Rejected, s.reject(r, rejected, now))
		seen.rejected++
		s.in.opts.Logger.Warn("record rejected: it looks like an event and cannot be read as one; see: intellidocs-agent rejected",
			"source", s.name, "file", r.Path, "offset", r.Offset, "reason", rejected)
		s.in.opts.Rejected(s.name, r.Path, r.Offset, rejected)
	}
	return rejected
}

// maxBody bounds an event as it would be sent: what the queue cannot keep must not stand
// in the way of the next one. A line of 1 MiB stays below it however it is escaped.
const maxBody = 7 << 20

func (s *Source) parse(r *tailer.Record, now time.Time, verbose bool) parser.Result {
	switch {
	case r.Damage != "":
		return parser.Result{Verdict: parser.Reject, Reason: r.Damage}
	case r.TooLong:
		return parser.Result{Verdict: parser.Reject, Reason: fmt.Sprintf("the record is %d bytes long, more than max_line_bytes allows", r.Size)}
	}
	o := parser.Options{Now: now, RecordTime: r.Time, Verbose: verbose, Key: s.key}
	if s.in.opts.Positional() {
		o.Position = fmt.Sprintf("%s:%d", r.Stream, r.Offset)
		if s.in.opts.Shared {
			o.Position = s.name + ":" + o.Position
		}
	}
	res := parser.Result{}
	if s.kind == Objects {
		res = parser.Object(r.Data, o)
	} else {
		res = parser.Line(r.Data, o)
	}
	for res := range res.All() {
		if n := len(res.Event.Body); n > maxBody {
			res.Verdict, res.Event = parser.Reject, parser.Event{}
			res.Reason = fmt.Sprintf("the event is %d bytes long as it would be sent, more than the queue keeps (%d)", n, maxBody)
		}
	}
	return res
}

func (s *Source) event(r *tailer.Record, e *parser.Event, now time.Time) queue.NewEvent {
	return queue.NewEvent{
		Event: queue.Event{
			ID: e.ID, Type: e.Type, Source: s.name, Path: r.Path, Stream: r.Stream, Offset: r.Offset,
			ReadAt: now, TraceID: queue.TraceOf(e.ID), Incomplete: e.Incomplete, Body: e.Body,
		},
		Webhooks:  s.in.opts.Route(e.Type, e.Body),
		PayloadID: e.PayloadID,
	}
}

func (s *Source) reject(r *tailer.Record, reason string, now time.Time) queue.Rejected {
	head := r.Data
	if len(head) > tailer.HeadBytes {
		head = head[:tailer.HeadBytes]
	}
	return queue.Rejected{
		Source: s.name, Path: r.Path, Stream: r.Stream, Offset: r.Offset, Size: r.Size,
		At: now, Reason: reason, Data: append([]byte(nil), head...),
	}
}

func (s *Source) gap(g *tailer.Gap) {
	s.in.opts.Missed(s.name, g.Path, g.Reason)
	s.in.metrics.gaps.WithLabelValues(s.name).Inc()
	s.in.opts.Logger.Warn("records may have been missed: content that was not read to its end is gone; if a copy exists, run 'intellidocs-agent ingest FILE'",
		"source", s.name, "file", g.Path, "read_up_to", g.Offset, "last_read", g.Since, "reason", g.Reason)
}

// maxTotals and maxTypeLength bound the totals by type: they live as long as the source, and
// a type is whatever somebody wrote into a log.
const (
	maxTotals     = 1000
	maxTypeLength = 200
)

func (s *Source) count(b batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.totals
	t.Records += b.records
	t.Queued += b.queued
	t.Duplicates += b.duplicates
	t.Deliveries += b.deliveries
	t.Rejected += b.rejected
	for typ, n := range b.events {
		if _, known := t.Events[typ]; !known && (len(t.Events) >= maxTotals || len(typ) > maxTypeLength) {
			typ = "other"
		}
		t.Events[typ] += n
	}
	for _, n := range b.skipped {
		t.Skipped += n
	}
	s.in.metrics.count(s.name, b)
}

// Again reads a rejected record once more and queues what it holds by now. It reports whether
// that are events and nothing else: of a line with several records one may still be unreadable.
func (in *Ingest) Again(ctx context.Context, rec queue.Rejected, kind Kind, key []byte) (bool, error) {
	s := in.Source(rec.Source, kind, key)
	r := tailer.Record{Data: rec.Data, Path: rec.Path, Stream: rec.Stream, Offset: rec.Offset, Size: rec.Size}
	verbose := kind == Lines && (strings.HasPrefix(rec.Reason, parser.NoHeader) || s.verbose.knows(&r))
	res := s.parse(&r, rec.At, verbose) // an event without a time has that of its first reading
	var found []queue.NewEvent
	for part := range res.All() {
		switch part.Verdict {
		case parser.Reject:
			return false, nil
		case parser.Accept:
			found = append(found, s.event(&r, &part.Event, time.Now()))
		}
	}
	if len(found) == 0 {
		return false, nil
	}
	_, err := in.opts.Queue.Commit(ctx, queue.Batch{Source: rec.Source, Events: found})
	return err == nil, err
}
