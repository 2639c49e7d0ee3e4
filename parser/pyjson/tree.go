package pyjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// A short text may become a large tree: `{"":0},` takes 7 bytes as text and some 350 as a
// Go map. So the size of the tree is estimated from the text before anything of it is made.

// What the parts of a tree take in memory, in bytes, as measured: an empty map with room
// for eight members, a slice, a member or element beside its value, and a string's header.
const (
	mapSize     = 352
	sliceSize   = 64
	memberSize  = 48
	elementSize = 48
	stringSize  = 32
)

// TreeSize estimates from above, in bytes, what Decode allocates for a text. It allocates
// nothing itself. The text must be JSON.
func TreeSize(text []byte) int {
	size := elementSize + len(text) // all strings and numbers are part of it
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			end := skipString(text, i)
			if end < 0 {
				end = len(text)
			}
			size += stringSize
			i = end
			continue
		case '{':
			size += mapSize
		case '[':
			size += sliceSize
		case ':':
			size += memberSize
		case ',':
			size += elementSize
		}
		i++
	}
	return size
}

// Decode returns a document as a tree of map[string]any, []any, string, bool, nil and
// numbers: an int where it is an integer that fits one, a json.Number for a larger integer,
// a float64 (±Inf out of range) for every other number. A lone surrogate becomes U+FFFD.
// The document must be JSON, such as Canonical returns; what Python alone takes for JSON
// is refused.
func Decode(text []byte) (any, error) {
	t := tree{Decoder: Decoder{in: text}}
	v, err := t.read()
	if err != nil {
		return nil, err
	}
	if t.space(); t.pos < len(text) {
		return nil, t.fail("there is more after the value: %s", t.found())
	}
	if t.garbled != nil {
		return nil, t.garbled
	}
	return v, nil
}

// tree is a Decoder that makes values instead of text.
type tree struct {
	Decoder
	// elements are those of all arrays that are open.
	elements []any
}

var errNotStandard = errors.New("NaN and Infinity are not JSON")

func (t *tree) read() (any, error) {
	t.space()
	if t.pos >= len(t.in) {
		return nil, t.fail("a value is missing: %s", t.found())
	}
	switch c := t.in[t.pos]; {
	case c == '{' || c == '[':
		if t.depth >= MaxDepth {
			return nil, &SyntaxError{At: t.pos, What: "nested deeper than " + strconv.Itoa(MaxDepth), Deep: true}
		}
		t.depth++
		defer func() { t.depth-- }()
		if c == '{' {
			return t.readObject()
		}
		return t.readArray()
	case c == '"':
		return t.readString()
	case c == '-' || c >= '0' && c <= '9':
		return t.readNumber()
	case t.word("true"):
		return true, nil
	case t.word("false"):
		return false, nil
	case t.word("null"):
		return nil, nil
	}
	return nil, t.fail("a value is expected, not %s", t.found())
}

func (t *tree) readObject() (any, error) {
	t.pos++
	object := map[string]any{}
	t.space()
	if t.accept('}') {
		return object, nil
	}
	for {
		t.space()
		if t.pos >= len(t.in) || t.in[t.pos] != '"' {
			return nil, t.fail("a key in double quotes is expected, not %s", t.found())
		}
		key, err := t.readString()
		if err != nil {
			return nil, err
		}
		t.space()
		if !t.accept(':') {
			return nil, t.fail("':' is expected, not %s", t.found())
		}
		value, err := t.read()
		if err != nil {
			return nil, err
		}
		object[key] = value
		t.space()
		switch {
		case t.accept('}'):
			return object, nil
		case !t.accept(','):
			return nil, t.fail("',' or '}' is expected, not %s", t.found())
		}
	}
}

func (t *tree) readArray() (any, error) {
	t.pos++
	base := len(t.elements)
	t.space()
	if t.accept(']') {
		return []any{}, nil
	}
	for {
		value, err := t.read()
		if err != nil {
			return nil, err
		}
		t.elements = append(t.elements, value)
		t.space()
		switch {
		case t.accept(']'):
			array := make([]any, len(t.elements)-base)
			copy(array, t.elements[base:])
			clear(t.elements[base:])
			t.elements = t.elements[:base]
			return array, nil
		case !t.accept(','):
			return nil, t.fail("',' or ']' is expected, not %s", t.found())
		}
	}
}

func (t *tree) readString() (string, error) {
	text, plain, err := t.unquote()
	if err != nil || plain {
		return string(text), err
	}
	return validUTF8(text), nil
}

// validUTF8 replaces each lone surrogate of a WTF-8 text.
func validUTF8(text []byte) string {
	if !bytes.Contains(text, []byte{0xED}) {
		return string(text)
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := decodeWTF8(text)
		b.WriteRune(r) // U+FFFD for a surrogate
		text = text[n:]
	}
	return b.String()
}

func (t *tree) readNumber() (any, error) {
	text, whole, err := t.numeral()
	switch {
	case err != nil:
		return nil, err
	case text == nil:
		return nil, errNotStandard
	case !whole:
		return t.float.parse(text), nil
	}
	if i, err := strconv.Atoi(string(text)); err == nil {
		return i, nil
	}
	return json.Number(text), nil
}
