// Package parser turns the bytes of one record into an AI event, or says why
// they are none. It is pure: no clock, no files, no state between calls.
package parser

import (
	"iter"
	"time"
)

// Logger is the name of the IntelliDocs logger whose records may hold events.
const Logger = "paperless.ai_webhooks"

// Source is what an event gets as its "source" when it names none.
const Source = "intellidocs-ai"

// Verdict says what a record turned out to be.
type Verdict uint8

const (
	// Skip: the record is not meant as an event (another logger, a traceback, a delivery message).
	Skip Verdict = iota + 1
	// Accept: the record holds an event.
	Accept
	// Reject: the record is meant as an event and cannot be read as one.
	Reject
)

// Result is what Line and Object say of a record.
type Result struct {
	Verdict Verdict
	// Reason is, for Skip, one of the few Skip… constants (it becomes a metric label);
	// for Reject, a sentence for people.
	Reason string
	// Event is set for Accept.
	Event Event
	// Headed: the line begins with the header of IntelliDocs' verbose format, so the log
	// that it stands in is one of that format; see Options.Verbose.
	Headed bool
	// Glued are the results of other records on the same line, whose line feed is missing
	// because a writer died or its disk was full. None of them is Skip.
	Glued []Result
}

// All passes the result of the line's first record, and then those of the others on it.
func (r *Result) All() iter.Seq[*Result] {
	return func(yield func(*Result) bool) {
		if !yield(r) {
			return
		}
		for i := range r.Glued {
			if !yield(&r.Glued[i]) {
				return
			}
		}
	}
}

// Why a record was skipped.
const (
	SkipBlank       = "blank"
	SkipOtherLogger = "other_logger"
	SkipNoEvent     = "no_event"
	// SkipContinuation: a line like an event, without a header in a log of IntelliDocs' verbose format.
	SkipContinuation = "continuation"
)

// SkipReasons are all of them.
var SkipReasons = []string{SkipBlank, SkipOtherLogger, SkipNoEvent, SkipContinuation}

// Event is an AI event as it will be sent.
type Event struct {
	// ID is "evt_" and 32 hex digits.
	ID string
	// PayloadID is set where ID comes from the event's own event_id: what names the event by
	// its payload, should that event_id have been another's.
	PayloadID string
	// Type is the event's event_type.
	Type string
	// Body is the canonical bytes: what Python's json.dumps(payload, sort_keys=True)
	// returns, with "timestamp" and "source" filled in where they were missing.
	Body []byte
	// Time is the record's own time, zero where the record has none.
	Time time.Time
	// Incomplete: a known type without its main object. It is delivered all the same.
	Incomplete bool
}

// Options are the same for every record of a source.
type Options struct {
	// Now fills a missing "timestamp" where the record has no time of its own.
	// It does not enter the event's ID, so the same record read twice stays one event.
	Now time.Time
	// Position, where not empty, enters the ID: identity by place instead of by content
	// or event_id (dedup_window = 0).
	Position string
	// Verbose: the log's records begin with the header of IntelliDocs' verbose format. A line
	// without one belongs to the record before it, whose text may be anybody's: a title or a
	// subject may hold a line feed. It is never an event.
	Verbose bool
	// Key, where not empty, is the producer's: only events that carry its MAC are taken.
	Key []byte
	// RecordTime is the record's time where the record itself carries none (a spool file's mtime).
	RecordTime time.Time

	// depth is how many records were read of the line so far.
	depth int
}
