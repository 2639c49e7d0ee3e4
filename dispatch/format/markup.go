package format

import (
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// markup is how a service that takes one text writes it. What bold, quote and link are given
// is escaped already.
type markup struct {
	escape plain.Escaper
	bold   func(text string) string
	quote  func(text string) string
	link   func(text, url string) string
}

// asIs is text without markup. Clients still make links of addresses in it, but of those
// that are parted.
var asIs = markup{
	escape: func(_, r, next rune) string {
		if r == ':' && next == '/' {
			return ":\u200b"
		}
		return string(r)
	},
	bold:  func(text string) string { return text },
	quote: func(text string) string { return "> " + text },
	link:  func(text, _ string) string { return text },
}

// write puts everything of a summary but its title into one text, each part of it bounded by
// its bound divided by share.
func (s *summary) write(m markup, share int) string {
	var paragraphs []string
	paragraph := func(lines ...string) {
		if len(lines) > 0 {
			paragraphs = append(paragraphs, strings.Join(lines, "\n"))
		}
	}
	cut := func(text string, most int) string { return plain.Escape(text, max(most/share, 2), m.escape) }
	if s.text != "" {
		paragraph(cut(s.text, 2*maxText))
	}
	var lines []string
	for _, line := range s.reason {
		lines = append(lines, m.quote(cut(line, maxReason)))
	}
	paragraph(lines...)
	lines = nil
	for _, d := range s.list {
		title := m.bold(cut(d.title, 2*maxDocument))
		if d.link != "" {
			title = m.link(title, d.link)
		}
		line := "• " + title
		if d.details != "" {
			line += " " + cut(d.details, 4*maxName)
		}
		lines = append(lines, line)
	}
	if r := s.remainder(len(s.list)); r != "" {
		lines = append(lines, r)
	}
	paragraph(lines...)
	lines = nil
	for _, f := range s.facts {
		lines = append(lines, m.bold(cut(f.name, 2*maxName)+":")+" "+cut(f.value, 2*maxValue))
	}
	paragraph(lines...)
	if s.todo != "" {
		paragraph(m.bold(plain.Escape(s.todo, maxText, m.escape)))
	}
	paragraph(cut(s.footer(), 4*maxName))
	return strings.Join(paragraphs, "\n\n")
}

// fit renders with ever smaller shares until the measure of it is within most.
func fit(most int, measure func(string) int, render func(share int) (string, error)) (string, error) {
	for share := 1; ; share *= 2 {
		out, err := render(share)
		if err != nil || measure(out) <= most || share > maxReason {
			return out, err
		}
	}
}

func bytesOf(s string) int { return len(s) }
