package term

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestPrintable_LeavesNothingThatDrivesATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain – ünïcode 🙂":                "plain – ünïcode 🙂",
		"two\nlines\tand\r\nmore":          "two lines and  more",
		"\x1b[31mred\x1b]0;title\x07":      "\uFFFD[31mred\uFFFD]0;title\uFFFD",
		"\u202eturned\u2066 round\u200f":   "turned round",
		"C1 \u009b31m and \x7f":            "C1 \uFFFD31m and \uFFFD",
		"a line\u2028and a\u2029paragraph": "a line and a paragraph",
		"not UTF-8 \xff":                   "not UTF-8 \uFFFD",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDuration_SaysWhatMatters(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0ms", 400 * time.Microsecond: "0.4ms", 42 * time.Millisecond: "42ms", 1500 * time.Millisecond: "1.5s", 59 * time.Second: "59s",
		61 * time.Second: "1m01s", 25 * time.Hour: "25h00m", 50 * time.Hour: "2d02h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestTable_IsWholeWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	table := NewTable(&out, "ID", "STATUS", "TEXT")
	long := strings.Repeat("long ", 100)
	table.Row("a", table.Status("failed"), long)
	table.Row("b", table.Status("success"), "\x1b[31mforged\nrow")
	table.Render()
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], strings.TrimSpace(long)) || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
}

func TestTable_OnlyItsOwnCellsAreColoured(t *testing.T) {
	var out bytes.Buffer
	table := NewTable(&out, "STATUS", "TEXT")
	table.colors = true
	table.Row(table.Status("failed"), "\x1b[2Jforged")
	table.Row(table.Status("\x1b[2Jodd"), "plain")
	table.Render()
	if s := out.String(); strings.Contains(s, "\x1b[2J") || !strings.Contains(s, "\x1b[31mfailed\x1b[0m") {
		t.Errorf("%q", s)
	}
}

func TestPrintableJSON_MeansTheSame(t *testing.T) {
	in := "ünïcode 🙂 C1 \u009b31m, \x7f, \u202eturned\u2066 round, \x1b[31m, not UTF-8 \xff"
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := PrintableJSON(data)
	var was, is string
	if json.Unmarshal(data, &was) != nil || json.Unmarshal(out, &is) != nil || was != is {
		t.Errorf("%q, %q", was, is)
	}
	if strings.ContainsFunc(string(out), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) || !strings.Contains(is, "ünïcode 🙂") {
		t.Errorf("%q", out)
	}
}
