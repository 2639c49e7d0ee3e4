package parser

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// pythonChild answers each line (base64) with what json.dumps(json.loads(x), sort_keys=True)
// gives, or "ERR".
const pythonChild = `
import base64, json, sys
if hasattr(sys, "set_int_max_str_digits"): sys.set_int_max_str_digits(0)
for line in sys.stdin:
    try:
        out = json.dumps(json.loads(base64.b64decode(line).decode("utf-8")), sort_keys=True)
        if "NaN" in out or "Infinity" in out: json.dumps(json.loads(out), allow_nan=False)
    except (ValueError, RecursionError):
        out = "ERR"
    print(out, flush=True)
`

func TestCanonical_IsWhatPythonGives(t *testing.T) {
	bin, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3, to compare with what it gives")
	}
	cmd := exec.Command(bin, "-c", pythonChild)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	answers := bufio.NewReaderSize(out, 1<<20)
	ask := func(text string) string {
		if _, err := io.WriteString(in, base64.StdEncoding.EncodeToString([]byte(text))+"\n"); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	r := rand.New(rand.NewPCG(1, 2))
	failures := 0
	check := func(text string) {
		want := ask(text)
		got := "ERR"
		if b, err := Canonical([]byte(text)); err == nil {
			got = string(b)
		}
		if got != want {
			failures++
			t.Errorf("%.300q\n got %.300s\nwant %.300s", text, got, want)
		}
	}
	fixed := []string{
		`-0`, `-0.0`, `1E5`, `1e16`, `1e15`, `123456789012345678901234567890123456789012345678901234567890`, `0.1`, `1e-4`, `1e-5`, `5e-324`, `1e400`, `-1e400`, `1e-400`,
		`01`, `1.`, `.5`, `+1`, `1e`, `--1`, `NaN`, `Infinity`, `-Infinity`, `nul`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\ud83d\ude00"`, `"😀é\u007f\u0080"`,
		"\"\x7f\"", "\"a\nb\"", `"\x"`, `"\u12"`, `{"a":1,"a":2}`, `{"\ue000":1,"\ud83d\ude00":2,"\ud800":3}`, `{"b":1,"a":[1,{}],"":[]}`, `[1,]`, `{"a":1,}`, `{a:1}`, `[1 2]`, `{"a" 1}`, ``, ` `, `"`, `"abc`, `[`, `{`, `true false`, `"/\/\b\f\n\r\t\"\\"`,
		"\u00a01", "\v1", strings.Repeat("[", 880) + strings.Repeat("]", 880), strings.Repeat("[", 200000),
	}
	for _, text := range fixed {
		check(text)
	}
	for range 30_000 {
		f := math.Float64frombits(r.Uint64())
		if r.IntN(2) == 0 {
			f = float64(r.Int64N(1e18)) / math.Pow(10, float64(r.IntN(30)))
		}
		text := strconv.FormatFloat(f, []byte("eEfg")[r.IntN(4)], []int{-1, 3, 17, 20}[r.IntN(4)], 64)
		if strings.ContainsAny(text, "IN") {
			continue
		}
		check(text)
	}
	for range 5_000 {
		check(randomJSON(r, 4))
		if failures > 10 {
			t.Fatal("and so on")
		}
	}
}

func randomJSON(r *rand.Rand, depth int) string {
	switch n := r.IntN(9); {
	case n < 2 && depth > 0:
		parts := make([]string, r.IntN(5))
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

func randomString(r *rand.Rand) string {
	var b strings.Builder
	b.WriteByte('"')
	for range r.IntN(6) {
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
			b.WriteString([]string{`\n`, `\"`, `\\`, `\/`, `\b`}[r.IntN(5)])
		default:
			b.WriteRune(rune(' ' + 2 + 1 + r.IntN(50)))
		}
	}
	b.WriteByte('"')
	return strings.ReplaceAll(b.String(), `\"`, `\"`)
}
