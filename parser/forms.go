package parser

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	keyEventType = []byte("event_type")
	loggerName   = []byte(Logger)
	hiddenEscape = []byte(`\u`)
)

// Line reads one record of a log: an event, a JSON log record, IntelliDocs' verbose
// format, or any of these wrapped by a container runtime.
//
//   - Records of other loggers are skipped, whatever they hold.
//   - A bare object is an event where it has an event_type.
//   - In a record of the logger, an object under event, payload or ai_event, or an object
//     with an event_type in the message, is meant as an event; what is wrong with it is
//     the reason it is rejected for. Other messages are skipped.
func Line(data []byte, o Options) Result {
	// Most of a log is none of our business; look for what every event has before
	// anything else is done with the bytes. An escape could hide it.
	hides := bytes.Contains(data, hiddenEscape)
	if !hides && !bytes.Contains(data, keyEventType) && !bytes.Contains(data, loggerName) {
		return other(data)
	}
	text, at := unwrap(data)
	switch {
	case len(text) == 0:
		return skip(SkipBlank)
	case text[0] == '{':
		return object(text, at, o, false)
	}
	return verbose(text, at, o)
}

// other classifies a record that can hold no event.
func other(data []byte) Result {
	switch data = bytes.TrimSpace(data); {
	case len(data) == 0:
		return skip(SkipBlank)
	case data[0] == '[' && bytes.Contains(data[:min(len(data), 200)], []byte("] [")):
		return skip(SkipOtherLogger)
	}
	return skip(SkipNoEvent)
}

// Object reads one JSON value of a spool file. It must be an event or a JSON log record
// that holds one.
func Object(data []byte, o Options) Result {
	res := object(trim(data), time.Time{}, o, true)
	if res.Verdict == Skip {
		return reject("it is no event: it has no event_type")
	}
	return res
}

// object reads a JSON object; must says that it has no business being anything but an event.
func object(text []byte, at time.Time, o Options, must bool) Result {
	v, err := decode(text)
	if err != nil {
		if must || bytes.Contains(text, keyEventType) {
			return reject("not valid JSON: %v", err)
		}
		return skip(SkipNoEvent)
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return reject("it is not a JSON object")
	}
	name, isRecord := logger(obj)
	if isRecord {
		return record(obj, name, at, o)
	}
	if _, has := obj["event_type"]; has || must {
		return accept(obj, at, o)
	}
	return skip(SkipNoEvent)
}

// logger gives the name of the logger where the object is a log record. An event may
// have a "name" of its own: with an event_type at the top it is a record only if it also
// has what every record has.
func logger(obj map[string]any) (string, bool) {
	_, isEvent := obj["event_type"]
	for _, key := range []string{"name", "logger", "logger_name"} {
		name, ok := obj[key].(string)
		if !ok {
			continue
		}
		if name == Logger && (!isEvent || carried(obj) != "") || !isEvent {
			return name, true
		}
	}
	return "", false
}

// carried is the key under which a record has its event.
func carried(obj map[string]any) string {
	for _, key := range []string{"event", "payload", "ai_event"} {
		switch v := obj[key].(type) {
		case map[string]any:
			return key
		case string:
			if strings.HasPrefix(strings.TrimSpace(v), "{") {
				return key
			}
		}
	}
	return ""
}

func record(obj map[string]any, name string, at time.Time, o Options) Result {
	if name != Logger {
		return skip(SkipOtherLogger)
	}
	if t := recordTime(obj); !t.IsZero() {
		at = t
	}
	if key := carried(obj); key != "" {
		return within(obj[key], at, o, key)
	}
	for _, key := range []string{"message", "msg", "event"} {
		switch v := obj[key].(type) {
		case map[string]any:
			return within(v, at, o, key)
		case string:
			if res := message([]byte(v), at, o); res.Verdict != Skip {
				return res
			}
		}
	}
	return skip(SkipNoEvent)
}

// within reads what a record has under a key meant for events.
func within(v any, at time.Time, o Options, key string) Result {
	if text, ok := v.(string); ok {
		decoded, err := decode([]byte(text))
		if err != nil {
			return reject("the text under %q is not valid JSON: %v", key, err)
		}
		v = decoded
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return reject("what is under %q is not a JSON object", key)
	}
	return accept(obj, at, o)
}

// verbose reads `[asctime] [LEVEL] [logger] message`.
func verbose(text []byte, at time.Time, o Options) Result {
	asctime, rest, ok := bracket(text)
	if !ok {
		return skip(SkipNoEvent)
	}
	_, rest, ok = bracket(rest)
	if !ok {
		return skip(SkipNoEvent)
	}
	name, rest, ok := bracket(rest)
	switch {
	case !ok:
		return skip(SkipNoEvent)
	case string(name) != Logger:
		return skip(SkipOtherLogger)
	}
	if t := parseTime(string(asctime)); !t.IsZero() {
		at = t
	}
	return message(rest, at, o)
}

func bracket(text []byte) (inside, rest []byte, ok bool) {
	text = bytes.TrimLeft(text, " ")
	if len(text) == 0 || text[0] != '[' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text, ']')
	if end < 0 || end > 200 {
		return nil, nil, false
	}
	return bytes.TrimSpace(text[1:end]), text[end+1:], true
}

// maxCandidates bounds how many '{' of a message are tried: each try may read it to its end.
const maxCandidates = 32

// message finds an event in the text of a record, which may have words before it.
func message(text []byte, at time.Time, o Options) Result {
	text = trim(text)
	if len(text) == 0 {
		return skip(SkipBlank)
	}
	if !bytes.Contains(text, keyEventType) && !bytes.Contains(text, hiddenEscape) || ownMessage(text) {
		return skip(SkipNoEvent)
	}
	var first error
	rest := text
	for range maxCandidates {
		start := bytes.IndexByte(rest, '{')
		if start < 0 {
			break
		}
		rest = rest[start:]
		v, n, err := decodePrefix(rest)
		obj, isObject := v.(map[string]any)
		_, isEvent := obj["event_type"]
		switch {
		case err == nil && isObject && isEvent:
			return accept(obj, at, o)
		case err == nil:
			rest = rest[n:]
			continue
		case first == nil && quoted(rest):
			first = err
		}
		rest = rest[1:]
	}
	if first != nil {
		return reject("the record's event is not valid JSON: %v", first)
	}
	return skip(SkipNoEvent)
}

// ownMessage tells IntelliDocs' messages about its own deliveries, which may quote a
// response, and that may quote an event.
func ownMessage(text []byte) bool {
	for _, prefix := range []string{"AI Webhook to http", "AI Webhook sent successfully to ", "AI Webhook blocked: ", "Skipping invalid webhook URL: ", "Error validating webhook URL ", "Queued AI webhook "} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return true
		}
	}
	return false
}

// quoted tells whether a text that begins with '{' has event_type as a key, not as a word.
func quoted(text []byte) bool { return bytes.Contains(text, []byte(`"event_type"`)) }

var timeKeys = []string{"asctime", "timestamp", "time", "@timestamp", "ts", "created"}

func recordTime(obj map[string]any) time.Time {
	for _, key := range timeKeys {
		switch v := obj[key].(type) {
		case string:
			if t := parseTime(v); !t.IsZero() {
				return t
			}
		case number:
			if f, err := strconv.ParseFloat(string(v), 64); err == nil && f > 0 && f < 1e11 {
				sec, frac := math.Modf(f)
				return time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000)
			}
		}
	}
	return time.Time{}
}

// parseTime reads RFC 3339 and Python's asctime, which has no zone: it is taken to be
// in this machine's, as the two stand side by side.
func parseTime(s string) time.Time {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t
	}
	s = strings.Replace(s, ",", ".", 1)
	for _, layout := range []string{"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t
		}
	}
	return time.Time{}
}
