package parser

import (
	"bytes"
	"time"
)

// Container runtimes wrap what a program writes to its standard output: Docker's
// json-file driver as {"log":"…\n","stream":"stderr","time":"…"}, the Container Runtime
// Interface as `TIME STREAM TAG TEXT`. Both cut long lines in pieces: Docker's lack the
// newline at the end of "log", CRI's have the tag P.

// Fragment tells whether a line is a piece of a longer one that goes on in a later line
// under the same key (the stream it was written to).
func Fragment(line []byte) (key string, more bool) {
	if len(line) == 0 {
		return "", false
	}
	switch c := line[0]; {
	case c == '{' && bytes.Contains(line, []byte(`"log"`)) && bytes.Contains(line, []byte(`"stream"`)):
		if text, stream, _, ok := docker(line); ok {
			return stream, text == "" || text[len(text)-1] != '\n'
		}
	case c >= '0' && c <= '9':
		if _, stream, partial, _, ok := cri(line); ok {
			return stream, partial
		}
	}
	return "", false
}

// unwrap takes the container runtime's envelopes off a record and joins its pieces.
func unwrap(data []byte) ([]byte, time.Time) {
	data = trim(data)
	if len(data) == 0 || data[0] != '{' && (data[0] < '0' || data[0] > '9') {
		return data, time.Time{}
	}
	var joined []byte
	var first time.Time
	pieces := 0
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		text, at, ok := peel(bytes.TrimRight(line, "\r"))
		if !ok {
			return data, time.Time{}
		}
		if pieces == 0 {
			first = at
		}
		pieces++
		joined = append(joined, text...)
	}
	return trim(joined), first
}

func peel(line []byte) ([]byte, time.Time, bool) {
	if len(line) > 0 && line[0] == '{' {
		if !bytes.Contains(line, []byte(`"log"`)) {
			return nil, time.Time{}, false
		}
		text, _, at, ok := docker(line)
		return []byte(text), at, ok
	}
	at, _, _, text, ok := cri(line)
	return text, at, ok
}

func docker(line []byte) (text, stream string, at time.Time, ok bool) {
	v, err := decode(line)
	if err != nil {
		return "", "", at, false
	}
	obj, _ := v.(map[string]any)
	text, isLog := obj["log"].(string)
	stream, isStream := obj["stream"].(string)
	stamp, isTime := obj["time"].(string)
	if _, event := obj["event_type"]; event || !isLog || !isStream && !isTime {
		return "", "", at, false
	}
	at, _ = time.Parse(time.RFC3339Nano, stamp)
	return text, stream, at, true
}

func cri(line []byte) (at time.Time, stream string, partial bool, text []byte, ok bool) {
	stamp, rest, found := bytes.Cut(line, []byte{' '})
	if !found || len(stamp) < len("2025-11-14T15:00:00Z") || stamp[4] != '-' {
		return at, "", false, nil, false
	}
	name, rest, found := bytes.Cut(rest, []byte{' '})
	if !found || string(name) != "stdout" && string(name) != "stderr" {
		return at, "", false, nil, false
	}
	tags, text, _ := bytes.Cut(rest, []byte{' '})
	// Tags may be joined by colons; only the first one has a meaning so far.
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil || string(tag) != "P" && string(tag) != "F" {
		return at, "", false, nil, false
	}
	return at, string(name), tag[0] == 'P', text, true
}

var bom = []byte("\xef\xbb\xbf")

func trim(data []byte) []byte {
	return bytes.TrimPrefix(bytes.TrimSpace(data), bom)
}
