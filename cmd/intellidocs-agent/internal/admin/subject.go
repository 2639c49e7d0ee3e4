package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Bounds of a subject: how much of a payload is searched for it, how long it gets, and how
// many are remembered between two looks at the same page.
const (
	subjectSearch = 256 << 10
	subjectRunes  = 120
	subjectsKept  = 512
)

// subjects remembers what events are about, since a page that refreshes asks for the same
// ones again and again. An event never changes, so neither does its subject.
type subjects struct {
	mu    sync.Mutex
	of    map[string]string
	order []string // oldest first
}

// get returns the subject of an event; body is asked for only where it is not remembered.
// A body that cannot be read has no subject.
func (s *subjects) get(eventID string, body func() (queue.Event, error)) string {
	s.mu.Lock()
	text, ok := s.of[eventID]
	s.mu.Unlock()
	if ok {
		return text
	}
	e, err := body()
	if err != nil {
		return ""
	}
	text = subject(e.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]string{}
	}
	if _, ok := s.of[eventID]; !ok {
		s.of[eventID], s.order = text, append(s.order, eventID)
	}
	if len(s.order) > subjectsKept {
		delete(s.of, s.order[0])
		s.order = s.order[1:]
	}
	return text
}

// subject is what people know an event by: "“Invoice 12” #42", or of a deletion request its
// first document and how many more. It is empty for an event that names no document within
// its first 256 KiB.
func subject(body []byte) string {
	d := json.NewDecoder(bytes.NewReader(body[:min(len(body), subjectSearch)]))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return "" // cut off by the bound
		}
		switch key {
		case "document":
			var one document
			if json.Unmarshal(value, &one) == nil {
				return one.String()
			}
		case "deletion_request":
			var request struct {
				Documents []document `json:"documents"`
			}
			if json.Unmarshal(value, &request) == nil && len(request.Documents) > 0 {
				text := request.Documents[0].String()
				if n := len(request.Documents) - 1; n > 0 {
					text = strings.TrimSpace(fmt.Sprintf("%s and %d more", text, n))
				}
				return text
			}
		}
	}
	return ""
}

// document is as much of a payload's document as names it. Either may be of any type and
// size, so neither is decoded further than it is shown.
type document struct {
	ID    json.RawMessage `json:"id"`
	Title json.RawMessage `json:"title"`
}

func (d document) String() string {
	var title string
	_ = json.Unmarshal(d.Title, &title) // what is no string is no title
	title = strings.Join(strings.FieldsFunc(title, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(title); len(runes) > subjectRunes {
		title = string(runes[:subjectRunes]) + "…"
	}
	if title != "" {
		title = "“" + title + "” "
	}
	id := strings.Trim(string(d.ID), `"`)
	if id == "" || id == "null" || len(id) > 40 || strings.ContainsAny(id, "[{\\") {
		return strings.TrimSpace(title)
	}
	return title + "#" + id
}
