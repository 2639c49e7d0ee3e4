package format

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// summary is what a person wants to read of an event, before any service's markup.
type summary struct {
	title string
	text  string // one or two sentences
	facts []fact
	list  []string // documents
	more  int      // documents not in the list
	todo  string   // what is asked of the reader
	when  string
	tone  tone
}

type fact struct{ name, value string }

type tone uint8

const (
	neutral tone = iota
	good
	attention
)

// Bounds that hold for every service, well within the limits of each.
const (
	maxDocuments = 10
	maxFacts     = 10
	maxText      = 1500
	maxName      = 80
	maxValue     = 300
)

// summarise never fails: what is missing or of another type is left out.
func summarise(eventType string, p map[string]any) *summary {
	s := &summary{when: str(p["timestamp"])}
	switch eventType {
	case "deletion_request_created":
		s.deletion(p)
	case "suggestion_auto_applied":
		s.suggestion(p)
	case "scan_completed":
		s.scan(p)
	default:
		s.generic(eventType, p)
	}
	s.title, s.text, s.todo = clip(oneLine(s.title), 140), clip(s.text, maxText), clip(s.todo, maxValue)
	return s
}

func (s *summary) fact(name, value string) {
	if value = oneLine(value); value != "" && len(s.facts) < maxFacts {
		s.facts = append(s.facts, fact{clip(oneLine(name), maxName), clip(value, maxValue)})
	}
}

func (s *summary) deletion(p map[string]any) {
	r := object(p["deletion_request"])
	docs := objects(r["documents"])
	count := first(str(r["document_count"]), fmt.Sprint(len(docs)))
	s.tone = attention
	s.title = fmt.Sprintf("The AI asks to delete %s", documents(count))
	s.text = str(r["ai_reason"])
	s.todo = "Nothing is deleted yet: approve or reject the request in IntelliDocs."
	s.fact("Request", hash(r["id"]))
	s.fact("Status", str(r["status"]))
	impact := object(r["impact_summary"])
	s.fact("Correspondents", joined(impact["affected_correspondents"]))
	s.fact("Tags", joined(impact["affected_tags"]))
	dates := object(impact["date_range"])
	s.fact("Dated", strings.Trim(str(dates["earliest"])+" – "+str(dates["latest"]), " –"))
	s.fact("For user", str(object(p["user"])["username"]))
	for i, d := range docs {
		if i == maxDocuments {
			s.more = len(docs) - i
			break
		}
		s.list = append(s.list, describe(d))
	}
}

func (s *summary) suggestion(p map[string]any) {
	d := object(p["document"])
	s.tone = good
	s.title = "The AI filed " + title(d)
	applied := object(p["applied_suggestions"])
	s.text = "Suggestions of high confidence were applied without asking."
	for _, key := range slices.Sorted(maps.Keys(applied)) {
		s.fact("Set "+strings.ReplaceAll(key, "_", " "), named(applied[key]))
	}
	s.document(d)
}

func (s *summary) scan(p map[string]any) {
	d := object(p["document"])
	s.title = "The AI has scanned " + title(d)
	sum := object(p["scan_summary"])
	applied, open := str(sum["auto_applied_count"]), str(sum["suggestions_count"])
	if applied != "" || open != "" {
		s.text = fmt.Sprintf("%s applied, %s left for a person to decide.", plural(first(applied, "0"), "suggestion"), first(open, "0"))
	}
	if open != "" && open != "0" {
		s.todo = "Look at the open suggestions in IntelliDocs."
	}
	var about []string
	for _, k := range []struct{ key, name string }{
		{"has_tags_suggestions", "tags"}, {"has_correspondent_suggestion", "correspondent"}, {"has_type_suggestion", "document type"},
		{"has_storage_path_suggestion", "storage path"}, {"has_custom_fields", "custom fields"}, {"has_workflow_suggestions", "workflows"},
	} {
		if sum[k.key] == true {
			about = append(about, k.name)
		}
	}
	s.fact("About", strings.Join(about, ", "))
	s.document(d)
}

func (s *summary) document(d map[string]any) {
	s.fact("Document", hash(d["id"]))
	s.fact("Correspondent", named(d["correspondent"]))
	s.fact("Type", named(d["document_type"]))
	s.fact("Tags", joined(d["tags"]))
	s.fact("Created", str(d["created"]))
}

// generic is a card for an event whose shape nobody knows: its simple values.
func (s *summary) generic(eventType string, p map[string]any) {
	s.title = "IntelliDocs: " + strings.ReplaceAll(eventType, "_", " ")
	s.text = first(str(p["message"]), str(p["description"]), str(p["text"]))
	for _, key := range slices.Sorted(maps.Keys(p)) {
		switch key {
		case "event_type", "timestamp", "source", "message", "event_id":
			continue
		}
		value := str(p[key])
		if o := object(p[key]); len(o) > 0 {
			value = named(o)
		} else if value == "" {
			value = joined(p[key])
		}
		s.fact(strings.ReplaceAll(key, "_", " "), value)
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func objects(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, item := range list {
		if m := object(item); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// str is a simple value as text, "" for what is none.
func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "yes"
		}
		return "no"
	}
	return ""
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func hash(v any) string {
	if id := str(v); id != "" {
		return "#" + id
	}
	return ""
}

// named is the name of a thing, or the names of several.
func named(v any) string {
	if o := object(v); o != nil {
		return first(str(o["name"]), str(o["title"]), hash(o["id"]))
	}
	if s := str(v); s != "" {
		return s
	}
	return joined(v)
}

func joined(v any) string {
	list, _ := v.([]any)
	var out []string
	for i, item := range list {
		if i == 20 {
			out = append(out, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		if s := first(str(item), named(object(item))); s != "" {
			out = append(out, oneLine(s))
		}
	}
	return strings.Join(out, ", ")
}

func title(d map[string]any) string {
	if t := oneLine(str(d["title"])); t != "" {
		return "“" + t + "”"
	}
	return strings.TrimSpace("a document " + hash(d["id"]))
}

func describe(d map[string]any) string {
	parts := []string{strings.Trim(title(d), "“”")}
	if id := hash(d["id"]); id != "" && !strings.HasSuffix(parts[0], id) {
		parts[0] += " (" + id + ")"
	}
	for _, v := range []string{named(d["correspondent"]), named(d["document_type"])} {
		if v != "" {
			parts = append(parts, oneLine(v))
		}
	}
	return clip(strings.Join(parts, ", "), 200)
}

func documents(count string) string { return plural(count, "document") }

func plural(count, word string) string {
	if count == "1" {
		return "1 " + word
	}
	return count + " " + word + "s"
}
