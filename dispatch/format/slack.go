package format

import (
	"fmt"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// Slack's published limits: 50 blocks a message, 150 characters in a header, 3,000 in a
// section's text, 10 fields of 2,000 (https://docs.slack.dev/reference/block-kit/blocks
// and its pages on header, section and context); a text that is cut after 40,000, and
// best kept under 4,000 (https://docs.slack.dev/reference/methods/chat.postMessage).
const (
	slackHeader  = 150
	slackSection = 3000
	slackField   = 2000
	slackFields  = 10
	slackShort   = 3000
)

type slackText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
	// Verbatim leaves web addresses and names in a mrkdwn text without links.
	Verbatim bool `json:"verbatim,omitempty"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements any         `json:"elements,omitempty"`
}

type slackButton struct {
	Type     string     `json:"type"`
	Text     *slackText `json:"text"`
	URL      string     `json:"url"`
	ActionID string     `json:"action_id"`
}

// slackRich is a piece of a rich_text block, which knows no markup but its own members
// (https://docs.slack.dev/reference/block-kit/blocks/rich-text-block).
type slackRich struct {
	Type     string      `json:"type"`
	Text     string      `json:"text,omitempty"`
	URL      string      `json:"url,omitempty"`
	Elements []slackRich `json:"elements,omitempty"`
}

type slackMessage struct {
	Text        string       `json:"text"`
	Blocks      []slackBlock `json:"blocks"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

// slack is a message of Block Kit, with a plain text beside it for notifications. Slack's
// mrkdwn has no escape for * _ ~ and `, so what comes from the event stands in plain_text
// objects, which know no markup, wherever it is more than a short value.
func slack(s *summary) ([]byte, error) {
	blocks := []slackBlock{{Type: "header", Text: slackPlain(s.title, slackHeader)}}
	section := func(t *slackText) { blocks = append(blocks, slackBlock{Type: "section", Text: t}) }
	if s.text != "" {
		section(slackPlain(s.text, slackSection))
	}
	if len(s.reason) > 0 {
		section(slackPlain("Why: "+strings.Join(s.reason, "\n"), slackSection))
	}
	if s.base != "" && len(s.list) > 0 {
		blocks = append(blocks, slackBlock{Type: "rich_text", Elements: []slackRich{{Type: "rich_text_section", Elements: slackLinks(s)}}})
	} else if list := slackList(s); list != "" {
		section(slackPlain(list, slackSection))
	}
	if len(s.facts) > 0 {
		fields := make([]slackText, 0, slackFields)
		for _, f := range s.facts[:min(len(s.facts), slackFields)] {
			name := "*" + plain.Escape(f.name, 200, slackEscape) + "*\n"
			fields = append(fields, slackMarkup(name+plain.Escape(f.value, slackField-plain.Len(name), slackEscape)))
		}
		blocks = append(blocks, slackBlock{Type: "section", Fields: fields})
	}
	if s.todo != "" {
		todo := slackMarkup("*" + plain.Escape(s.todo, slackSection-2, slackEscape) + "*")
		section(&todo)
	}
	if s.link != "" {
		button := slackButton{Type: "button", Text: slackPlain(openLabel, 75), URL: s.link, ActionID: "open"}
		blocks = append(blocks, slackBlock{Type: "actions", Elements: []slackButton{button}})
	}
	blocks = append(blocks, slackBlock{Type: "context", Elements: []slackText{slackMarkup(slackFooter(s))}})
	return plain.JSON(slackMessage{Text: plain.Escape(s.fallback(), slackShort, slackEscape), Blocks: blocks})
}

func slackPlain(text string, most int) *slackText {
	return &slackText{Type: "plain_text", Text: plain.Escape(text, most, slackEntity), Emoji: new(bool)}
}

func slackMarkup(text string) slackText { return slackText{Type: "mrkdwn", Text: text, Verbatim: true} }

func slackList(s *summary) string {
	var out []string
	for _, d := range s.list {
		line := "• " + d.title
		if d.details != "" {
			line += " — " + d.details
		}
		out = append(out, line)
	}
	if r := s.remainder(len(s.list)); r != "" {
		out = append(out, r)
	}
	return strings.Join(out, "\n")
}

// slackLinks is the list with a link to each document. A rich text's text is shown as it is.
func slackLinks(s *summary) []slackRich {
	var out []slackRich
	for _, d := range s.list {
		title := slackRich{Type: "text", Text: d.title}
		if d.link != "" {
			title = slackRich{Type: "link", Text: d.title, URL: d.link}
		}
		details := "\n"
		if d.details != "" {
			details = " — " + d.details + "\n"
		}
		out = append(out, slackRich{Type: "text", Text: "• "}, title, slackRich{Type: "text", Text: details})
	}
	if r := s.remainder(len(s.list)); r != "" {
		out = append(out, slackRich{Type: "text", Text: r})
	}
	return out
}

// slackFooter shows the time in the reader's own zone
// (https://docs.slack.dev/messaging/formatting-message-text#date-formatting).
func slackFooter(s *summary) string {
	text := plain.Escape(s.footer(), 400, slackEscape)
	if s.when.IsZero() || s.when.Unix() < 0 {
		return text
	}
	return fmt.Sprintf("%s · <!date^%d^{date_short_pretty} {time}|%s>", text, s.when.Unix(), s.when.Format("2006-01-02 15:04 UTC"))
}

// slackEntity takes the meaning from &, < and >, which make mentions and links
// (https://docs.slack.dev/messaging/formatting-message-text#escaping).
func slackEntity(_, r, _ rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

// slackEscape also parts from its word, by a zero-width space, what would set it in bold,
// italics, strike-through or code; within a word, as in a file's name, it would not.
func slackEscape(prev, r, next rune) string {
	switch r {
	case '*', '_', '~', '`':
		if !plain.IsWord(prev) || !plain.IsWord(next) {
			return "\u200b" + string(r) + "\u200b"
		}
	}
	return slackEntity(prev, r, next)
}
