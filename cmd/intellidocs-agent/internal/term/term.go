// Package term writes for people at a terminal, and plainly where there is none.
package term

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	xterm "golang.org/x/term"
)

// IsTerminal reports whether w is one.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// Width is a terminal's width in columns, 0 where w is none.
func Width(w io.Writer) int {
	n, _ := Size(w)
	return n
}

// Colors reports whether to use them: on a terminal, unless NO_COLOR (https://no-color.org) is set.
func Colors(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(w)
}

// Style is how a piece of text stands out.
type Style int

// The styles there are.
const (
	Plain Style = iota
	Good
	Warn
	Bad
	Faint
	Strong
)

var codes = map[Style]string{Good: "32", Warn: "33", Bad: "31", Faint: "2", Strong: "1"}

// Paint styles s where colours are on.
func Paint(on bool, st Style, s string) string {
	if code := codes[st]; on && code != "" {
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	return s
}

// StatusStyle is a delivery status's, or a webhook state's, style.
func StatusStyle(status string) Style {
	switch status {
	case "success", "healthy", "delivered":
		return Good
	case "retrying", "held", "retry":
		return Warn
	case "failed", "paused", "dead", "gone":
		return Bad
	}
	return Plain
}

// Table prints rows under a header. On a terminal each row is one line that fits;
// elsewhere the cells are whole, for grep and awk.
type Table struct {
	w       table.Writer
	out     io.Writer
	colors  bool
	columns int
	painted map[string]bool // cells that Status has made
}

// NewTable makes a table with these columns.
func NewTable(out io.Writer, header ...string) *Table {
	t := &Table{w: table.NewWriter(), out: out, colors: Colors(out), columns: len(header), painted: map[string]bool{}}
	t.w.SetOutputMirror(out)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	if width := Width(out); width > 0 {
		style.Size.WidthMax = width
	}
	style.Box.UnfinishedRow = "…"
	t.w.SetStyle(style)
	row := make(table.Row, len(header))
	for i, h := range header {
		row[i] = h
	}
	t.w.AppendHeader(row)
	return t
}

// Row adds a row. Cells come from anywhere, so they are made printable.
func (t *Table) Row(cells ...string) {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
		if !t.painted[c] {
			row[i] = Printable(c)
		}
	}
	t.w.AppendRow(row)
}

// Status is a status as a cell.
func (t *Table) Status(s string) string {
	cell := Paint(t.colors, StatusStyle(s), Printable(s))
	t.painted[cell] = true
	return cell
}

// Render prints the table; of no rows, nothing.
func (t *Table) Render() {
	if t.w.Length() > 0 {
		t.w.Render()
	}
}

// Reset empties the table for further rows, which get no header again.
func (t *Table) Reset() {
	t.w.ResetRows()
	t.w.ResetHeaders()
}

// Cell makes text of unknown origin printable and exactly as wide as it is told: cut off
// with an ellipsis, or filled with blanks.
func Cell(s string, width int) string {
	return text.Pad(text.Snip(Printable(s), width, "…"), width, ' ')
}

// Printable makes text of unknown origin safe and one line: control characters, which
// could drive the terminal, and line breaks become spaces; what turns the direction of
// writing around is dropped.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r), r == unicode.ReplacementChar:
			return '\uFFFD'
		}
		return r
	}, s)
}

// PrintableLines is Printable for text of several lines.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Escaped returns s with what a terminal would not print but obey, and what is no UTF-8, as
// escapes: line feeds, colour codes, signs that turn the writing around.
func Escaped(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if odd(r) {
			q := strconv.QuoteToASCII(s[i : i+n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// PrintableJSON writes what could drive a terminal, or turn its writing around, as escapes
// that mean the same. In JSON such characters stand within strings only.
func PrintableJSON(data []byte) []byte {
	escaped := func(r rune) bool { return r >= ' ' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) }
	if bytes.IndexFunc(data, escaped) < 0 {
		return data
	}
	out := make([]byte, 0, len(data)+16)
	for _, r := range string(data) {
		if escaped(r) {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// Time prints a moment in local time.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// Until prints how far off a moment is.
func Until(t time.Time) string {
	d := time.Until(t)
	if d <= 0 {
		return "now"
	}
	return "in " + Duration(d)
}

// Ago prints how long ago a moment was, in its largest unit.
func Ago(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours())/24)
	}
}

// Count prints how many of something there are.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Duration prints a length of time in its two largest units.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
