package format

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// The checks below know the services' published rules and nothing of the renderers'
// types. They are strict: a member that is not in the rules is an error.

type doc = map[string]any

func tree(t testing.TB, out []byte) doc {
	t.Helper()
	if !utf8.Valid(out) {
		t.Fatalf("not UTF-8: %q", out)
	}
	var v doc
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, out)
	}
	return v
}

func length16(s string) int { return len(utf16.Encode([]rune(s))) }

// str is the text under key, which must be there with 1 to most UTF-16 code units.
func str(t testing.TB, o doc, key string, most int) string {
	t.Helper()
	s, ok := o[key].(string)
	if !ok || s == "" || length16(s) > most {
		t.Errorf("%s has %d of %d characters: %.100q", key, length16(s), most, s)
	}
	if strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Mn) || strings.ContainsRune("\u3164\u2800\u115f\u1160\uffa0", r)
	}) == "" {
		t.Errorf("nothing of %s is seen: %.100q", key, s)
	}
	for _, r := range s {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("%s has the character %U: %.200q", key, r, s)
		}
	}
	return s
}

func only(t testing.TB, o doc, keys ...string) {
	t.Helper()
	for key := range o {
		if !strings.Contains(" "+strings.Join(keys, " ")+" ", " "+key+" ") {
			t.Errorf("there is no member %q among %q", key, keys)
		}
	}
}

func list(t testing.TB, o doc, key string, most int) []doc {
	t.Helper()
	items, ok := o[key].([]any)
	if !ok || len(items) == 0 || len(items) > most {
		t.Errorf("%s has %d of at most %d elements", key, len(items), most)
	}
	var out []doc
	for _, item := range items {
		o, ok := item.(doc)
		if !ok {
			t.Errorf("an element of %s is %v", key, item)
		}
		out = append(out, o)
	}
	return out
}

func checkSlack(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "text", "blocks", "unfurl_links", "unfurl_media")
	slackMarks(t, str(t, m, "text", 4000))
	for i, b := range list(t, m, "blocks", 50) {
		switch {
		case b["type"] == "header" && i == 0:
			only(t, b, "type", "text")
			slackObject(t, b["text"], 150, "plain_text")
		case b["type"] == "section" && b["fields"] == nil:
			only(t, b, "type", "text")
			slackObject(t, b["text"], 3000, "plain_text", "mrkdwn")
		case b["type"] == "section":
			only(t, b, "type", "fields")
			for _, f := range list(t, b, "fields", 10) {
				slackObject(t, f, 2000, "mrkdwn")
			}
		case b["type"] == "rich_text":
			only(t, b, "type", "elements")
			for _, section := range list(t, b, "elements", 1) {
				for _, e := range list(t, section, "elements", 40) {
					only(t, e, "type", "text", "url")
					if e["type"] != "text" && e["type"] != "link" || e["url"] != nil && !ours(e["url"]) {
						t.Errorf("%v in a rich text", e)
					}
					if text, _ := e["text"].(string); text == "" {
						t.Errorf("an empty %v", e)
					}
				}
			}
		case b["type"] == "actions":
			only(t, b, "type", "elements")
			for _, e := range list(t, b, "elements", 1) {
				only(t, e, "type", "text", "url", "action_id")
				slackObject(t, e["text"], 75, "plain_text")
				if !ours(e["url"]) {
					t.Errorf("a button leads to %v", e["url"])
				}
			}
		case b["type"] == "context":
			only(t, b, "type", "elements")
			for _, e := range list(t, b, "elements", 10) {
				slackObject(t, e, 3000, "mrkdwn")
			}
		default:
			t.Errorf("block %d is %v", i, b)
		}
	}
}

func slackObject(t testing.TB, v any, most int, types ...string) {
	t.Helper()
	o, _ := v.(doc)
	kind, _ := o["type"].(string)
	if !strings.Contains(strings.Join(types, " "), kind) || kind == "" {
		t.Errorf("%v is none of %q", v, types)
	}
	if kind == "plain_text" {
		only(t, o, "type", "text", "emoji")
	} else {
		only(t, o, "type", "text", "verbatim")
	}
	slackMarks(t, str(t, o, "text", most))
}

// slackMarks finds what would be obeyed: a < that does not begin our date, a & that is no entity.
func slackMarks(t testing.TB, s string) {
	t.Helper()
	if i := strings.LastIndex(s, "<!date^"); i >= 0 && strings.HasSuffix(s, " UTC>") {
		s = s[:i]
	}
	s = strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(s)
	if strings.ContainsAny(s, "<>&") {
		t.Errorf("Slack would read markup in %q", s)
	}
}

func checkDiscord(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "embeds", "allowed_mentions")
	if fmt.Sprint(m["allowed_mentions"]) != "map[parse:[]]" {
		t.Errorf("it may mention %v", m["allowed_mentions"])
	}
	total := 0
	add := func(s string) string {
		total += length16(s)
		if strings.Contains(s, "@everyone") || strings.Contains(s, "@here") || strings.Contains(strings.ReplaceAll(s, `\<`, ""), "<@") {
			t.Errorf("it mentions in %q", s)
		}
		return s
	}
	for _, e := range list(t, m, "embeds", 10) {
		only(t, e, "title", "description", "color", "fields", "footer", "timestamp", "url")
		if e["url"] != nil && !ours(e["url"]) {
			t.Errorf("it leads to %v", e["url"])
		}
		add(str(t, e, "title", 256))
		if e["description"] != nil {
			add(str(t, e, "description", 4096))
		}
		footer, _ := e["footer"].(doc)
		total += length16(str(t, footer, "text", 2048)) // knows no markup
		if e["fields"] != nil {
			for _, f := range list(t, e, "fields", 25) {
				only(t, f, "name", "value", "inline")
				add(str(t, f, "name", 256))
				add(str(t, f, "value", 1024))
			}
		}
	}
	if total > 6000 {
		t.Errorf("%d characters in the embed, of 6000", total)
	}
}

func checkTeams(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "type", "attachments")
	if most := 28 << 10; len(out) > most || 2*length16(string(out)) > most {
		t.Errorf("%d bytes, %d in UTF-16, of %d", len(out), 2*length16(string(out)), most)
	}
	for _, a := range list(t, m, "attachments", 1) {
		only(t, a, "contentType", "contentUrl", "content")
		card, _ := a["content"].(doc)
		only(t, card, "$schema", "type", "version", "fallbackText", "body", "msteams", "actions")
		if m["type"] != "message" || a["contentType"] != "application/vnd.microsoft.card.adaptive" || card["type"] != "AdaptiveCard" {
			t.Errorf("no Adaptive Card: %s", out)
		}
		str(t, card, "fallbackText", 1000)
		for _, b := range list(t, card, "body", 60) {
			teamsElement(t, b)
		}
	}
}

func teamsElement(t testing.TB, b doc) {
	t.Helper()
	switch b["type"] {
	case "Container":
		only(t, b, "type", "style", "bleed", "items", "spacing", "separator")
		for _, item := range list(t, b, "items", 20) {
			teamsElement(t, item)
		}
	case "RichTextBlock":
		only(t, b, "type", "inlines", "spacing", "separator")
		for _, run := range list(t, b, "inlines", 5) {
			only(t, run, "type", "text", "size", "weight", "isSubtle", "selectAction")
			if open, ok := run["selectAction"].(doc); ok && !ours(open["url"]) {
				t.Errorf("a text leads to %v", open)
			}
			if run["type"] != "TextRun" {
				t.Errorf("%v would read Markdown", run)
			}
			str(t, run, "text", 2000)
		}
	default:
		t.Errorf("%v would read Markdown", b["type"])
	}
}

// base is IntelliDocs' address in these tests.
const base = "https://docs.example.org/intellidocs"

func ours(url any) bool {
	s, _ := url.(string)
	return s == base || regexp.MustCompile("^"+regexp.QuoteMeta(base)+`/documents/[0-9]+/details$`).MatchString(s)
}

// foreign finds addresses and names that a service would make links and notifications of.
func foreign(t testing.TB, text string) {
	t.Helper()
	text = regexp.MustCompile(regexp.QuoteMeta(base)+`(/documents/[0-9]+/details)?`).ReplaceAllString(text, "")
	if m := regexp.MustCompile(`(?i)://|@[a-z]`).FindString(text); m != "" {
		t.Errorf("%q would mean something in %.300q", m, text)
	}
}

func checkNtfy(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "topic", "title", "message", "priority", "tags", "click", "actions")
	title, message := str(t, m, "title", 250), str(t, m, "message", 4096)
	if len(title) > 250 || len(message) > 4096 || m["topic"] != "docs" {
		t.Errorf("%d and %d bytes to %v", len(title), len(message), m["topic"])
	}
	if p := m["priority"]; p != 3.0 && p != 4.0 {
		t.Errorf("priority %v", p)
	}
	if m["click"] != nil && !ours(m["click"]) {
		t.Errorf("it leads to %v", m["click"])
	}
}

func checkGotify(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "title", "message", "priority", "extras")
	str(t, m, "title", 250)
	str(t, m, "message", 8000)
	if !strings.Contains(string(out), `"client::display":{"contentType":"text/plain"}`) {
		t.Errorf("it may be read as Markdown: %s", out)
	}
}

func checkTelegram(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "chat_id", "text", "parse_mode", "link_preview_options", "reply_markup")
	text := str(t, m, "text", 4096)
	if m["chat_id"] != "-1001" || m["parse_mode"] != "HTML" {
		t.Errorf("to %v in %v", m["chat_id"], m["parse_mode"])
	}
	// What is left without Telegram's tags and entities, as it nests them, has none of their signs.
	bare := regexp.MustCompile(`</?(b|i)>|<a href="https://docs\.example\.org/[^"<>]*">|</a>`).ReplaceAllString(text, "")
	bare = strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(bare)
	if strings.ContainsAny(bare, "<>&") {
		t.Errorf("Telegram would refuse %.300q", bare)
	}
	for _, tag := range []string{"b", "i", "a"} {
		if strings.Count(text, "<"+tag+">")+strings.Count(text, "<"+tag+" ") != strings.Count(text, "</"+tag+">") {
			t.Errorf("<%s> is not closed in %.300q", tag, text)
		}
	}
	foreign(t, text)
}

func checkMatrix(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "text", "html", "username")
	if len(out) > 64<<10 {
		t.Errorf("%d bytes", len(out))
	}
	text, html := str(t, m, "text", 40_000), str(t, m, "html", 40_000)
	foreign(t, text)
	foreign(t, html)
	bare := regexp.MustCompile(`</?(strong|em)>|<br>|<a href="https://docs\.example\.org/[^"<>]*">|</a>`).ReplaceAllString(html, "")
	if strings.ContainsAny(bare, "<>") || strings.Contains(text, "@room") || strings.Contains(html, "@room") {
		t.Errorf("it would mean something: %.300q", bare)
	}
}

func checkMattermost(t testing.TB, out []byte) {
	t.Helper()
	m := tree(t, out)
	only(t, m, "text")
	text := str(t, m, "text", 4500)
	foreign(t, text)
	for _, sign := range []string{"`", "~", "<", "\\", "|", "](h"} {
		if sign == "](h" {
			text = strings.ReplaceAll(text, "]("+base, "")
		}
		if strings.Contains(text, sign) {
			t.Errorf("%s would mean something in %.300q", sign, text)
		}
	}
}

// checks are by format: what the service would take, with which Spec.
var checks = map[string]func(testing.TB, []byte){
	"slack": checkSlack, "discord": checkDiscord, "teams": checkTeams, "mattermost": checkMattermost,
	"ntfy": checkNtfy, "gotify": checkGotify, "telegram": checkTelegram, "matrix": checkMatrix,
}

// to is whom a format's messages are for in these tests.
var to = map[string]string{"ntfy": "docs", "telegram": "-1001"}

func checkCard(t testing.TB, in Input) {
	t.Helper()
	for format, check := range checks {
		check(t, render(t, format, in))
		out := linked(t, format, in)
		check(t, out)
		if t.Failed() {
			t.Fatalf("%s: %.2000s", format, out)
		}
	}
}

// fillers are the characters that take the most room in each service's markup and in JSON.
var fillers = []string{"a", "&", "<", "*", "@", `"`, `\`, "\n- ", "é", "字", "😀", "👩‍👩‍👧", "\u0301", "_ ", "://", "\u202e", "\x00", " "}

// longPayloads are events in which every text at once is as long as it may be.
func longPayloads(filler string) []doc {
	long := strings.Repeat(filler, 1_600/len(filler))
	name := doc{"id": long, "name": long, "title": long, "correspondent": long, "document_type": doc{"name": long}, "created": long, "tags": []any{long, doc{"name": long}}}
	var docs, tags []any
	for range 22 {
		docs, tags = append(docs, name), append(tags, long)
	}
	return []doc{
		{"event_type": "deletion_request_created", "user": name, "deletion_request": doc{
			"id": long, "status": long, "ai_reason": strings.Repeat(filler+"\n", 700), "document_count": 1e12, "documents": docs[:12],
			"impact_summary": doc{"affected_tags": tags, "affected_correspondents": tags, "date_range": doc{"earliest": long, "latest": long + "x"}},
		}},
		{"event_type": "suggestion_auto_applied", "document": name, "applied_suggestions": doc{"tags": tags, long: long, "a": name, "b": name, "c": name, "d": name, "e": name, "f": name, "g": name, "h": name}},
		{"event_type": "scan_completed", "document": name, "scan_summary": doc{"auto_applied_count": 1e12, "suggestions_count": long, "has_custom_fields": long}},
		{"event_type": long + "x", "message": long, "document": name, long + "1": long, long + "2": docs[:3], "a": long, "b": long, "c": long, "d": long, "e": long, "f": long, "g": long, "h": long},
	}
}

func TestCards_KeepToTheLimitsWhateverIsInside(t *testing.T) {
	for _, filler := range race.Part(fillers, 18) {
		for _, p := range longPayloads(filler) {
			body, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			eventType, _ := p["event_type"].(string)
			t.Run(fmt.Sprintf("%.8q/%.24q", filler, eventType), func(t *testing.T) {
				checkCard(t, Input{EventID: "evt_" + strings.Repeat("0", 32), EventType: eventType, Body: body})
			})
		}
	}
}

// Discord refuses a field without a name, Slack a text without a character.
func TestCards_NothingInThemIsEmpty(t *testing.T) {
	for _, blank := range []string{"", " ", "\n", "\u202e", "\x00", "\ufeff", "_", " _ ", "\u200b", "\u00ad", "\u3164", "\u2800\u0301", "\u200d"} {
		body, err := json.Marshal(doc{"event_type": blank, blank: "x", "message": blank, "document": doc{"title": blank, "id": blank}, "l": []any{blank}, "deletion_request": doc{"documents": []any{blank}, "ai_reason": blank}})
		if err != nil {
			t.Fatal(err)
		}
		for _, eventType := range []string{blank, "deletion_request_created", "suggestion_auto_applied", "scan_completed"} {
			checkCard(t, Input{EventID: blank, EventType: eventType, Body: body})
		}
	}
}

// Each member in turn is of each other type.
func TestCards_NoMemberOfAnyTypeBreaksThem(t *testing.T) {
	odd := []any{nil, true, -1, 1e300, 2.5, "", " ", "7", "\n", []any{}, []any{nil, []any{[]any{}}, 1}, doc{}, doc{"id": nil, "name": doc{}, "title": []any{}}, json.Number("123456789012345678901234567890")}
	for _, sample := range []string{"deletion_request_created", "suggestion_auto_applied", "scan_completed"} {
		base := sampleOf(t, sample)
		for _, path := range race.Part(pathsOf(base, nil), 24) {
			for _, v := range append(odd, absent{}) {
				changed := sampleOf(t, sample)
				set(changed, path, v)
				body, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				checkCard(t, Input{EventID: "evt_1", EventType: sample, Body: body})
				if t.Failed() {
					t.Fatalf("with %v = %v", path, v)
				}
			}
		}
	}
}

type absent struct{}

func sampleOf(t testing.TB, name string) doc {
	t.Helper()
	return tree(t, readFile(t, "../../examples/events/"+name+".json"))
}

func pathsOf(v any, at []any) [][]any {
	out := [][]any{}
	if len(at) > 0 {
		out = append(out, append([]any(nil), at...))
	}
	switch v := v.(type) {
	case doc:
		for k, e := range v {
			out = append(out, pathsOf(e, append(at, k))...)
		}
	case []any:
		for i, e := range v {
			out = append(out, pathsOf(e, append(at, i))...)
		}
	}
	return out
}

func set(v any, path []any, to any) {
	switch in := v.(type) {
	case doc:
		key := path[0].(string)
		if _, gone := to.(absent); gone && len(path) == 1 {
			delete(in, key)
		} else if len(path) == 1 {
			in[key] = to
		} else {
			set(in[key], path[1:], to)
		}
	case []any:
		i := path[0].(int)
		if _, gone := to.(absent); gone && len(path) == 1 {
			in[i] = nil
		} else if len(path) == 1 {
			in[i] = to
		} else {
			set(in[i], path[1:], to)
		}
	}
}
