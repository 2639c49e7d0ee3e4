package format

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// summary is what a person wants to read of an event, before any service's markup.
type summary struct {
	title  string
	text   string   // what happened, a sentence
	reason []string // why, in the AI's own words, by lines
	facts  []fact
	list   []document
	total  int    // documents there are, listed or not
	todo   string // what is asked of the reader
	tone   tone

	link string // where people see it in IntelliDocs, "" where that is not known
	to   string // whom the message is for, in formats that name it
	base string // IntelliDocs' address

	eventType string
	eventID   string
	when      time.Time // zero where the event does not say
}

type fact struct{ name, value string }

type document struct {
	title   string
	details string // what else tells it from another
	link    string // where people find it, "" where that is not known
}

type tone uint8

const (
	neutral tone = iota
	good
	attention
)

// Bounds, in UTF-16 code units, that keep a card readable; they are well within the limits
// of every service, which each renderer keeps to by itself once more.
const (
	maxTitle     = 140
	maxText      = 600
	maxReason    = 1200
	maxLines     = 12
	maxDocuments = 10
	maxFacts     = 10
	maxName      = 60
	maxValue     = 300
	maxDocument  = 120
)

// summarise never fails: what is missing or of another type is left out.
func summarise(in Input, p object, base, to string) *summary {
	s := &summary{base: base, link: base, to: to, when: p.get("timestamp").time(), eventType: plain.Clip(plain.OneLine(in.EventType), maxName), eventID: plain.Clip(plain.OneLine(in.EventID), maxName)}
	switch {
	case in.EventType == "deletion_request_created":
		s.deletion(p)
	case in.EventType == "suggestion_auto_applied":
		s.suggestion(p)
	case in.EventType == "scan_completed":
		s.scan(p)
	case strings.HasPrefix(in.EventType, ownPrefix):
		s.own(p)
	default:
		s.custom(p)
	}
	s.title, s.text = plain.Clip(cmp.Or(plain.OneLine(s.title), "Event"), maxTitle), plain.Clip(plain.OneLine(s.text), maxText)
	return s
}

func (s *summary) addFact(name, value string) {
	if value = plain.OneLine(value); value != "" && len(s.facts) < maxFacts {
		s.facts = append(s.facts, fact{plain.Clip(cmp.Or(plain.OneLine(name), "(no name)"), maxName), plain.Clip(value, maxValue)})
	}
}

func (s *summary) why(text string) { s.reason = plain.Lines(plain.Clip(text, maxReason), maxLines) }

func (s *summary) deletion(p object) {
	r := p.get("deletion_request").asObject()
	impact := r.get("impact_summary").asObject()
	docs, listed := r.get("documents").items(maxDocuments)
	count, ok := r.get("document_count").count()
	if !ok {
		count, ok = impact.get("document_count").count()
	}
	if count = max(count, listed); count == 0 && !ok {
		s.title = "The AI asks to delete documents"
	} else {
		s.title = "The AI asks to delete " + plural(count, "document")
	}
	s.tone = attention
	status := r.get("status").text()
	if status == "" || status == "pending" {
		s.text = "Nothing is deleted until somebody approves it."
		s.todo = "Approve or reject the request in IntelliDocs."
	} else {
		s.text = "The request is " + plain.Clip(status, maxName) + "."
	}
	s.why(r.get("ai_reason").paragraphs())
	for _, d := range docs {
		s.list = append(s.list, documentOf(d, s.base))
	}
	s.total = count
	s.addFact("Request", hash(r.get("id")))
	s.addFact("To be decided by", p.get("user").name())
	s.addFact("Correspondents", impact.get("affected_correspondents").name())
	s.addFact("Tags", impact.get("affected_tags").name())
	dates := impact.get("date_range").asObject()
	earliest, latest := dates.get("earliest").date(), dates.get("latest").date()
	if earliest == latest {
		latest = ""
	}
	s.addFact("Dated", strings.Trim(earliest+" – "+latest, " –"))
}

func (s *summary) suggestion(p object) {
	d := p.get("document").asObject()
	s.tone = good
	s.title = "The AI filed " + quoted(d)
	applied := p.get("applied_suggestions").asObject()
	var set []string
	told := map[string]bool{}
	for _, key := range applied.keys() {
		has := d.get(key)
		n, now := applied.get(key).appliedTo(has)
		if n == "" {
			continue
		}
		name := plain.Words(key)
		set = append(set, name)
		if told[key] = now; now && has.kind() == '[' {
			s.addFact(sentence(name), n) // which of them are new, nobody says
		} else {
			s.addFact("New "+name, n)
		}
	}
	s.text = "Its suggestions were certain enough to be applied without asking."
	if len(set) > 0 {
		s.text = "It was certain enough to set " + series(set) + " without asking."
	}
	s.todo = "If that is wrong, correct the document in IntelliDocs."
	s.addDocument(d, told)
}

func (s *summary) scan(p object) {
	d := p.get("document").asObject()
	s.title = "The AI read " + quoted(d)
	sum := p.get("scan_summary").asObject()
	applied, haveApplied := sum.get("auto_applied_count").count()
	open, haveOpen := sum.get("suggestions_count").count()
	if haveApplied || haveOpen {
		s.text = plural(applied, "suggestion") + " applied, " + strconv.Itoa(open) + " left to decide."
	}
	switch {
	case open == 1:
		s.todo = "Look at the open suggestion in IntelliDocs."
	case open > 1:
		s.todo = fmt.Sprintf("Look at the %d open suggestions in IntelliDocs.", open)
	case applied > 0:
		s.tone = good
	case haveApplied && haveOpen:
		s.text = "It has nothing to suggest."
	}
	if !haveOpen || open > 0 {
		s.addFact("Suggestions about", strings.Join(suggestedAbout(sum), ", "))
	}
	s.addDocument(d, nil)
}

// suggestedAbout names what a scan has suggestions for. IntelliDocs sets the first four flags
// wherever it looked for such, so where all four are set they say nothing; the last two are
// the suggestions themselves.
func suggestedAbout(sum object) (about []string) {
	for _, k := range []struct{ key, name string }{
		{"has_tags_suggestions", "tags"},
		{"has_correspondent_suggestion", "correspondent"},
		{"has_type_suggestion", "document type"},
		{"has_storage_path_suggestion", "storage path"},
	} {
		if sum.get(k.key).yes() {
			about = append(about, k.name)
		}
	}
	if len(about) == 4 {
		about = nil
	}
	for _, k := range []struct{ key, name string }{{"has_custom_fields", "custom fields"}, {"has_workflow_suggestions", "workflows"}} {
		if sum.get(k.key).yes() {
			about = append(about, k.name)
		}
	}
	return about
}

// addDocument says what is known of the one the event is about, but for what was told.
func (s *summary) addDocument(d object, told map[string]bool) {
	s.link = cmp.Or(documentLink(s.base, d.get("id").text()), s.base)
	s.addFact("Document", hash(d.get("id")))
	for _, k := range []struct{ key, name string }{{"correspondent", "Correspondent"}, {"document_type", "Type"}, {"tags", "Tags"}} {
		if n := d.get(k.key).name(); n != "" && !told[k.key] {
			s.addFact(k.name, n)
		}
	}
	s.addFact("Created", d.get("created").date())
}

// custom is a card for an event whose shape nobody knows: its simple values.
func (s *summary) custom(p object) {
	s.title = sentence(plain.Words(cmp.Or(s.eventType, "event")))
	var said string
	for _, key := range []string{"message", "text", "description", "summary"} {
		if said = p.get(key).paragraphs(); strings.TrimSpace(said) != "" {
			s.text = said
			break
		}
	}
	if d := p.get("document").asObject(); d.get("title").text() != "" {
		s.list, s.total = []document{documentOf(p.get("document"), s.base)}, 1
		s.link = cmp.Or(s.list[0].link, s.base)
	}
	for _, key := range p.keys() {
		switch key {
		case "event_type", "timestamp", "source", "event_id":
			continue
		}
		v := p.get(key)
		if key == "document" && s.list != nil || said != "" && v.paragraphs() == said {
			continue
		}
		s.addFact(sentence(plain.Words(key)), v.name())
		if len(s.facts) == maxFacts {
			break
		}
	}
}

func documentOf(v value, base string) document {
	d := v.asObject()
	if d == nil {
		return document{title: plain.Clip(cmp.Or(v.text(), "a document without a title"), maxDocument)}
	}
	out := document{title: d.get("title").text(), link: documentLink(base, d.get("id").text())}
	id := hash(d.get("id"))
	if out.title == "" {
		out.title, id = strings.TrimSpace("Document "+id), ""
	}
	out.title = plain.Clip(out.title, maxDocument)
	var details []string
	for _, detail := range []string{id, d.get("correspondent").name(), d.get("document_type").name(), d.get("created").date()} {
		if detail != "" {
			details = append(details, plain.Clip(detail, maxName))
		}
	}
	out.details = strings.Join(details, " · ")
	return out
}

func quoted(d object) string {
	if t := d.get("title").text(); t != "" {
		return "“" + plain.Clip(t, maxTitle-20) + "”"
	}
	return strings.TrimSpace("document " + hash(d.get("id")))
}

// footer is what the event is, for whoever wants to look it up.
func (s *summary) footer() string {
	parts := []string{"IntelliDocs"}
	for _, p := range []string{s.eventType, s.eventID} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " · ")
}

// remainder says how many documents there are beyond those shown.
func (s *summary) remainder(shown int) string {
	switch more := s.total - shown; {
	case more <= 0:
		return ""
	case shown == 0:
		return plural(more, "document") + " not shown here"
	default:
		return "… and " + plural(more, "more document")
	}
}

// fallback is the whole in a sentence or two, for a notification.
func (s *summary) fallback() string {
	out := s.title
	for _, p := range []string{s.text, plain.OneLine(strings.Join(s.reason, " ")), s.todo} {
		if p != "" {
			out = strings.TrimSuffix(out, ".") + ". " + p
		}
	}
	return out
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + s[n:]
}

func series(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}
