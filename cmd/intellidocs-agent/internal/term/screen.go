package term

import (
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"
)

// Size is a terminal's columns and rows, 0 and 0 where w is none.
func Size(w io.Writer) (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := xterm.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// Screen is a terminal of which only the lines that change are written again: the line to it
// may be slow.
type Screen struct {
	w             io.Writer
	width, height int
	drawn         []string
}

// NewScreen takes the terminal over, beside what it shows, until Close.
func NewScreen(w io.Writer) *Screen {
	fmt.Fprint(w, "\x1b[?1049h\x1b[?25l\x1b[?7l") // the other screen, without a cursor, without wrapping
	return &Screen{w: w}
}

// Close brings back what the terminal showed.
func (s *Screen) Close() { fmt.Fprint(s.w, "\x1b[?7h\x1b[?25h\x1b[?1049l") }

// Draw shows the lines, as many as there is room for.
func (s *Screen) Draw(width, height int, lines []string) {
	var b strings.Builder
	if width != s.width || height != s.height {
		s.width, s.height, s.drawn = width, height, nil
		b.WriteString("\x1b[2J")
	}
	lines = lines[:min(len(lines), max(height, 1))]
	for i := range max(len(lines), len(s.drawn)) {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		if i >= len(s.drawn) || s.drawn[i] != line {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, line)
		}
	}
	s.drawn = lines
	_, _ = io.WriteString(s.w, b.String())
}

// Bytes prints a size in its largest unit.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for ; size >= 1024 && i < len(units)-1; i++ {
		size /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}
