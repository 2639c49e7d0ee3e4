package pyjson

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// Numbers halfway between two doubles, a hair above and a hair below, of every exponent,
// subnormals and the largest included, are read as strconv reads them.
func TestFloat_HalfwayNumbersRoundAsTheyShould(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var reader floatReader
	check := func(text string) {
		t.Helper()
		want, _ := strconv.ParseFloat(text, 64) // out of range is ±Inf
		if got := reader.parse([]byte(text)); math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%.60s: %g, want %g", text, got, want)
		}
	}
	for exp := -1074; exp <= 971; exp += 3 {
		mantissa := int64(1)<<52 | r.Int64N(1<<52)
		if exp == -1074 {
			mantissa = r.Int64N(1 << 52)
		}
		half := new(big.Float).SetPrec(60).SetMantExp(big.NewFloat(0).SetPrec(60).SetInt64(2*mantissa+1), exp-1)
		text := half.Text('e', 1100)
		digits, exponent, _ := strings.Cut(text, "e")
		digits = strings.TrimRight(digits, "0")
		for _, d := range []string{digits, digits + "0000001", digits[:len(digits)-1] + "4999", digits + strings.Repeat("0", 900) + "1"} {
			check(d + "e" + exponent)
			check("-" + d + "E" + exponent)
		}
	}
	for _, text := range []string{
		"0e-999999999999", "1e-999999999999", "1e999999999999", "0.0", "-0.0e300", "5e-324", "2.4703282292062327208e-324", "2.4703282292062328e-324",
		"1.7976931348623158079e308", "1.7976931348623158081e308", "179769313486231580793e289", "0." + strings.Repeat("0", 330) + "3e10", strings.Repeat("7", 310) + ".5e-3", "1" + strings.Repeat("0", 5000) + "e-5100",
	} {
		check(text)
	}
}

// BenchmarkNumbers reads a mebibyte of the numbers that are the hardest to read, and one of
// usual ones.
func BenchmarkNumbers(b *testing.B) {
	for _, number := range []string{"2.2250738585072011e-308", "5e-324", "1.5e-310", "9007199254740993.0000000000000001", "1.7976931348623157e308", "0.85"} {
		text := []byte("[" + strings.Repeat(number+",", 1<<20/(len(number)+1)) + "0]")
		b.Run(number, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Canonical(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
