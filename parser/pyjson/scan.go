package pyjson

import (
	"bytes"
	"iter"
)

// What reads a part of a document here goes over its text and allocates nothing. The text
// must be JSON; an error in it ends the iteration.

// Members iterates over an object's members: each key as its quoted text, with its value's
// text. Whatever else the text is has none.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		at, ok := opening(object, '{')
		for ok {
			from := skipSpace(object, at)
			if from >= len(object) || object[from] != '"' {
				return
			}
			end := skipString(object, from)
			colon := skipSpace(object, max(end, 0))
			if end < 0 || colon >= len(object) || object[colon] != ':' {
				return
			}
			value := skipSpace(object, colon+1)
			after := skipValue(object, value)
			if after < 0 || !yield(object[from:end], object[value:after]) {
				return
			}
			at, ok = comma(object, after)
		}
	}
}

// Elements iterates over the texts of an array's elements. Whatever else the text is has
// none.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		at, ok := opening(array, '[')
		for ok {
			from := skipSpace(array, at)
			end := skipValue(array, from)
			if end < 0 || !yield(array[from:end]) {
				return
			}
			at, ok = comma(array, end)
		}
	}
}

func opening(text []byte, bracket byte) (after int, ok bool) {
	at := skipSpace(text, 0)
	return at + 1, at < len(text) && text[at] == bracket
}

func comma(text []byte, at int) (after int, ok bool) {
	at = skipSpace(text, at)
	return at + 1, at < len(text) && text[at] == ','
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// skipValue returns where the value at at ends, -1 where there is none.
func skipValue(text []byte, at int) int {
	depth := 0
	for i := at; i < len(text); {
		switch text[i] {
		case '"':
			if i = skipString(text, i); i < 0 {
				return -1
			}
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth--; depth < 0 {
				return -1
			}
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return -1
			}
			i++
			continue
		default:
			for i < len(text) && bytes.IndexByte([]byte("\"{}[],: \t\r\n"), text[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}

// skipString returns where the string whose quote is at at ends, -1 where it does not.
func skipString(text []byte, at int) int {
	for i := at + 1; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		i += n + 1
		escapes := text[at+1 : i-1]
		if (len(escapes)-len(bytes.TrimRight(escapes, `\`)))%2 == 0 {
			return i
		}
	}
}
