package queue

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// search finds a text in either case. In a payload, which is kept as its canonical bytes,
// a title's "Ä" stands as \u00c4 and its quotes as \", so there the text is looked for in
// that form too.
type search struct {
	lower   []byte
	escaped *regexp.Regexp // nil where it would be the same
}

// newSearch returns nil for the empty text, which everything has.
func newSearch(text string) *search {
	if text == "" {
		return nil
	}
	s := &search{lower: []byte(strings.ToLower(text))}
	var pattern strings.Builder
	for _, r := range text { // as it is: some letters in lower case are others than they were
		pattern.WriteString(escapedRune(r))
	}
	if pattern.String() != regexp.QuoteMeta(string(s.lower)) {
		s.escaped = regexp.MustCompile(pattern.String())
	}
	return s
}

// escapedRune is the pattern of a character in either case as a canonical payload in lower
// case has it.
func escapedRune(r rune) string {
	if i := strings.IndexRune("\"\\\b\f\n\r\t", r); i >= 0 {
		return regexp.QuoteMeta(`\` + `"\bfnrt`[i:i+1])
	}
	if r < unicode.MaxASCII && unicode.IsPrint(r) {
		return regexp.QuoteMeta(string(unicode.ToLower(r)))
	}
	forms := []string{escapes(r)}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		forms = append(forms, escapes(f))
	}
	return "(?:" + strings.Join(forms, "|") + ")"
}

func escapes(r rune) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(&b, `\\u%04x`, u)
	}
	return b.String()
}

// in reports whether a text of ours has it.
func (s *search) in(text string) bool {
	return s == nil || strings.Contains(strings.ToLower(text), string(s.lower))
}

// inPayload reports whether a canonical payload has it, as it stands there or as it reads.
func (s *search) inPayload(body []byte) bool {
	if s == nil {
		return true
	}
	body = bytes.ToLower(body)
	return bytes.Contains(body, s.lower) || s.escaped != nil && s.escaped.Match(body)
}
