package format

import "strings"

// teams is an Adaptive Card in the envelope that a Teams workflow ("when a webhook request
// is received") takes; a message may have 28 KB
// (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using).
func teams(s *summary) any {
	block := func(text string, more map[string]any) map[string]any {
		b := map[string]any{"type": "TextBlock", "text": text, "wrap": true}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	color := map[tone]string{neutral: "default", good: "good", attention: "warning"}[s.tone]
	body := []any{block(teamsText(s.title, 400), map[string]any{"weight": "bolder", "size": "medium", "color": color})}
	if s.text != "" {
		body = append(body, block(teamsText(s.text, 3000), nil))
	}
	if len(s.list) > 0 {
		lines := make([]string, 0, len(s.list)+1)
		for _, item := range s.list {
			lines = append(lines, "- "+teamsText(item, 400))
		}
		body = append(body, block(strings.Join(append(lines, andMore(s.more)...), "\r"), nil))
	}
	if len(s.facts) > 0 {
		facts := make([]any, 0, len(s.facts))
		for _, f := range s.facts {
			facts = append(facts, map[string]any{"title": teamsText(f.name, 160), "value": teamsText(f.value, 600)})
		}
		body = append(body, map[string]any{"type": "FactSet", "facts": facts})
	}
	if s.todo != "" {
		body = append(body, block(teamsText(s.todo, 600), map[string]any{"weight": "bolder"}))
	}
	if s.when != "" {
		body = append(body, block(teamsText("IntelliDocs, "+oneLine(s.when), 200), map[string]any{"isSubtle": true, "size": "small"}))
	}
	content := map[string]any{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"body": body, "msteams": map[string]any{"width": "Full"},
	}
	return map[string]any{"type": "message", "attachments": []any{
		map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": content},
	}}
}

// An Adaptive Card knows a part of Markdown
// (https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features).
var teamsEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "#", `\#`, "`", "\\`", "~", `\~`, "<", "&lt;", ">", "&gt;")

func teamsText(s string, most int) string { return escaped(teamsEscaper, s, most) }
