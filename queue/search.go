package queue

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Search finds a text in either case. In a payload, which is kept as its canonical bytes,
// a title's "Ä" stands as \u00c4 and its quotes as \", so there the text is looked for as it
// reads too.
type Search struct {
	lower []byte
	read  []byte // in the form of readable; nil where that finds no more
}

// NewSearch returns nil for the empty text, which everything has.
func NewSearch(text string) *Search {
	if text == "" {
		return nil
	}
	s := &Search{lower: []byte(strings.ToLower(text))}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		for _, r := range text {
			s.read = appendFolded(s.read, r)
		}
	}
	return s
}

// appendFolded appends a character, the same one for all that differ in their case alone.
func appendFolded(to []byte, r rune) []byte {
	first := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		first = min(first, f)
	}
	return utf8.AppendRune(to, first)
}

// readable is a payload without its escapes, folded.
func readable(payload []byte) []byte {
	out := make([]byte, 0, len(payload))
	for len(payload) > 0 {
		r, size := utf8.DecodeRune(payload)
		if r == '\\' && len(payload) > 1 {
			r, size = escaped(payload)
		}
		out, payload = appendFolded(out, r), payload[size:]
	}
	return out
}

// escaped reads the escape that a text begins with, and returns how long that is.
func escaped(text []byte) (r rune, size int) {
	if r, ok := unit(text); ok {
		low, _ := unit(text[6:])
		if pair := utf16.DecodeRune(r, low); pair != unicode.ReplacementChar {
			return pair, 12
		}
		return r, 6
	}
	if i := strings.IndexByte("bfnrt", text[1]); i >= 0 {
		return rune("\b\f\n\r\t"[i]), 2
	}
	return rune(text[1]), 2
}

// unit reads the \uXXXX that a text begins with.
func unit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

// In reports whether a text of ours has it.
func (s *Search) In(text string) bool {
	return s == nil || strings.Contains(strings.ToLower(text), string(s.lower))
}

// InPayload reports whether a canonical payload has it, as it stands there or as it reads.
func (s *Search) InPayload(body []byte) bool {
	if s == nil || bytes.Contains(bytes.ToLower(body), s.lower) {
		return true
	}
	return s.read != nil && bytes.Contains(readable(body), s.read)
}
