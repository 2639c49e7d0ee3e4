package parser

import (
	"bytes"
	"cmp"
	"slices"
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
	return o.wrapped(data)
}

// wrapped reads a record that may be wrapped by a container runtime.
func (o *Options) wrapped(data []byte) Result {
	if i := gluedWrap(data); i > 0 && o.depth < maxGlued {
		o.depth++
		return glue(o.wrapped(bytes.TrimRight(data[:i], " \x00")), o.wrapped(data[i:]))
	}
	text, at, after := unwrap(data)
	res := o.line(text, at)
	if after > 0 && res.Verdict != Accept && len(res.Glued) == 0 {
		// The last words of a container that ended, and the first of the next one.
		if later := o.wrapped(data[after:]); later.Verdict == Accept || res.Verdict == Skip {
			return glue(res, later)
		}
	}
	return res
}

func (o *Options) line(text []byte, at time.Time) Result {
	text = uncolored(text)
	switch {
	case len(text) == 0:
		return skip(SkipBlank)
	case text[0] == '{' && o.Verbose:
		return continuation(text)
	case text[0] == '{':
		return o.json(text, at)
	}
	return o.text(text, at)
}

// text reads a record that is no JSON.
func (o *Options) text(text []byte, at time.Time) Result {
	if h, ok := readHeader(text); ok {
		res := skip(SkipOtherLogger)
		if h.ours() {
			res = o.message(h.message, stated(h.time, at))
		}
		res.Headed = h.dated()
		return res
	}
	if o.Verbose {
		return continuation(text)
	}
	// In a text of no known form, from our logger's name on.
	switch h, who := foreignHeader(text); {
	case who == ours:
		return o.message(h.message, stated(h.time, at))
	case who == others:
		return skip(SkipOtherLogger)
	case lost(text):
		return reject(lostReason)
	}
	if after, isList := bytes.CutPrefix(text, []byte{'['}); isList && bytes.HasPrefix(bytes.TrimSpace(after), []byte{'{'}) && mentions(text) {
		return reject("it is an array of events; a line of a log holds one event")
	}
	return skip(SkipNoEvent)
}

// lost reports whether a text that was read as neither an event nor another logger's record
// names both our logger and an event's type: a person is to see it.
func lost(text []byte) bool { return mentions(text) && bytes.Contains(text, []byte(Logger)) }

const lostReason = "it names " + Logger + " and an event_type and is in no form that can be read"

// NoHeader begins the reason for which a line is rejected that has no header in a log of
// IntelliDocs' verbose format.
const NoHeader = "it has no header, in a log whose records have one, so anybody whose text is logged may have written it"

// continuation judges a line without a header in a log of the verbose format.
func continuation(text []byte) Result {
	switch {
	case lost(text):
		return reject(NoHeader + "; have IntelliDocs write its events to ai_webhooks.log")
	case mentions(text):
		return skip(SkipContinuation)
	}
	return skip(SkipNoEvent)
}

// stated is the time that a header states, at where it cannot be read.
func stated(text []byte, at time.Time) time.Time {
	if t := parseTime(string(text)); !t.IsZero() {
		return t
	}
	return at
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
	if err != nil && !isLogger([]byte(name)) {
		isRecord = false // what was broken off took the next record's beginning for its end
	}
	switch {
	case isRecord && name != Logger:
		return skip(SkipOtherLogger)
	case err != nil:
		return o.torn(broken(&obj, isRecord, text, err), text, err)
	}
	var res Result
	switch {
	case isRecord:
		res = o.record(obj, at)
	case obj.Has("event_type"):
		res = o.event(obj, at)
	default:
		res = o.carried(&obj, text[:end], at)
	}
	return o.rest(res, text[end:])
}

// carried reads a JSON object that is no record of a logger by itself and carries, as a
// string, a line that one wrote: what journald, Vector and GELF make of the verbose format.
func (o *Options) carried(obj *pyjson.Object, text []byte, at time.Time) Result {
	for _, key := range carrierKeys {
		if line, ok := obj.Str(key); ok && bytes.Contains(line, []byte(quotedLogger)) {
			res := o.text(trim(uncolored(line)), at)
			res.Headed = false // the log is the shipper's
			return res
		}
	}
	if lost(text) {
		return reject(lostReason)
	}
	return skip(SkipNoEvent)
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

var (
	loggerKeys  = []string{"name", "logger", "logger_name", "log.logger"}
	levelKeys   = []string{"levelname", "level", "levelno", "severity", "log_level"}
	messageKeys = []string{"message", "msg", "event"}
	eventKeys   = []string{"event", "payload", "ai_event"}
	// placeKeys are all places of an event in a record, in the order in which they are tried.
	placeKeys = append(slices.Clone(eventKeys), "data", "message", "msg")
	// nestKeys hold what a record was given besides its message; events may stand there.
	nestKeys = []string{"extra", "context"}
	// carrierKeys are where log shippers put the line they read.
	carrierKeys = []string{"message", "MESSAGE", "msg", "short_message", "full_message", "log", "line", "text"}
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
	if value := obj.Get("log"); name == "" && pyjson.IsObject(value) { // ECS, nested
		inner, _, _ := pyjson.ReadObject(value, 0)
		s, _ := inner.Str("logger")
		name = string(s)
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
	for _, key := range placeKeys {
		res := o.under(&obj, key, at)
		if res.Verdict == Accept {
			return res
		}
		if res.Verdict == Reject && first.Verdict == Skip {
			res.Reason = "under " + key + ": " + res.Reason
			first = res
		}
	}
	switch {
	case first.Verdict != Skip:
		return first
	case obj.Has("event_type"):
		return o.event(obj, at)
	}
	if res := o.nested(&obj, at); res.Verdict != Skip {
		return res
	}
	if mentions(obj.Text) && !mentions(obj.Get("message")) && !mentions(obj.Get("msg")) {
		return reject("it is a record of %s with an event_type, and that stands nowhere an event is looked for", Logger)
	}
	return first
}

// nested reads an event one level down, in what a record was given besides its message.
func (o *Options) nested(rec *pyjson.Object, at time.Time) Result {
	for _, nest := range nestKeys {
		value := rec.Get(nest)
		if !pyjson.IsObject(value) {
			continue
		}
		inner, _, _ := pyjson.ReadObject(value, 0) // canonical already: it can be read
		inner.Flaw = rec.Flaw
		if inner.Has("event_type") {
			return o.event(inner, at)
		}
		for _, key := range placeKeys[:len(placeKeys)-2] {
			if res := o.under(&inner, key, at); res.Verdict == Accept || res.Verdict == Reject && mentions(inner.Get(key)) {
				return res
			}
		}
	}
	return skip(SkipNoEvent)
}

// under reads what a record has under a key.
func (o *Options) under(rec *pyjson.Object, key string, at time.Time) Result {
	forEvents := slices.Contains(eventKeys, key)
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
	case mentions(value) && value[0] == '[':
		return reject("it is an array; a record holds one event")
	}
	text, ok := pyjson.Unquote(value)
	if !ok {
		return skip(SkipNoEvent)
	}
	return o.message(text, at)
}
