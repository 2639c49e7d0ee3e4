package parser

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest. Python's json stops a little above.
const MaxDepth = 900

// number is a JSON number as Python prints it.
type number string

// decoder reads JSON with the grammar of Python's json.loads: stricter than some in
// what a string may hold, laxer in that it knows NaN and Infinity, which are refused
// here with a reason of their own. Strings are kept as WTF-8, that is UTF-8 in which a
// lone surrogate is written like any other code point; its byte order is code point order.
type decoder struct {
	in  []byte
	pos int
}

// decode reads exactly one value.
func decode(in []byte) (any, error) {
	d := &decoder{in: in}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos < len(in) {
		return nil, d.errorf("there is more after the value: %s", d.found())
	}
	return v, nil
}

// decodePrefix reads one value and says where it ends.
func decodePrefix(in []byte) (any, int, error) {
	d := &decoder{in: in}
	v, err := d.value(0)
	return v, d.pos, err
}

func (d *decoder) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", d.pos+1, fmt.Sprintf(format, args...))
}

func (d *decoder) found() string {
	if d.pos >= len(d.in) {
		return "the end (is the record cut off?)"
	}
	r, _ := utf8.DecodeRune(d.in[d.pos:])
	return strconv.QuoteRune(r)
}

func (d *decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) value(depth int) (any, error) {
	d.space()
	if d.pos >= len(d.in) {
		return nil, d.errorf("a value is missing: %s", d.found())
	}
	switch c := d.in[d.pos]; {
	case c == '{' || c == '[':
		if depth >= MaxDepth {
			return nil, d.errorf("nested deeper than %d", MaxDepth)
		}
		if c == '{' {
			return d.object(depth)
		}
		return d.array(depth)
	case c == '"':
		return d.str()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	switch {
	case d.word("true"):
		return true, nil
	case d.word("false"):
		return false, nil
	case d.word("null"):
		return nil, nil
	case d.word("NaN"), d.word("Infinity"):
		return nil, d.errorf("NaN and Infinity are not JSON")
	}
	return nil, d.errorf("a value is expected, not %s", d.found())
}

func (d *decoder) word(w string) bool {
	if len(d.in)-d.pos < len(w) || string(d.in[d.pos:d.pos+len(w)]) != w {
		return false
	}
	d.pos += len(w)
	return true
}

func (d *decoder) object(depth int) (any, error) {
	d.pos++
	obj := map[string]any{}
	d.space()
	if d.accept('}') {
		return obj, nil
	}
	for {
		d.space()
		if d.pos >= len(d.in) || d.in[d.pos] != '"' {
			return nil, d.errorf("a key in double quotes is expected, not %s", d.found())
		}
		key, err := d.str()
		if err != nil {
			return nil, err
		}
		d.space()
		if !d.accept(':') {
			return nil, d.errorf("':' is expected, not %s", d.found())
		}
		if obj[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		d.space()
		switch {
		case d.accept('}'):
			return obj, nil
		case !d.accept(','):
			return nil, d.errorf("',' or '}' is expected, not %s", d.found())
		}
	}
}

func (d *decoder) array(depth int) (any, error) {
	d.pos++
	list := []any{}
	d.space()
	if d.accept(']') {
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		d.space()
		switch {
		case d.accept(']'):
			return list, nil
		case !d.accept(','):
			return nil, d.errorf("',' or ']' is expected, not %s", d.found())
		}
	}
}

func (d *decoder) accept(c byte) bool {
	if d.pos < len(d.in) && d.in[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *decoder) digits() int {
	from := d.pos
	for d.pos < len(d.in) && d.in[d.pos] >= '0' && d.in[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - from
}

func (d *decoder) number() (any, error) {
	from := d.pos
	negative := d.accept('-')
	if negative && d.word("Infinity") {
		return nil, d.errorf("NaN and Infinity are not JSON")
	}
	if !d.accept('0') && d.digits() == 0 {
		return nil, d.errorf("a digit is expected, not %s", d.found())
	}
	whole := true
	// Like Python's scanner, a fraction or exponent without digits is not part of the number.
	if at := d.pos; d.accept('.') {
		if d.digits() == 0 {
			d.pos = at
		} else {
			whole = false
		}
	}
	if at := d.pos; d.accept('e') || d.accept('E') {
		if !d.accept('+') {
			d.accept('-')
		}
		if d.digits() == 0 {
			d.pos = at
		} else {
			whole = false
		}
	}
	text := string(d.in[from:d.pos])
	if whole {
		if text == "-0" {
			text = "0"
		}
		return number(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && math.IsInf(f, 0) {
		return nil, d.errorf("the number %.40s is too large; Python would make it Infinity", text)
	}
	return number(formatFloat(f)), nil
}

// formatFloat is Python's repr(float): the shortest digits that read back the same,
// with an exponent below 1e-4 and from 1e16 on.
func formatFloat(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64) // Go, like Python, gives two digits of exponent at least
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	for i := range len(s) {
		if s[i] == '.' {
			return s
		}
	}
	return s + ".0"
}

func (d *decoder) str() (string, error) {
	d.pos++
	from := d.pos
	for d.pos < len(d.in) && d.in[d.pos] >= ' ' && d.in[d.pos] < utf8.RuneSelf && d.in[d.pos] != '"' && d.in[d.pos] != '\\' {
		d.pos++
	}
	if d.accept('"') {
		return string(d.in[from : d.pos-1]), nil
	}
	out := append([]byte(nil), d.in[from:d.pos]...)
	for d.pos < len(d.in) {
		switch c := d.in[d.pos]; {
		case c == '"':
			d.pos++
			return string(out), nil
		case c == '\\':
			var err error
			if out, err = d.escape(out); err != nil {
				return "", err
			}
		case c < ' ':
			return "", d.errorf("a control character (%#02x) stands unescaped in a string", c)
		case c < utf8.RuneSelf:
			out = append(out, c)
			d.pos++
		default:
			r, n := utf8.DecodeRune(d.in[d.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", d.errorf("the text is not UTF-8")
			}
			out = append(out, d.in[d.pos:d.pos+n]...)
			d.pos += n
		}
	}
	return "", d.errorf("a string has no end (is the record cut off?)")
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (d *decoder) escape(out []byte) ([]byte, error) {
	if d.pos+1 >= len(d.in) {
		d.pos = len(d.in)
		return nil, d.errorf("a string has no end (is the record cut off?)")
	}
	if c, ok := escapes[d.in[d.pos+1]]; ok {
		d.pos += 2
		return append(out, c), nil
	}
	if d.in[d.pos+1] != 'u' {
		return nil, d.errorf("%q is no escape", string(d.in[d.pos:d.pos+2]))
	}
	r, ok := d.hex(d.pos + 2)
	if !ok {
		return nil, d.errorf("\\u needs four hex digits")
	}
	d.pos += 6
	if isHigh(r) && d.pos+1 < len(d.in) && d.in[d.pos] == '\\' && d.in[d.pos+1] == 'u' {
		if low, ok := d.hex(d.pos + 2); ok && isLow(low) {
			d.pos += 6
			return utf8.AppendRune(out, 0x10000+(r-0xD800)<<10+(low-0xDC00)), nil
		}
	}
	if isHigh(r) || isLow(r) {
		return append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F)), nil
	}
	return utf8.AppendRune(out, r), nil
}

func (d *decoder) hex(at int) (rune, bool) {
	if at+4 > len(d.in) {
		return 0, false
	}
	var r rune
	for _, c := range d.in[at : at+4] {
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
