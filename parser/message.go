package parser

import (
	"bytes"
	"errors"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// header is what IntelliDocs' verbose format puts around a message:
// `[asctime] [LEVEL] [logger] message`.
type header struct{ time, logger, message []byte }

func verbose(text []byte) (h header, ok bool) {
	if h.time, text, ok = bracket(text); !ok {
		return h, false
	}
	if _, text, ok = bracket(text); !ok {
		return h, false
	}
	h.logger, h.message, ok = bracket(text)
	return h, ok
}

// maxBracket bounds what stands between two brackets: a time, a level, a logger's name.
const maxBracket = 200

func bracket(text []byte) (inside, rest []byte, ok bool) {
	text = bytes.TrimLeft(text, " ")
	if len(text) == 0 || text[0] != '[' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text[:min(len(text), maxBracket)], ']')
	if end < 0 {
		return nil, nil, false
	}
	return bytes.TrimSpace(text[1:end]), text[end+1:], true
}

// message finds an event in the message of a record of our logger. Words may stand before
// and after it. Each '{' that is not within an object already read is tried, so that
// neither a part of an event is taken for one nor any byte is read more than twice.
func (o *Options) message(text []byte, at time.Time) Result {
	text = trim(text)
	start := bytes.IndexByte(text, '{')
	if start < 0 || ownMessage(text) {
		return skip(SkipNoEvent)
	}
	var first error
	d := pyjson.NewDecoder(text, start)
	for from := start; from >= 0; {
		next := from + 1
		if opens(text[next:]) {
			obj, end, err := d.Object(from)
			var broke *pyjson.SyntaxError
			switch {
			case errors.As(err, &broke):
				if broke.Deep || obj.Has("event_type") || from == 0 {
					return reject("not valid JSON: %v", err)
				}
				if first == nil {
					first = err
				}
				// What was read of it may hold objects; they are not events by themselves.
				next = max(next, broke.At)
			case obj.Has("event_type"):
				return alone(o.event(obj, at), text[end:])
			case from == 0 && end == len(text):
				return reject("the event has no event_type")
			default:
				next = end
			}
		}
		if from = bytes.IndexByte(text[next:], '{'); from >= 0 {
			from += next
		}
	}
	switch {
	case first != nil && mentions(text[start:]):
		return reject("not valid JSON: %v", first)
	case pythonRepr(text[start:]):
		return reject("%s", reprReason)
	case mentions(text[start:]) && !opens(text[start+1:]):
		return reject("not valid JSON: at byte %d: a key in double quotes is expected", start+2)
	}
	return skip(SkipNoEvent)
}

// opens reports whether what follows a '{' can be the inside of an object.
func opens(inside []byte) bool {
	inside = bytes.TrimLeft(inside, " \t\r\n")
	return len(inside) == 0 || inside[0] == '"' || inside[0] == '}'
}

// reprReason tells people who log the dict itself what to do instead.
const reprReason = "it is Python's repr of a dict and not JSON: log json.dumps(payload)"

func pythonRepr(text []byte) bool {
	return bytes.HasPrefix(text, []byte("{'")) && bytes.Contains(text, []byte("'event_type'"))
}

// ownMessages begin what IntelliDocs' documents/webhooks.py says of its own deliveries. They may
// quote a response, and that may quote an event.
var ownMessages = []string{
	"AI Webhook to http",
	"AI Webhook sent successfully to ",
	"AI Webhook blocked: ",
	"AI webhooks are disabled",
	"Queued AI webhook ",
	"No webhook URLs configured ",
	"Skipping invalid webhook URL: ",
	"Error validating webhook URL ",
}

func ownMessage(text []byte) bool {
	for _, prefix := range ownMessages {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return true
		}
	}
	return false
}
