package format

import "strings"

// slack is a message of Block Kit with a plain-text fallback for notifications. Limits:
// 50 blocks a message, 150 characters in a header, 3,000 in a section's text, 10 fields
// of 2,000 (https://docs.slack.dev/reference/block-kit/blocks).
func slack(s *summary) any {
	mrkdwn := func(text string) map[string]any { return map[string]any{"type": "mrkdwn", "text": text} }
	plain := func(text string) map[string]any {
		return map[string]any{"type": "plain_text", "text": text, "emoji": false}
	}
	blocks := []any{map[string]any{"type": "header", "text": plain(clip(s.title, 150))}}
	section := func(text string) {
		blocks = append(blocks, map[string]any{"type": "section", "text": mrkdwn(text)})
	}
	if s.text != "" {
		section(slackText(s.text, 2900))
	}
	if len(s.list) > 0 {
		lines := make([]string, 0, len(s.list)+1)
		for _, item := range s.list {
			lines = append(lines, "• "+slackText(item, 250))
		}
		section(strings.Join(append(lines, andMore(s.more)...), "\n"))
	}
	if len(s.facts) > 0 {
		fields := make([]any, 0, len(s.facts))
		for _, f := range s.facts {
			fields = append(fields, mrkdwn("*"+slackText(f.name, 100)+"*\n"+slackText(f.value, 1800)))
		}
		blocks = append(blocks, map[string]any{"type": "section", "fields": fields})
	}
	if s.todo != "" {
		section("*" + slackText(s.todo, 2900) + "*")
	}
	if s.when != "" {
		blocks = append(blocks, map[string]any{"type": "context", "elements": []any{plain(clip("IntelliDocs, "+oneLine(s.when), 200))}})
	}
	fallback := s.title
	if s.text != "" {
		fallback += ": " + oneLine(s.text)
	}
	return map[string]any{"text": slackText(fallback, 2900), "blocks": blocks, "unfurl_links": false, "unfurl_media": false}
}

// slackEscaper takes the meaning from &, < and > (which also makes mentions), as
// https://docs.slack.dev/messaging/formatting-message-text says, and, by a zero-width
// space, from what would set text in bold, italics, strike-through or code.
var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", "*\u200b", "_", "_\u200b", "~", "~\u200b", "`", "`\u200b")

func slackText(s string, most int) string { return escaped(slackEscaper, s, most) }

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

func andMore(n int) []string {
	if n == 0 {
		return nil
	}
	return []string{"… and " + plural(itoa(n), "more document")}
}
