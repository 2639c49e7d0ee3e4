// Package plain makes text that anybody may have written fit to be shown: on one line,
// printable, of a bounded length, and escaped for where it is put.
package plain

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Escaper returns what stands for r in a service's markup. prev and next are its neighbours,
// 0 at the ends.
type Escaper func(prev, r, next rune) string

// Escape escapes s into at most most UTF-16 code units, the measure that is never less
// than what a service counts. What is too long ends in "…", cut between characters and
// never within what stands for one.
func Escape(s string, most int, esc Escaper) string {
	if most < 1 {
		return ""
	}
	var b strings.Builder
	length, cut := 0, -1
	prev := rune(0)
	for i, r := range s {
		next := rune(0)
		if after := i + runeLen(s[i:]); after < len(s) {
			next, _ = utf8.DecodeRuneInString(s[after:])
		}
		piece := esc(prev, r, next)
		n := Len(piece)
		if cut < 0 && length+n > most-1 {
			cut = b.Len()
		}
		if length += n; length > most {
			return strings.TrimRight(b.String()[:cut], " \n") + "…"
		}
		b.WriteString(piece)
		prev = r
	}
	return b.String()
}

func runeLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func asItIs(_, r, _ rune) string { return string(r) }

// Clip cuts text to a number of UTF-16 code units.
func Clip(s string, most int) string { return Escape(s, most, asItIs) }

// Len is the length of a text in UTF-16 code units.
func Len(s string) int {
	n := 0
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// visible is r as it may be shown: no control characters, and none of those that turn the
// direction of writing, with which a document's title could make a sentence say the
// opposite.
func visible(r rune) rune {
	switch {
	case r == utf8.RuneError, unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return ' '
	case r == '\u061c', r >= '\u200e' && r <= '\u200f', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\ufeff':
		return -1
	}
	return r
}

// OneLine is text on one line, blanks collapsed; "" where nothing of it would be seen.
func OneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(visible, s)), " ")
	if !strings.ContainsFunc(s, shows) {
		return ""
	}
	return s
}

// shows reports whether r is more than room: services refuse a text in which nothing is.
func shows(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0': // letters without a shape
		return false
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.In(r, unicode.Mn, unicode.Me)
}

// Lines are the lines of a text that hold something, at most most of them.
func Lines(s string, most int) []string {
	var out []string
	for line := range strings.Lines(s) {
		line = OneLine(line)
		if line == "" {
			continue
		}
		if len(out) == most {
			out[most-1] = strings.TrimSuffix(out[most-1], "…") + " …"
			break
		}
		out = append(out, line)
	}
	return out
}

// Words makes a name of a key: blanks for underscores.
func Words(key string) string { return OneLine(strings.ReplaceAll(key, "_", " ")) }

// IsWord reports whether r is part of a word.
func IsWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// Time is the moment that a text tells, in UTC; zero where it tells none. One without a zone
// is UTC, as Django without zones writes it.
func Time(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// JSON encodes v as it is, without the escapes that HTML wants.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
