package pyjson

import (
	"bytes"
	"math"
	"strconv"
)

func (d *Decoder) digits() bool {
	from := d.pos
	for d.pos < len(d.in) && d.in[d.pos] >= '0' && d.in[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > from
}

// number reads a number and writes it as Python prints it: an integer as it stands, of
// any size, anything else as the double it is read as.
func (d *Decoder) number() error {
	from := d.pos
	if d.accept('-') && d.word("Infinity") {
		d.flawed(from, "NaN and Infinity are not JSON")
		d.out = append(d.out, d.in[from:d.pos]...)
		return nil
	}
	if !d.accept('0') && !d.digits() {
		return d.fail("a digit is expected, not %s", d.found())
	}
	whole := true
	// Like Python's scanner: a fraction or exponent without digits is no part of the number.
	if at := d.pos; d.accept('.') {
		if d.digits() {
			whole = false
		} else {
			d.pos = at
		}
	}
	if at := d.pos; d.accept('e') || d.accept('E') {
		if !d.accept('+') {
			d.accept('-')
		}
		if d.digits() {
			whole = false
		} else {
			d.pos = at
		}
	}
	text := d.in[from:d.pos]
	if whole {
		if string(text) == "-0" {
			text = text[1:]
		}
		d.out = append(d.out, text...)
		return nil
	}
	f, _ := strconv.ParseFloat(string(text), 64) // the grammar is checked; out of range is ±Inf
	if math.IsInf(f, 0) {
		d.flawed(from, "the number %.40s is too large; Python would make it Infinity", text)
		d.out = append(d.out, text...)
		return nil
	}
	d.out = appendFloat(d.out, f)
	return nil
}

// appendFloat is Python's repr(float): the fewest digits that read back the same, with
// an exponent of two digits or more below 1e-4 and from 1e16 on.
func appendFloat(out []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(out, f, 'e', -1, 64)
	}
	from := len(out)
	out = strconv.AppendFloat(out, f, 'f', -1, 64)
	if bytes.IndexByte(out[from:], '.') < 0 {
		out = append(out, ".0"...)
	}
	return out
}
