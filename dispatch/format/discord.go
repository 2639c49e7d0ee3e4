package format

import (
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// Discord's published limits for an embed, in characters
// (https://discord.com/developers/docs/resources/message#embed-object-embed-limits).
const (
	discordTitle       = 256
	discordDescription = 4096
	discordFields      = 25
	discordName        = 256
	discordValue       = 1024
	discordTotal       = 6000
)

type discordMessage struct {
	Embeds []discordEmbed `json:"embeds"`
	// AllowedMentions with an empty list lets nothing in the message notify anybody
	// (https://discord.com/developers/docs/resources/message#allowed-mentions-object).
	AllowedMentions struct {
		Parse []string `json:"parse"`
	} `json:"allowed_mentions"`
}

type discordEmbed struct {
	Title       string         `json:"title"`
	URL         string         `json:"url,omitempty"`
	Description string         `json:"description,omitempty"`
	Color       int            `json:"color"`
	Fields      []discordField `json:"fields,omitempty"`
	Footer      struct {
		Text string `json:"text"`
	} `json:"footer"`
	Timestamp string `json:"timestamp,omitempty"`
}

type discordField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

// discord is a message with one embed, which mentions nobody.
func discord(s *summary) ([]byte, error) {
	e := discordEmbed{Title: plain.Escape(s.title, discordTitle, discordEscape), URL: s.link}
	switch s.tone {
	case attention:
		e.Color = 0xE67E22
	case good:
		e.Color = 0x2ECC71
	default:
		e.Color = 0x3498DB
	}
	e.Footer.Text = s.footer() // plain text: Discord knows no markup here
	// Discord refuses a message for an odd timestamp.
	if y := s.when.Year(); !s.when.IsZero() && y >= 1970 && y < 3000 {
		e.Timestamp = s.when.Format(time.RFC3339)
	}
	left := discordTotal - plain.Len(e.Title) - plain.Len(e.Footer.Text)
	e.Description = discordBody(s, min(left, discordDescription))
	left -= plain.Len(e.Description)
	for _, f := range s.facts[:min(len(s.facts), discordFields)] {
		name := plain.Escape(f.name, discordName, discordEscape)
		value := plain.Escape(f.value, min(discordValue, left-plain.Len(name)), discordEscape)
		if value == "" {
			break
		}
		left -= plain.Len(name) + plain.Len(value)
		e.Fields = append(e.Fields, discordField{name, value, true})
	}
	m := discordMessage{Embeds: []discordEmbed{e}}
	m.AllowedMentions.Parse = []string{}
	return plain.JSON(m)
}

// discordBody puts what is asked of the reader last and yet never cuts it off: its room
// is set aside before the others take theirs.
func discordBody(s *summary, most int) string {
	todo := ""
	if s.todo != "" {
		todo = "**" + plain.Escape(s.todo, 400, discordEscape) + "**"
	}
	most -= plain.Len(todo) + 8 // the line breaks between the parts
	text := plain.Escape(s.text, min(most, 1200), discordEscape)
	most -= plain.Len(text)
	why := discordQuote(s.reason, most/2)
	list := discordList(s, most-plain.Len(why))
	var parts []string
	for _, p := range []string{text, why, list, todo} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "\n\n")
}

func discordQuote(lines []string, most int) string {
	var out []string
	for _, line := range lines {
		line = "> " + plain.Escape(line, most-3, discordEscape)
		if most -= plain.Len(line) + 1; most < 0 {
			break
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func discordList(s *summary, most int) string {
	var out []string
	most -= 60 // the line that says how many more there are
	for _, d := range s.list {
		line := "**" + plain.Escape(d.title, 2*maxDocument, discordEscape) + "**"
		if d.link != "" {
			line = "[" + line + "](" + d.link + ")"
		}
		line = "- " + line
		if d.details != "" {
			line += " " + plain.Escape(d.details, 4*maxName, discordEscape)
		}
		if most -= plain.Len(line) + 1; most < 0 {
			break
		}
		out = append(out, line)
	}
	if r := s.remainder(len(out)); r != "" {
		out = append(out, r)
	}
	return strings.Join(out, "\n")
}

// discordEscape puts a backslash before what means something in Discord's Markdown (at the
// start of a line only: lists and headings) and in an address that would become a link,
// and parts @ from the name behind it (https://discord.com/developers/docs/reference#message-formatting).
func discordEscape(prev, r, next rune) string {
	switch r {
	case '\\', '*', '_', '~', '`', '|', '<', '>', '[', ']':
		return `\` + string(r)
	case '-', '#':
		if prev == 0 {
			return `\` + string(r)
		}
	case ':':
		if next == '/' {
			return `\:`
		}
	case '@':
		return "@\u200b"
	}
	return string(r)
}
