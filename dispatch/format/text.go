package format

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// escaper gives what stands for r in a service's markup. prev and next are its neighbours,
// 0 at the ends.
type escaper func(prev, r, next rune) string

// escape escapes s into at most most UTF-16 code units, the measure that is never less
// than what a service counts. What is too long ends in "…", cut between characters and
// never within what stands for one.
func escape(s string, most int, esc escaper) string {
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
		n := utf16Len(piece)
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

// clip cuts text to a number of UTF-16 code units.
func clip(s string, most int) string { return escape(s, most, asItIs) }

func utf16Len(s string) int {
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

// oneLine is text on one line, blanks collapsed.
func oneLine(s string) string { return strings.Join(strings.Fields(strings.Map(visible, s)), " ") }

// lines are the lines of a text that hold something, at most most of them.
func lines(s string, most int) []string {
	var out []string
	for line := range strings.Lines(s) {
		line = oneLine(line)
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

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
