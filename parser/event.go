package parser

import (
	"fmt"
	"strings"
	"time"
)

// mainObject is what an event of a known type is about.
var mainObject = map[string]string{
	"deletion_request_created": "deletion_request",
	"suggestion_auto_applied":  "document",
	"scan_completed":           "document",
}

// event makes an event of an object that is meant as one; recorded is the record's own
// time. A null timestamp or source counts as missing.
func (o *Options) event(obj object, recorded time.Time) Result {
	raw := obj.get("event_type")
	typ, isString := obj.str("event_type")
	switch {
	case obj.flaw != nil:
		return reject("the event is not valid JSON: %v", obj.flaw)
	case raw == nil:
		return reject("the event has no event_type")
	case !isString:
		return reject("event_type is not a string but %s", kind(raw))
	case len(typ) == 0:
		return reject("event_type is empty")
	}
	if recorded.IsZero() {
		recorded = o.RecordTime
	}
	if missing(obj.get("source")) {
		obj.set("source", `"`+Source+`"`)
	}
	unstamped := missing(obj.get("timestamp"))
	switch {
	case unstamped && !recorded.IsZero():
		obj.set("timestamp", stamp(recorded))
	case unstamped:
		obj.remove("timestamp")
	}
	e := Event{
		ID: identify(&obj, o.Position),
		// It becomes a header and a label, where a lone surrogate cannot be.
		Type: strings.ToValidUTF8(string(typ), "\uFFFD"),
		Time: recorded,
	}
	// The time of reading is no part of what identifies the event.
	if unstamped && recorded.IsZero() && !o.Now.IsZero() {
		obj.set("timestamp", stamp(o.Now))
	}
	e.Body = obj.text
	if main := mainObject[e.Type]; main != "" {
		e.Incomplete = !isObject(obj.get(main))
	}
	return Result{Verdict: Accept, Event: e}
}

func missing(value []byte) bool { return value == nil || string(value) == "null" }

func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

func stamp(t time.Time) string { return `"` + t.UTC().Format(time.RFC3339Nano) + `"` }

// kind names what a canonical value is.
func kind(value []byte) string {
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	}
	return "a number"
}

func reject(format string, args ...any) Result {
	return Result{Verdict: Reject, Reason: fmt.Sprintf(format, args...)}
}

func skip(reason string) Result { return Result{Verdict: Skip, Reason: reason} }
