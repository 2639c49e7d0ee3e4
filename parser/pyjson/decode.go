package pyjson

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest. Python 3.11 stops at 994 with an
// empty stack, and receivers parse from within their frameworks.
const MaxDepth = 900

// Decoder reads JSON with the grammar of Python's json.loads and writes it as
// json.dumps(…, sort_keys=True) does, in one pass and without a tree: an object's members
// are sorted in the output once its end is reached. So memory stays within a few times
// the input, whatever it holds.
//
// What is well-formed and yet not JSON by the standard (NaN, Infinity, a number that
// overflows, text that is not UTF-8) is a flaw: the first one is remembered and written
// as it came, and reading continues, as the rest decides whether it matters.
type Decoder struct {
	in    []byte
	pos   int
	out   []byte
	depth int
	// stack has the members of all objects that are open, the outermost object's first.
	stack []member
	flaw  error
	// garbled is the flaw of text that is not UTF-8: unlike the others it matters even in
	// a member that a later one of the same name replaces, as Python refuses it beforehand.
	garbled error
	// replaced: there was such a member.
	replaced bool
	// text, order and float are scratch space.
	text, order []byte
	float       floatReader
}

// NewDecoder returns a decoder of the values in in that begin at or after at.
func NewDecoder(in []byte, at int) *Decoder {
	n := len(in) - at
	return &Decoder{in: in, pos: at, out: make([]byte, 0, n+n/8+64+growth(in[at:]))}
}

// member is one member of an object: its key as WTF-8, and where the key, the value and
// the end of both are in the output. end is 0 for one whose value could not be read.
type member struct {
	key          []byte
	at, val, end int
}

// SyntaxError is why the input is not JSON.
type SyntaxError struct {
	// At is the offset at which reading stopped.
	At   int
	What string
	// Deep: it may well be JSON, nested deeper than MaxDepth.
	Deep bool
}

// Error counts bytes from one.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.At+1, e.What) }

func (d *Decoder) fail(format string, args ...any) error {
	return &SyntaxError{At: d.pos, What: fmt.Sprintf(format, args...)}
}

func (d *Decoder) flawed(at int, format string, args ...any) {
	if d.flaw == nil {
		d.flaw = &SyntaxError{At: at, What: fmt.Sprintf(format, args...)}
	}
}

// remainingFlaw returns the flaw that is left once all is read. What was written as it
// came is found again in the output, unless it was in a member that was replaced.
func (d *Decoder) remainingFlaw() error {
	if d.flaw != nil && d.replaced {
		again := NewDecoder(d.out, 0)
		if err := again.value(); err == nil && again.flaw == nil {
			d.flaw = nil
		}
	}
	return cmp.Or(d.flaw, d.garbled)
}

// found names what is at the position, for an error.
func (d *Decoder) found() string {
	if d.pos >= len(d.in) {
		return "the end (is the record cut off?)"
	}
	r, n := utf8.DecodeRune(d.in[d.pos:])
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("the byte %#02x", d.in[d.pos])
	}
	return strconv.QuoteRune(r)
}

func (d *Decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *Decoder) accept(c byte) bool {
	if d.pos < len(d.in) && d.in[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *Decoder) word(w string) bool {
	if !bytes.HasPrefix(d.in[d.pos:], []byte(w)) {
		return false
	}
	d.pos += len(w)
	return true
}

func (d *Decoder) value() error {
	d.space()
	if d.pos >= len(d.in) {
		return d.fail("a value is missing: %s", d.found())
	}
	switch c := d.in[d.pos]; {
	case c == '{' || c == '[':
		if d.depth >= MaxDepth {
			return &SyntaxError{At: d.pos, What: fmt.Sprintf("nested deeper than %d", MaxDepth), Deep: true}
		}
		d.depth++
		var err error
		if c == '{' {
			err = d.object()
		} else {
			err = d.array()
		}
		d.depth--
		return err
	case c == '"':
		_, err := d.str()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	from := d.pos
	switch {
	case d.word("true"), d.word("false"), d.word("null"):
	case d.word("NaN"), d.word("Infinity"):
		d.flawed(from, "NaN and Infinity are not JSON")
	default:
		return d.fail("a value is expected, not %s", d.found())
	}
	d.out = append(d.out, d.in[from:d.pos]...)
	return nil
}

func (d *Decoder) array() error {
	d.pos++
	d.out = append(d.out, '[')
	d.space()
	if d.accept(']') {
		d.out = append(d.out, ']')
		return nil
	}
	for {
		if err := d.value(); err != nil {
			return err
		}
		d.space()
		switch {
		case d.accept(']'):
			d.out = append(d.out, ']')
			return nil
		case !d.accept(','):
			return d.fail("',' or ']' is expected, not %s", d.found())
		}
		d.out = append(d.out, ", "...)
	}
}

// object leaves the members of the outermost object on the stack, also those it had
// before an error.
func (d *Decoder) object() error {
	base, begin := len(d.stack), len(d.out)
	d.pos++
	d.out = append(d.out, '{')
	sorted, err := d.members(base)
	if err == nil {
		d.out = append(d.out, '}')
		if !sorted {
			d.arrange(base, begin)
		}
	}
	if d.depth > 1 {
		d.stack = d.stack[:base]
	}
	return err
}

func (d *Decoder) members(base int) (sorted bool, err error) {
	sorted = true
	d.space()
	if d.accept('}') {
		return sorted, nil
	}
	for {
		d.space()
		if d.pos >= len(d.in) || d.in[d.pos] != '"' {
			return sorted, d.fail("a key in double quotes is expected, not %s", d.found())
		}
		m := member{at: len(d.out)}
		plain := false
		if m.key, plain, err = d.quoted(); err != nil {
			return sorted, err
		}
		if !plain {
			m.key = bytes.Clone(m.key)
		}
		d.space()
		if !d.accept(':') {
			return sorted, d.fail("':' is expected, not %s", d.found())
		}
		d.out = append(d.out, ": "...)
		m.val = len(d.out)
		at := len(d.stack)
		d.stack = append(d.stack, m)
		if err := d.value(); err != nil {
			return sorted, err
		}
		d.stack[at].end = len(d.out)
		if at > base && bytes.Compare(d.stack[at-1].key, m.key) >= 0 {
			sorted = false
		}
		d.space()
		switch {
		case d.accept('}'):
			return sorted, nil
		case !d.accept(','):
			return sorted, d.fail("',' or '}' is expected, not %s", d.found())
		}
		d.out = append(d.out, ", "...)
	}
}

// str reads a string and writes it.
func (d *Decoder) str() ([]byte, error) {
	s, _, err := d.quoted()
	return s, err
}

// quoted is str that also reports whether the text is part of the input; otherwise it is
// valid until the next string.
func (d *Decoder) quoted() (text []byte, plain bool, err error) {
	from := d.pos
	text, plain, err = d.unquote()
	switch {
	case err != nil:
	case plain:
		d.out = append(d.out, d.in[from:d.pos]...)
	default:
		d.out = appendQuoted(d.out, text)
	}
	return text, plain, err
}

// large is from what size on it is worth counting what becomes longer: growing takes as much
// again, and for a moment both are there.
const large = 64 << 10

// growth is how many bytes the escapes of a large text's characters take beyond their own.
func growth(in []byte) (n int) {
	if len(in) < large {
		return 0
	}
	for _, c := range in {
		switch {
		case c >= 0xF0:
			n += 12 - 4 // a surrogate pair
		case c >= 0xE0:
			n += 6 - 3
		case c >= 0xC0:
			n += 6 - 2
		}
	}
	return n
}
