package pyjson

import (
	"bytes"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"sync"
)

func (d *Decoder) digits() bool {
	from := d.pos
	for d.pos < len(d.in) && d.in[d.pos] >= '0' && d.in[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > from
}

// number reads a number and writes it as Python prints it: an integer as it is, of any
// size, anything else as the double it is read as.
func (d *Decoder) number() error {
	from := d.pos
	text, whole, err := d.numeral()
	switch {
	case err != nil:
		return err
	case text == nil:
		d.flawed(from, "NaN and Infinity are not JSON")
		d.out = append(d.out, d.in[from:d.pos]...)
		return nil
	case whole:
		if string(text) == "-0" {
			text = text[1:]
		}
		d.out = append(d.out, text...)
		return nil
	}
	f := d.float.parse(text)
	if math.IsInf(f, 0) {
		d.flawed(from, "the number %.40s is too large; Python would make it Infinity", text)
		d.out = append(d.out, text...)
		return nil
	}
	d.out = appendFloat(d.out, f)
	return nil
}

// numeral reads the text of a number, nil for -Infinity. whole: it is an integer.
func (d *Decoder) numeral() (text []byte, whole bool, err error) {
	from := d.pos
	if d.accept('-') && d.word("Infinity") {
		return nil, false, nil
	}
	if !d.accept('0') && !d.digits() {
		return nil, false, d.fail("a digit is expected, not %s", d.found())
	}
	whole = true
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
	return d.in[from:d.pos], whole, nil
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

// floatReader reads decimal numbers as the nearest double. strconv does so too, but where
// its fast ways fail, as for every number below 2.3e-308, it takes 35 µs for a number of
// six characters: 5 s for a record of 1 MiB. Near 1 all its ways are fast; far from 1 the
// number is divided out in big integers, which takes less than a microsecond.
type floatReader struct {
	digits             []byte
	num, den, quo, rem big.Int
}

const (
	// Within these powers of ten strconv is fast whatever the digits.
	nearLow, nearHigh = -30, 40
	// Beyond these a number is zero or too large, which strconv sees at once.
	farLow, farHigh = -330, 310
	// maxDigits is more than tell two doubles apart; of the rest only counts whether all are 0.
	maxDigits = 800
)

// parse returns ±Inf where the number is too large. text is a number in JSON's grammar.
func (r *floatReader) parse(text []byte) float64 {
	exp, ok := r.split(text)
	if first := exp + len(r.digits); !ok || first >= nearLow && first <= nearHigh || first < farLow || first > farHigh {
		f, _ := strconv.ParseFloat(string(text), 64) // the grammar is checked; out of range is ±Inf
		return f
	}
	f := r.nearest(exp)
	if text[0] == '-' {
		return -f
	}
	return f
}

// split takes a number apart into its significant digits and a power of ten: 0.0120e5 is
// the digits 120 and 10^1. ok is false for zero and for an exponent that is out of range.
func (r *floatReader) split(text []byte) (exp int, ok bool) {
	r.digits = r.digits[:0]
	mantissa, exponent := text, []byte(nil)
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	point, rest := false, false
	for _, c := range mantissa {
		switch {
		case c == '.':
			point = true
			continue
		case c < '0' || c > '9' || c == '0' && len(r.digits) == 0: // a sign, a zero in front
		case len(r.digits) < maxDigits:
			r.digits = append(r.digits, c)
		default:
			rest = rest || c != '0'
			exp++
		}
		if point {
			exp--
		}
	}
	if rest { // more than halfway between two doubles, if it was halfway
		r.digits = append(r.digits, '1')
		exp--
	}
	if exponent != nil {
		e, err := strconv.Atoi(string(exponent))
		if err != nil || e < -1<<30 || e > 1<<30 {
			return 0, false
		}
		exp += e
	}
	return exp, len(r.digits) > 0
}

// nearest returns the double nearest to digits · 10^exp, the even one of two.
func (r *floatReader) nearest(exp int) float64 {
	if n, err := strconv.ParseUint(string(r.digits), 10, 64); err == nil {
		r.num.SetUint64(n)
	} else {
		r.num.SetString(string(r.digits), 10)
	}
	powerOfFive(&r.den, max(-exp, 0))
	if exp > 0 {
		powerOfFive(&r.rem, exp)
		r.num.Mul(&r.num, &r.rem)
	}
	// The number is num/den · 2^exp. It is scaled such that the quotient has two bits or
	// three more than a double's 53, or ends two below a subnormal's last one.
	const bitsWanted, lowest = 55, -1074 - 2
	shift := min(bitsWanted-r.num.BitLen()+r.den.BitLen(), exp-lowest)
	if shift >= 0 {
		r.num.Lsh(&r.num, uint(shift))
	} else {
		r.den.Lsh(&r.den, uint(-shift))
	}
	r.quo.QuoRem(&r.num, &r.den, &r.rem)
	quotient, scale := r.quo.Uint64(), exp-shift

	drop := max(bits.Len64(quotient)-53, -1074-scale)
	half := uint64(1) << (drop - 1)
	mantissa, below := quotient>>drop, quotient&(half<<1-1)
	if below > half || below == half && (r.rem.Sign() != 0 || mantissa&1 == 1) {
		mantissa++
	}
	return math.Ldexp(float64(mantissa), scale+drop) // exact, or Inf
}

var powersOfFive = sync.OnceValue(func() []*big.Int {
	powers := []*big.Int{big.NewInt(1)}
	for range 350 {
		last := powers[len(powers)-1]
		powers = append(powers, new(big.Int).Mul(last, big.NewInt(5)))
	}
	return powers
})

// powerOfFive sets n to 5^exp.
func powerOfFive(n *big.Int, exp int) {
	powers := powersOfFive()
	most := len(powers) - 1
	n.Set(powers[min(exp, most)])
	for exp -= most; exp > 0; exp -= most {
		n.Mul(n, powers[min(exp, most)])
	}
}
