package pyjson

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// pythonScript answers each line (base64) with what json.dumps(json.loads(x), sort_keys=True)
// returns, or ERR. What is not JSON in the answer is an error here.
const pythonScript = `
import base64, json, sys
if hasattr(sys, "set_int_max_str_digits"): sys.set_int_max_str_digits(0)
for line in sys.stdin:
    try:
        out = json.dumps(json.loads(base64.b64decode(line).decode("utf-8")), sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError):
        out = "ERR"
    print(out)
`

func python(t *testing.T, texts []string) []string {
	bin, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3, to compare with what it returns")
	}
	var in bytes.Buffer
	for _, text := range texts {
		in.WriteString(base64.StdEncoding.EncodeToString([]byte(text)))
		in.WriteByte('\n')
	}
	cmd := exec.Command(bin, "-c", pythonScript)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(texts) {
		t.Fatalf("%d answers to %d texts", len(answers), len(texts))
	}
	return answers
}

func TestCanonical_IsWhatPythonReturns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := append(oddJSON(), floats(r, race.Rounds(60_000, 6_000))...)
	for range race.Rounds(20_000, 2_000) {
		texts = append(texts, randomJSON(r, 4))
	}
	for range race.Rounds(20_000, 2_000) {
		texts = append(texts, damaged(r, randomJSON(r, 4)))
	}
	wrong, refused := 0, 0
	for i, want := range python(t, texts) {
		got := "ERR"
		if b, err := Canonical([]byte(texts[i])); err == nil {
			got = string(b)
		}
		if want == "ERR" {
			refused++
		}
		if got != want {
			t.Errorf("%.300q\n got %.300s\nwant %.300s", texts[i], got, want)
			if wrong++; wrong > 10 {
				t.Fatal("and so on")
			}
		}
	}
	t.Logf("%d texts, of which Python refuses %d", len(texts), refused)
}

// oddJSON is what parsers disagree about.
func oddJSON() []string {
	texts := []string{
		// numbers
		`-0`, `0`, `-0.0`, `0e0`, `-0E-0`, `1E5`, `1e16`, `1e15`, `9999999999999998.0`, `1e22`, `1e23`, `0.1`, `1e-4`, `1e-5`, `0.00009999`, `5e-324`, `2e-324`, `3e-324`,
		`1.7976931348623157e308`, `1.7976931348623159e308`, `1e309`, `-1e400`, `1e-400`, `-1e-400`, `1e+05`, `1E-05`, `2.2250738585072011e-308`, `9007199254740993.0`,
		strings.Repeat("1234567890", 7), "-" + strings.Repeat("9", 5000), "0." + strings.Repeat("0", 400) + "1", strings.Repeat("9", 400) + ".0", "1" + strings.Repeat("0", 400) + "e-400",
		`01`, `-01`, `00`, `1.`, `.5`, `-.5`, `+1`, `1e`, `1e+`, `1.e5`, `--1`, `-`, `0x1`, `1_0`, `NaN`, `Infinity`, `-Infinity`, `[NaN]`, `{"a":-Infinity}`, `-NaN`, `nan`, `1.5.5`, "1\u0661",
		// strings
		`"\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\u0041"`, `"\ud83d\n"`, `"\ud83d\u12"`, `"😀é\u007f\u0080\u07ff\u0800\uffff"`,
		"\"\x7f\u0080\u2028\u2029\ufeff\"", "\"a\nb\"", "\"a\tb\"", "\"\x00\"", "\"\x1f\"", `"\x"`, `"\'"`, `"\u12"`, `"\u12g4"`, `"\u+123"`, `"\U0041"`, `"\`, `"\"`, `"\u`, `"`, `"abc`, `'a'`, `"/\/\b\f\n\r\t\"\\"`, `"\u0000\u001f"`, `""`,
		// objects
		`{"a":1,"a":2}`, `{"a":1,"b":2,"a":3,"b":4,"a":{"a":1,"a":2}}`, `{"\u0061":1,"a":2}`, `{"\ue000":1,"\ud83d\ude00":2,"\ud800":3,"\udfff":4,"\uffff":5}`, `{"😀":1,"\ue000":2,"z":3,"":4}`,
		`{"b":1,"a":[1,{}],"":[]}`, `{"ab":1,"a":2,"a\u0000":3,"B":4}`, `{}`, `[]`, `[{}]`, ` { } `, "\t[\r\n]\n",
		// broken
		`[1,]`, `[,1]`, `[,]`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `[1 2]`, `{"a" 1}`, `{"a":}`, `{"a":1 "b":2}`, `{1:2}`, ``, ` `, `[`, `{`, `]`, `}`, `[}`, `{"a":1]`, `true false`, `tru`, `nul`, `nullx`, `truefalse`, `{"a":1}}`, `{"a":1} x`,
		"\u00a01", "\v1", "\f1", "1\x00", `// x`, `/* */1`, "\ufeff1",
		strings.Repeat("[", 200_000), strings.Repeat(`{"a":`, 100_000), strings.Repeat("[", 3000) + strings.Repeat("]", 3000),
	}
	for _, depth := range []int{1, 100, MaxDepth - 1, MaxDepth} {
		texts = append(texts, strings.Repeat("[", depth)+strings.Repeat("]", depth), strings.Repeat(`{"b":0,"a":`, depth)+"1"+strings.Repeat("}", depth))
	}
	return texts
}

// floats are doubles of every exponent, and those around which the ways to print them change.
func floats(r *rand.Rand, n int) []string {
	var texts []string
	add := func(f float64) {
		text := strconv.FormatFloat(f, []byte("eEfg")[r.IntN(4)], []int{-1, 3, 17, 20}[r.IntN(4)], 64)
		if !strings.ContainsAny(text, "IN") {
			texts = append(texts, text)
		}
	}
	for exp := -330; exp <= 309; exp++ {
		f, _ := strconv.ParseFloat(fmt.Sprintf("1e%d", exp), 64) // out of range is a case too
		for _, g := range []float64{f, math.Nextafter(f, 0), math.Nextafter(f, math.Inf(1))} {
			add(g)
			add(-g)
		}
		texts = append(texts, fmt.Sprintf("1e%d", exp), fmt.Sprintf("-%d.5E%+04d", r.IntN(10), exp))
	}
	for exp := -1074; exp <= 1023; exp++ {
		add(math.Ldexp(1, exp))
	}
	for len(texts) < n {
		switch r.IntN(3) {
		case 0:
			add(float64(r.Int64N(1e18)) / math.Pow(10, float64(r.IntN(30))))
		default:
			add(math.Float64frombits(r.Uint64()))
		}
	}
	return texts
}

func randomJSON(r *rand.Rand, depth int) string {
	switch n := r.IntN(9); {
	case n < 2 && depth > 0:
		parts := make([]string, r.IntN(6))
		for i := range parts {
			parts[i] = randomString(r) + " : " + randomJSON(r, depth-1)
		}
		return "{" + strings.Join(parts, ",") + "}"
	case n < 4 && depth > 0:
		parts := make([]string, r.IntN(5))
		for i := range parts {
			parts[i] = randomJSON(r, depth-1)
		}
		return "[ " + strings.Join(parts, "\t,\n") + "]"
	case n < 7:
		return randomString(r)
	case n == 7:
		return []string{"true", "false", "null", "-0", "0.5E-3", "12345678901234567890123456789012345678901"}[r.IntN(6)]
	}
	return fmt.Sprint(r.Int64())
}

// randomString is short, so that keys are often alike.
func randomString(r *rand.Rand) string {
	var b strings.Builder
	b.WriteByte('"')
	for range r.IntN(4) {
		switch r.IntN(6) {
		case 0:
			fmt.Fprintf(&b, `\u%04x`, r.IntN(0x10000))
		case 1:
			fmt.Fprintf(&b, `\u%04X`, 0xD800+r.IntN(0x800))
		case 2:
			b.WriteRune(rune(0x10000 + r.IntN(0x10000)))
		case 3:
			b.WriteRune(rune(0xE000 + r.IntN(0x1000)))
		case 4:
			b.WriteString([]string{`\n`, `\"`, `\\`, `\/`, `\b`, "\x7f"}[r.IntN(6)])
		default:
			b.WriteByte("abAB0"[r.IntN(5)])
		}
	}
	b.WriteByte('"')
	return b.String()
}

// damaged takes away, doubles or changes one ASCII byte of a text.
func damaged(r *rand.Rand, text string) string {
	i := r.IntN(len(text))
	if text[i] >= 0x80 {
		return text
	}
	switch r.IntN(3) {
	case 0:
		return text[:i] + text[i+1:]
	case 1:
		return text[:i] + text[i:i+1] + text[i:]
	}
	return text[:i] + string("{}[],:\"\\u0e-. n\n"[r.IntN(16)]) + text[i+1:]
}

func FuzzCanonical(f *testing.F) {
	for _, text := range oddJSON() {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := Canonical(data)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		again, err := Canonical(once)
		if err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%s became %s, %v", once, again, err)
		}
		for _, c := range once {
			if c < ' ' || c > '~' {
				t.Fatalf("%q is not printable ASCII", once)
			}
		}
	})
}
