package format

import (
	"strconv"
	"strings"
	"time"
)

// discord is a message with one embed that mentions nobody. Limits: title 256, description
// 4,096, 25 fields of 256 and 1,024, 6,000 characters in all
// (https://discord.com/developers/docs/resources/message#embed-object-embed-limits).
func discord(s *summary) any {
	embed := map[string]any{"title": discordText(s.title, 256), "color": map[tone]int{neutral: 0x5865F2, good: 0x2E7D32, attention: 0xE65100}[s.tone]}
	budget := 5800 - utf16Len(s.title)
	parts := []string{}
	if s.text != "" {
		parts = append(parts, discordText(s.text, 1800))
	}
	if len(s.list) > 0 {
		lines := make([]string, 0, len(s.list)+1)
		for _, item := range s.list {
			lines = append(lines, "- "+discordText(item, 180))
		}
		parts = append(parts, strings.Join(append(lines, andMore(s.more)...), "\n"))
	}
	if s.todo != "" {
		parts = append(parts, "**"+discordText(s.todo, 250)+"**")
	}
	if description := strings.Join(parts, "\n\n"); description != "" {
		embed["description"] = description
		budget -= utf16Len(description)
	}
	fields := []any{}
	for _, f := range s.facts {
		name, value := discordText(f.name, 256), discordText(f.value, 500)
		if budget -= utf16Len(name) + utf16Len(value); budget < 0 {
			break
		}
		fields = append(fields, map[string]any{"name": name, "value": value, "inline": true})
	}
	if len(fields) > 0 {
		embed["fields"] = fields
	}
	// An odd timestamp would make Discord refuse the message.
	if t, err := time.Parse(time.RFC3339Nano, s.when); err == nil {
		embed["timestamp"] = t.UTC().Format(time.RFC3339)
	}
	return map[string]any{"embeds": []any{embed}, "allowed_mentions": map[string]any{"parse": []string{}}}
}

var discordEscaper = strings.NewReplacer(
	`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, ">", `\>`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`,
	"#", `\#`, "-", `\-`, "@", "@\u200b", "<", `\<`, ":", `\:`,
)

func discordText(s string, most int) string { return escaped(discordEscaper, s, most) }

// escaped escapes and bounds; what escaping makes longer is cut before it.
func escaped(r *strings.Replacer, s string, most int) string {
	for {
		out := r.Replace(s)
		if utf16Len(out) <= most {
			return out
		}
		s = clip(s, utf16Len(s)*9/10)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
