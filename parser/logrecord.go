package parser

import (
	"bytes"
	"cmp"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// Line reads one record of a log: an event, a JSON log record, IntelliDocs' verbose
// format, or any of these wrapped by a container runtime. data is one line, or all the
// pieces of a line that a container runtime cut, joined by '\n'.
//
// Whose record it is comes first:
//
//   - A JSON object with a string under name, logger or logger_name is a log record of that
//     logger, of ours where any of the three names it. But an object with an event_type of its own
//     is an event, "name" or not, unless it names our logger or also has both a level and a message,
//     as records do.
//   - `[time] [LEVEL] [logger] message` is a log record of that logger.
//   - Records of other loggers are skipped, whatever they hold, and so is text in no known form.
//
// In a record of our logger the first event found under event, payload, ai_event, message and msg
// is taken, then the record itself if it has an event_type. Meant as an event, and so rejected where
// none can be read, is: an object under event, payload or ai_event; an object with an event_type;
// text with "event_type" after a '{'; a message that is all object, broken off or whole. IntelliDocs'
// own messages about deliveries are none of these, even where they quote an event.
func Line(data []byte, o Options) Result {
	data = trim(data)
	if len(data) == 0 {
		return skip(SkipBlank)
	}
	if !mayHoldEvent(data) {
		return classify(data)
	}
	text, at, after := unwrap(data)
	res := o.line(text, at)
	if after > 0 && res.Verdict != Accept {
		// The last words of a container that ended, and the first of the next one.
		if later := Line(data[after:], o); later.Verdict == Accept || res.Verdict == Skip {
			return later
		}
	}
	return res
}

func (o *Options) line(text []byte, at time.Time) Result {
	switch {
	case len(text) == 0:
		return skip(SkipBlank)
	case text[0] == '{':
		return o.json(text, at)
	}
	if h, ok := verbose(text); ok {
		if string(h.logger) != Logger {
			return skip(SkipOtherLogger)
		}
		if t := parseTime(string(h.time)); !t.IsZero() {
			at = t
		}
		return o.message(h.message, at)
	}
	if after, isList := bytes.CutPrefix(text, []byte{'['}); isList && bytes.HasPrefix(bytes.TrimSpace(after), []byte{'{'}) && mentions(text) {
		return reject("it is an array of events; a line of a log holds one event")
	}
	return skip(SkipNoEvent)
}

// Object reads one JSON value of a spool file. It must be an event or a JSON log record
// that holds one; anything else is rejected.
func Object(data []byte, o Options) Result {
	text := trim(data)
	switch {
	case len(text) == 0:
		return reject("it is empty")
	case text[0] != '{':
		if _, err := pyjson.Canonical(text); err != nil {
			return reject("it is not valid JSON: %v", err)
		}
		return reject("it is not a JSON object but %s", pyjson.Kind(text))
	}
	obj, end, err := pyjson.ReadObject(text, 0)
	if err != nil {
		return reject("it is not valid JSON: %v", err)
	}
	if rest := bytes.TrimSpace(text[end:]); len(rest) > 0 {
		return reject("it is not valid JSON: at byte %d: there is more after the value", end+1)
	}
	name, isRecord := loggerOf(&obj)
	switch {
	case isRecord && name == Logger:
		if res := o.record(obj, time.Time{}); res.Verdict != Skip {
			return res
		}
		return reject("it is a log record that holds no event")
	case isRecord && !obj.Has("event_type"):
		return reject("it is no event: it has no event_type, and is a log record of another logger")
	case !obj.Has("event_type"):
		return reject("it is no event: it has no event_type")
	}
	return o.event(obj, time.Time{})
}

// json reads a record that begins with '{'.
func (o *Options) json(text []byte, at time.Time) Result {
	obj, end, err := pyjson.ReadObject(text, 0)
	name, isRecord := loggerOf(&obj)
	switch {
	case isRecord && name != Logger:
		return skip(SkipOtherLogger)
	case err != nil:
		return broken(&obj, isRecord, text, err)
	}
	var res Result
	switch {
	case isRecord:
		res = o.record(obj, at)
	case obj.Has("event_type"):
		res = o.event(obj, at)
	default:
		return skip(SkipNoEvent)
	}
	return alone(res, text[end:])
}

// broken judges a record that begins with '{' and is not JSON, by what came before the error.
func broken(obj *pyjson.Object, ours bool, text []byte, err error) Result {
	meant := obj.Has("event_type") || mentions(text)
	if ours {
		for _, key := range eventKeys {
			if value := obj.Get(key); value != nil && (len(value) == 0 || pyjson.IsObject(value)) {
				meant = true
			}
		}
	}
	switch {
	case meant:
		return reject("not valid JSON: %v", err)
	case pythonRepr(text):
		return reject("%s", reprReason)
	}
	return skip(SkipNoEvent)
}

// alone turns an event into a rejected record where a second one follows it on the same
// line: two writers without a newline between them. Other text after an event is ignored.
func alone(res Result, rest []byte) Result {
	if i := bytes.IndexByte(rest, '{'); res.Verdict == Accept && i >= 0 && mentions(rest[i:]) {
		return reject("there is more than one event in the record; a record holds one event")
	}
	return res
}

var (
	loggerKeys  = []string{"name", "logger", "logger_name"}
	levelKeys   = []string{"levelname", "level", "levelno", "severity", "log_level"}
	messageKeys = []string{"message", "msg", "event"}
	eventKeys   = []string{"event", "payload", "ai_event"}
)

// loggerOf returns the name of the logger where the object is a log record; see Line.
func loggerOf(obj *pyjson.Object) (name string, isRecord bool) {
	for _, key := range loggerKeys {
		switch s, ok := obj.Str(key); {
		case !ok || len(s) == 0:
		case string(s) == Logger:
			return Logger, true
		case name == "":
			name = string(s)
		}
	}
	if name == "" {
		return "", false
	}
	return name, !obj.Has("event_type") || hasAny(obj, levelKeys) && hasAny(obj, messageKeys)
}

func hasAny(obj *pyjson.Object, keys []string) bool {
	for _, key := range keys {
		if obj.Has(key) {
			return true
		}
	}
	return false
}

// record reads a JSON log record of our logger.
func (o *Options) record(obj pyjson.Object, at time.Time) Result {
	if t := recordTime(&obj); !t.IsZero() {
		at = t
	}
	first := skip(SkipNoEvent)
	for _, key := range []string{"event", "payload", "ai_event", "message", "msg"} {
		res := o.under(&obj, key, at)
		if res.Verdict == Accept {
			return res
		}
		if res.Verdict == Reject && first.Verdict == Skip {
			res.Reason = "under " + key + ": " + res.Reason
			first = res
		}
	}
	if first.Verdict == Skip && obj.Has("event_type") {
		return o.event(obj, at)
	}
	return first
}

// under reads what a record has under a key.
func (o *Options) under(rec *pyjson.Object, key string, at time.Time) Result {
	forEvents := key == "event" || key == "payload" || key == "ai_event"
	value := rec.Get(key)
	switch {
	case pyjson.IsObject(value):
		obj, _, _ := pyjson.ReadObject(value, 0) // canonical already: it can be read
		if !forEvents && !obj.Has("event_type") {
			return skip(SkipNoEvent)
		}
		if obj.Flaw != nil {
			obj.Flaw = cmp.Or(rec.Flaw, obj.Flaw) // the same one, with its place in the record
		}
		return o.event(obj, at)
	case forEvents && mentions(value) && value[0] == '[':
		return reject("it is an array; a record holds one event")
	}
	text, ok := pyjson.Unquote(value)
	if !ok {
		return skip(SkipNoEvent)
	}
	return o.message(text, at)
}
