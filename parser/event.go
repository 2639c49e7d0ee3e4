package parser

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// knownTypes are the event types that IntelliDocs documents, in the order of its
// documentation, each with the object it is about.
var knownTypes = []struct{ name, object string }{
	{"deletion_request_created", "deletion_request"},
	{"suggestion_auto_applied", "document"},
	{"scan_completed", "document"},
}

// KnownTypes returns the event types that IntelliDocs documents, in the order of its
// documentation.
func KnownTypes() []string {
	names := make([]string, len(knownTypes))
	for i, t := range knownTypes {
		names[i] = t.name
	}
	return names
}

// mainObject returns the member that an event of a known type is about, "" for others.
func mainObject(eventType string) string {
	for _, t := range knownTypes {
		if t.name == eventType {
			return t.object
		}
	}
	return ""
}

// event turns an object that is meant as an event into one; recorded is the record's own
// time. A null timestamp or source counts as missing.
func (o *Options) event(obj pyjson.Object, recorded time.Time) Result {
	raw := obj.Get("event_type")
	typ, isString := obj.Str("event_type")
	switch {
	case obj.Flaw != nil:
		return reject("the event is not valid JSON: %v", obj.Flaw)
	case raw == nil:
		return reject("the event has no event_type")
	case !isString:
		return reject("event_type is not a string but %s", pyjson.Kind(raw))
	case len(typ) == 0:
		return reject("event_type is empty")
	}
	if len(o.Key) > 0 {
		if why := authenticate(&obj, o.Key); why != "" {
			return reject("%s", why)
		}
	}
	if recorded.IsZero() {
		recorded = o.RecordTime
	}
	payload := payloadID(&obj, o.Position)
	if missing(obj.Get("source")) {
		obj.Set("source", `"`+Source+`"`)
	}
	unstamped := missing(obj.Get("timestamp"))
	switch {
	case unstamped && !recorded.IsZero():
		obj.Set("timestamp", stamp(recorded))
	case unstamped:
		obj.Remove("timestamp")
	}
	e := Event{
		ID: identify(&obj, o.position()), PayloadID: payload,
		// It becomes a header and a label, where a lone surrogate cannot be.
		Type: strings.ToValidUTF8(string(typ), "\uFFFD"),
		Time: recorded,
	}
	// The time of reading is no part of what identifies the event.
	if unstamped && recorded.IsZero() && !o.Now.IsZero() {
		obj.Set("timestamp", stamp(o.Now))
	}
	e.Body = obj.Text
	if main := mainObject(e.Type); main != "" {
		e.Incomplete = !pyjson.IsObject(obj.Get(main))
	}
	return Result{Verdict: Accept, Event: e}
}

// position is where the record stands; those behind another on its line have places of their
// own.
func (o *Options) position() string {
	if o.Position == "" || o.depth == 0 {
		return o.Position
	}
	return fmt.Sprintf("%s+%d", o.Position, o.depth)
}

func missing(value []byte) bool { return value == nil || string(value) == "null" }

func stamp(t time.Time) string { return `"` + t.UTC().Format(time.RFC3339Nano) + `"` }

func reject(format string, args ...any) Result {
	return Result{Verdict: Reject, Reason: fmt.Sprintf(format, args...)}
}

func skip(reason string) Result { return Result{Verdict: Skip, Reason: reason} }

// mentions reports whether a text has event_type as a JSON key, also one in a JSON string.
func mentions(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(`"event_type`))
		if i < 0 {
			return false
		}
		text = text[i+len(`"event_type`):]
		if len(text) > 0 && (text[0] == '"' || text[0] == '\\') {
			return true
		}
	}
}
