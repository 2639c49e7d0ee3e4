package format

import "github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"

// ownPrefix begins the types of the agent's own events.
const ownPrefix = "agent."

// own is a card for what happened to the agent itself: its events say in a line what is the
// matter, and why.
func (s *summary) own(p object) {
	s.link = "" // it is not about IntelliDocs
	s.title = p.get("title").text()
	s.text = p.get("message").paragraphs()
	s.tone = good
	if p.get("severity").text() != "info" {
		s.tone = attention
	}
	if s.title == "" {
		s.title = sentence(plain.Words(s.eventType))
	}
	s.why(p.get("reason").paragraphs())
	for _, f := range []struct{ key, name string }{
		{"webhook", "Webhook"},
		{"input", "Source"},
		{"file", "File"},
		{"host", "Host"},
		{"since", "Since"},
		{"last_event_type", "Latest event"},
		{"delivery_id", "Delivery"},
		{"waiting", "Waiting"},
		{"failed", "Failed"},
		{"rejected", "Rejected"},
	} {
		s.addFact(f.name, p.get(f.key).text())
	}
	if n, ok := p.get("count").count(); ok && n > 1 {
		s.addFact("How often", p.get("count").text())
	}
}
