package parser

import (
	"bytes"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// Container runtimes wrap what a program writes to its standard output: Docker's
// json-file driver as {"log":"…\n","stream":"stderr","time":"…"}, the Container Runtime
// Interface as `TIME STREAM TAG TEXT`. Both cut long lines in pieces, Docker at 16 KiB:
// its pieces lack the newline at the end of "log", CRI's have the tag P. Docker's newline
// is missing too where a container ended without one; what the next one writes is no
// continuation.

// dockerPiece is how much Docker puts in a piece. A shorter one was the last thing that a
// container wrote, unless something else than Docker cut the line.
const dockerPiece = 16 << 10

// criPiece is the least that a runtime with the Container Runtime Interface puts in a piece
// of a line that it cuts (conmon 8 KiB, containerd 16). A shorter one is what a container
// wrote last.
const criPiece = 4 << 10

// Fragment reports whether a line is a piece of a longer one that continues in a later line
// under the same key (the stream it was written to). The key is empty for a line that no
// container runtime wrote.
func Fragment(line []byte) (key string, more bool) {
	if inside, stream, _, ok := dockerParts(line); ok {
		return streamName(stream), !endsInNewline(inside) && !complete(line)
	}
	if _, _, stream, tag, ok := criParts(line); ok {
		return streamName(stream), tag == 'P'
	}
	if text, stream, _, ok := rewritten(line); ok {
		return streamName(stream), !bytes.HasSuffix(text, []byte{'\n'}) && !complete(line)
	}
	return "", false
}

// complete: the line is an event by itself, whatever may follow.
func complete(line []byte) bool { return Line(line, Options{}).Verdict == Accept }

// streamName allocates nothing for the two usual names.
func streamName(s []byte) string {
	switch string(s) {
	case "stdout":
		return "stdout"
	case "stderr":
		return "stderr"
	}
	return string(s)
}

// endsInNewline reports whether the inside of a JSON string ends in \n: an n after an odd
// number of backslashes.
func endsInNewline(inside []byte) bool {
	if len(inside) == 0 || inside[len(inside)-1] != 'n' {
		return false
	}
	inside = inside[:len(inside)-1]
	return (len(inside)-len(bytes.TrimRight(inside, `\`)))%2 == 1
}

// dockerParts splits a line exactly as Docker's json-file driver writes it: the inside of
// the "log" string, the stream, and what follows the stream. No string can hold
// `","stream":"` unescaped, so the first one ends the log.
func dockerParts(line []byte) (inside, stream, tail []byte, ok bool) {
	const begin, mid = `{"log":"`, `","stream":"`
	rest, ok := bytes.CutPrefix(line, []byte(begin))
	if !ok {
		return nil, nil, nil, false
	}
	i := bytes.Index(rest, []byte(mid))
	if i < 0 {
		return nil, nil, nil, false
	}
	inside, rest = rest[:i], rest[i+len(mid):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil, nil, nil, false
	}
	return inside, rest[:end], rest[end+1:], true
}

// criParts splits a line of the Container Runtime Interface; stamp is not checked.
func criParts(line []byte) (text, stamp, stream []byte, tag byte, ok bool) {
	const shortest = len("2025-11-14T15:00:00Z")
	if len(line) < shortest || line[4] != '-' || line[10] != 'T' {
		return nil, nil, nil, 0, false
	}
	stamp, rest, found := bytes.Cut(line, []byte{' '})
	if !found || len(stamp) < shortest {
		return nil, nil, nil, 0, false
	}
	stream, rest, found = bytes.Cut(rest, []byte{' '})
	if !found || string(stream) != "stdout" && string(stream) != "stderr" {
		return nil, nil, nil, 0, false
	}
	tags, text, _ := bytes.Cut(rest, []byte{' '})
	// Tags may be joined by colons; only the first one has a meaning so far.
	first, _, _ := bytes.Cut(tags, []byte{':'})
	if string(first) != "P" && string(first) != "F" {
		return nil, nil, nil, 0, false
	}
	return text, stamp, stream, first[0], true
}

// unwrap takes the container runtime's wrapping off a record and joins its pieces. Its
// time is that of the first piece. after is where in data the last piece ends that need
// not belong to what follows it, 0 where there is none.
func unwrap(data []byte) (text []byte, at time.Time, after int) {
	if bytes.IndexByte(data, '\n') < 0 {
		if text, at, ok := unwrapLine(data); ok {
			return trim(text), at, 0
		}
		return data, time.Time{}, 0
	}
	var joined []byte
	for from := 0; from < len(data); {
		line, _, _ := bytes.Cut(data[from:], []byte{'\n'})
		from += len(line) + 1
		piece, stamp, ok := unwrapLine(bytes.TrimSuffix(line, []byte{'\r'}))
		if !ok {
			return data, time.Time{}, 0
		}
		if at.IsZero() {
			at = stamp
		}
		if from < len(data) && (line[0] == '{' && len(piece) < dockerPiece || line[0] != '{' && len(piece) < criPiece) {
			after = from
		}
		joined = append(joined, piece...)
	}
	return trim(joined), at, after
}

// unwrapLine takes the wrapping off a line.
func unwrapLine(line []byte) (text []byte, at time.Time, ok bool) {
	if inside, _, tail, ok := dockerParts(line); ok && !bytes.Contains(tail, []byte(`"event_type"`)) {
		if text, ok := pyjson.Unquote(line[len(`{"log":`) : len(`{"log":"`)+len(inside)+1]); ok {
			return text, dockerTime(tail), true
		}
		return nil, at, false
	}
	if text, at, ok := criRecord(line); ok {
		return text, at, true
	}
	text, _, at, ok = rewritten(line)
	return text, at, ok
}

// criRecord is criParts with the stamp read.
func criRecord(line []byte) (text []byte, at time.Time, ok bool) {
	text, stamp, _, _, ok := criParts(line)
	if !ok {
		return nil, at, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return text, at, err == nil
}

// dockerTime reads the time from what follows the stream; attributes may stand before it.
func dockerTime(tail []byte) time.Time {
	rest, _ := bytes.CutPrefix(tail, []byte{','})
	obj, _, err := pyjson.ReadObject(append([]byte{'{'}, rest...), 0)
	if err != nil {
		return time.Time{}
	}
	return rfc3339(&obj)
}

func rfc3339(obj *pyjson.Object) time.Time {
	stamp, _ := obj.Str("time")
	at, _ := time.Parse(time.RFC3339Nano, string(stamp)) // without one that can be read the record has no time
	return at
}

// rewritten reads Docker's wrapping where something else has written it again, with spaces
// or its keys in another order.
func rewritten(line []byte) (text, stream []byte, at time.Time, ok bool) {
	if len(line) == 0 || line[0] != '{' || !bytes.Contains(line, []byte(`"log"`)) {
		return nil, nil, at, false
	}
	obj, _, err := pyjson.ReadObject(line, 0)
	if err != nil || obj.Has("event_type") || !obj.Has("stream") && !obj.Has("time") {
		return nil, nil, at, false
	}
	stream, _ = obj.Str("stream")
	text, ok = obj.Str("log")
	return text, stream, rfc3339(&obj), ok
}

var bom = []byte("\xef\xbb\xbf")

// trim takes off space around a text and a byte order mark before it.
func trim(text []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(text), bom))
}
