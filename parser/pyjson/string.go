package pyjson

import (
	"bytes"
	"unicode/utf8"
)

// Strings are WTF-8 once read: UTF-8 in which a lone surrogate, which JSON can escape and
// Python keeps, is written like any other code point. Its byte order is code point order,
// which is the order Python sorts keys in.

// plainText has the bytes that are written as they are in a string, read or written.
var plainText = func() (t [256]bool) {
	for c := ' '; c < 0x7F; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// unquote reads the string whose opening quote is at the position. The text is part of
// the input where it is plain, otherwise valid until the next call.
func (d *Decoder) unquote() (text []byte, plain bool, err error) {
	d.pos++
	from := d.pos
	for d.pos < len(d.in) && plainText[d.in[d.pos]] {
		d.pos++
	}
	if d.accept('"') {
		return d.in[from : d.pos-1], true, nil
	}
	d.text = d.text[:0]
	for d.pos < len(d.in) {
		d.text = append(d.text, d.in[from:d.pos]...)
		switch c := d.in[d.pos]; {
		case c == '"':
			d.pos++
			return d.text, false, nil
		case c == '\\':
			if err := d.escape(); err != nil {
				return nil, false, err
			}
		case c < ' ':
			return nil, false, d.fail("an unescaped control character (%#02x) in a string", c)
		default:
			n := runeLen(d.in[d.pos:])
			if n == 0 {
				if n = 1; d.garbled == nil {
					d.garbled = d.fail("the text is not UTF-8")
				}
			}
			d.text = append(d.text, d.in[d.pos:d.pos+n]...)
			d.pos += n
		}
		for from = d.pos; d.pos < len(d.in) && plainText[d.in[d.pos]]; d.pos++ {
		}
	}
	return nil, false, d.fail("a string has no end (is the record cut off?)")
}

// runeLen returns the length of the code point that s begins with, 0 where it is none.
func runeLen(s []byte) int {
	if r, n := utf8.DecodeRune(s); r != utf8.RuneError || n != 1 {
		return n
	}
	return 0
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads the escape at the position into d.text.
func (d *Decoder) escape() error {
	if d.pos+1 >= len(d.in) {
		d.pos = len(d.in)
		return d.fail("a string has no end (is the record cut off?)")
	}
	if c := escapes[d.in[d.pos+1]]; c != 0 {
		d.pos += 2
		d.text = append(d.text, c)
		return nil
	}
	if d.in[d.pos+1] != 'u' {
		_, n := utf8.DecodeRune(d.in[d.pos+1:])
		return d.fail("%q is no escape", d.in[d.pos:d.pos+1+n])
	}
	r, ok := hex4(d.in[d.pos+2:])
	if !ok {
		return d.fail("\\u needs four hex digits")
	}
	d.pos += 6
	if rest := d.in[d.pos:]; isHigh(r) && bytes.HasPrefix(rest, []byte(`\u`)) {
		if low, ok := hex4(rest[2:]); ok && isLow(low) {
			d.pos += 6
			r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
		}
	}
	d.text = appendWTF8(d.text, r)
	return nil
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func isHigh(r rune) bool { return r >= 0xD800 && r < 0xDC00 }
func isLow(r rune) bool  { return r >= 0xDC00 && r < 0xE000 }

func appendWTF8(s []byte, r rune) []byte {
	if isHigh(r) || isLow(r) {
		return append(s, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
	}
	return utf8.AppendRune(s, r)
}

// decodeWTF8 reads a code point, which may be a lone surrogate. n is 1 and r is
// utf8.RuneError for a byte that belongs to none.
func decodeWTF8(s []byte) (r rune, n int) {
	if len(s) >= 3 && s[0] == 0xED && s[1] >= 0xA0 && s[1] < 0xC0 && s[2]&0xC0 == 0x80 {
		return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return utf8.DecodeRune(s)
}

const hexDigits = "0123456789abcdef"

var shortEscapes = [256]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// appendQuoted writes a string as Python's ensure_ascii does. A byte that is not part of
// a code point is written as it is: reading the output again finds the same flaw.
func appendQuoted(out, s []byte) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); {
		from := i
		for i < len(s) && plainText[s[i]] {
			i++
		}
		if out = append(out, s[from:i]...); i == len(s) {
			break
		}
		if c := shortEscapes[s[i]]; c != 0 {
			out = append(out, '\\', c)
			i++
			continue
		}
		r, n := decodeWTF8(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, s[i])
		case r >= 0x10000:
			r -= 0x10000
			out = appendUnicode(out, 0xD800+r>>10)
			out = appendUnicode(out, 0xDC00+r&0x3FF)
		default:
			out = appendUnicode(out, r)
		}
		i += n
	}
	return append(out, '"')
}

func appendUnicode(out []byte, r rune) []byte {
	return append(out, '\\', 'u', hexDigits[r>>12&0xF], hexDigits[r>>8&0xF], hexDigits[r>>4&0xF], hexDigits[r&0xF])
}
