package parser

import (
	"bytes"
	"errors"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

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
	for from, seen := start, 0; from >= 0; {
		if i := nextHeader(text, seen, from); i >= 0 {
			return o.split(text, i, at)
		}
		next := from + 1
		if opens(text[next:]) {
			obj, end, err := d.Object(from)
			var broke *pyjson.SyntaxError
			switch {
			case errors.As(err, &broke):
				if first == nil { // what it finds, or that there is nothing, holds for later errors too
					if i := nextHeader(text, from, len(text)); i >= 0 {
						return o.split(text, i, at)
					}
				}
				if broke.Deep || obj.Has("event_type") || from == 0 {
					return reject("not valid JSON: %v", err)
				}
				if first == nil {
					first = err
				}
				// What was read of it may hold objects; they are not events by themselves.
				next = max(next, broke.At)
			case obj.Has("event_type"):
				return o.rest(o.event(obj, at), text[end:])
			case from == 0 && end == len(text):
				return reject("the event has no event_type")
			default:
				next = end
			}
		}
		seen = next
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
