package parser

import (
	"bytes"
	"errors"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// A writer that dies, or whose disk is full, leaves a record without its end. The next
// record then stands on the same line, behind what is left of the first, perhaps with NUL
// bytes between. The torn one is rejected, the next one read.
//
// Where the next one begins is told by what no content can forge: within JSON every quote
// of a title or a response is escaped. So `{"` in a broken object, and a header followed by an
// object with quotes of its own, are no content. In the text of another logger they may well
// be, which is why nothing is looked for there.

// maxGlued bounds the records that are read of one line.
const maxGlued = 100

// glue is the result of a line that holds both: what is a Skip leaves no trace beside the
// other.
func glue(first, next Result) Result {
	switch {
	case next.Verdict == Skip && len(next.Glued) == 0:
		return first
	case first.Verdict == Skip && len(first.Glued) == 0:
		next.Headed = first.Headed || next.Headed
		return next
	}
	more := next.Glued
	next.Glued = nil
	if len(first.Glued)+len(more) >= maxGlued {
		first.Glued = append(first.Glued[:min(len(first.Glued), maxGlued-1)], reject("more than %d records stand on one line", maxGlued))
		return first
	}
	if next.Verdict != Skip {
		first.Glued = append(first.Glued, next)
	}
	first.Glued = append(first.Glued, more...)
	return first
}

// split reads a message of our logger that another record's header stands in, at i.
func (o *Options) split(text []byte, i int, at time.Time) Result {
	if o.depth++; o.depth > maxGlued {
		return reject("more than %d records stand on one line", maxGlued)
	}
	first := o.message(bytes.TrimRight(text[:i], "\x00"), at)
	return glue(first, o.line(text[i:], at))
}

// rest reads what follows an object on its line. Words may follow it; another record may too.
func (o *Options) rest(first Result, rest []byte) Result {
	rest = bytes.TrimLeft(rest, " \t\r\x00")
	if len(rest) == 0 {
		return first
	}
	begins := rest[0] == '{' && !o.Verbose
	if !begins {
		_, _, _, _, begins = criParts(rest)
	}
	if !begins {
		h, ok := readHeader(rest)
		begins = ok && h.dated()
	}
	_, object, another := bytes.Cut(rest, []byte{'{'})
	switch {
	case begins && o.depth < maxGlued:
		o.depth++
		return glue(first, o.wrapped(rest))
	case first.Verdict == Accept && another && mentions(object):
		return reject("there is more than one event in the record; a record holds one event")
	}
	return first
}

// torn reads the record that stands behind a broken object, where one does.
func (o *Options) torn(first Result, text []byte, err error) Result {
	i := nextObject(text, err)
	if i <= 0 {
		return first
	}
	if o.depth++; o.depth > maxGlued {
		return first
	}
	if _, end, err := pyjson.ReadObject(text[i:], 0); err == nil {
		// What the broken object continues behind is a part of it.
		if rest := bytes.TrimLeft(text[i+end:], " \t\r\x00"); len(rest) > 0 && bytes.IndexByte([]byte("}],:"), rest[0]) >= 0 {
			return first
		}
	}
	next := o.wrapped(text[i:])
	if next.Verdict != Accept && len(next.Glued) == 0 {
		return first
	}
	if first.Verdict == Skip {
		first = reject("it was cut off: another record begins in it")
	}
	return glue(first, next)
}

// nextObject returns where in a broken object the next record begins; -1 where none does.
func nextObject(text []byte, err error) int {
	var broke *pyjson.SyntaxError
	if !errors.As(err, &broke) || broke.Deep {
		return -1
	}
	at := min(broke.At, len(text))
	if at > len(objectBegins) && bytes.HasSuffix(text[:at], objectBegins) {
		return at - len(objectBegins) // its quote ended the string that was broken off
	}
	if i := bytes.Index(text[at:], objectBegins); i >= 0 {
		return at + i
	}
	return lastObject(text)
}

var objectBegins = []byte(`{"`)

// dockerBegins is how Docker begins each record. Within JSON text it cannot stand
// unescaped in a string.
var dockerBegins = []byte(`{"log":"`)

// gluedWrap returns where the next record begins in a line that a container runtime wrote;
// -1 where there is only one.
func gluedWrap(data []byte) int {
	if bytes.HasPrefix(data, dockerBegins) {
		i := bytes.Index(data[1:], dockerBegins)
		if i < 0 || bytes.IndexByte(data[:i+1], '\n') >= 0 {
			return -1
		}
		if _, _, _, ok := dockerParts(data[i+1:]); ok {
			return i + 1
		}
		return -1
	}
	return tornStamp(data)
}

// tornStamp finds the beginning of a record of the Container Runtime Interface behind the
// first bytes of another's time.
func tornStamp(data []byte) int {
	const longest = len("2025-11-14T15:00:00.123456789+01:00 stderr ")
	if len(data) == 0 || data[0] < '0' || data[0] > '9' {
		return -1
	}
	if text, _, ok := criRecord(data); ok {
		text = bytes.TrimLeft(text, " \x00")
		if _, _, ok = criRecord(text); ok {
			return len(data) - len(text)
		}
		return -1
	}
	head, _, _ := bytes.Cut(data[:min(len(data), 3*longest)], []byte{'\n'})
	for i := range head {
		if i > 0 && data[i] >= '0' && data[i] <= '9' {
			if _, _, ok := criRecord(data[i:]); ok {
				return i
			}
		}
	}
	return -1
}

// lastObject returns where the object begins that ends with the text, as a value of what
// was broken off where a value was due; -1 where there is none.
func lastObject(text []byte) int {
	var open []int
	last, quoted := -1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			open = append(open, i)
		case c == '}' && len(open) > 0:
			last, open = open[len(open)-1], open[:len(open)-1]
			if i == len(text)-1 {
				return last
			}
		}
	}
	return -1
}
