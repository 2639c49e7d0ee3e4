// Package format renders an event as the service at the other end wants it. Rendering is
// pure, without a clock: the same event always yields the same bytes, since a retry renders
// again.
//
// What the payload holds is text from documents, which anybody may have written: it is
// shown and never obeyed. It cannot mention people, set links or break out of the JSON it
// is put into.
package format

import (
	"fmt"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/template"
)

// Spec is what agent.toml says of a webhook's body.
type Spec struct {
	Format      string // one of Names; json also when empty
	Template    string // with template: its text
	ContentType string // with template; empty: application/json
	Link        string // where people open IntelliDocs: cards then link each document
	To          string // whom messages are for, as Address has it
}

// Names are the formats there are.
var Names = []string{
	"json", "slack", "discord", "teams", "mattermost", "ntfy", "gotify", "telegram", "matrix", "cloudevents", "template",
}

// cards make one message of a summary each.
var cards = map[string]func(s *summary) ([]byte, error){
	"slack": slack, "discord": discord, "teams": teams, "mattermost": mattermost,
	"ntfy": ntfy, "gotify": gotify, "telegram": telegram, "matrix": matrix,
}

// Input is an event to render.
type Input struct {
	EventID    string
	EventType  string
	DeliveryID string
	Body       []byte // canonical bytes
}

// Renderer renders for one webhook. It is safe for concurrent use.
type Renderer struct {
	render func(in Input) ([]byte, string, error)
}

// New makes a renderer. An error says what is wrong with the format or the template.
func New(s Spec) (*Renderer, error) {
	if s.Format != "template" && (s.Template != "" || s.ContentType != "") {
		return nil, fmt.Errorf("template and content_type are only for format = %q", "template")
	}
	switch s.Format {
	case "", "json":
		return &Renderer{func(in Input) ([]byte, string, error) { return in.Body, jsonType, nil }}, nil
	case "cloudevents":
		return &Renderer{cloudevent}, nil
	case "template":
		t, err := template.New(s.Template, s.ContentType)
		if err != nil {
			return nil, err
		}
		return &Renderer{func(in Input) ([]byte, string, error) { return t.Render(template.Event(in)) }}, nil
	}
	if message := cards[s.Format]; message != nil {
		return card(message, s), nil
	}
	return nil, fmt.Errorf("there is no format %q; there are %s", s.Format, strings.Join(Names, ", "))
}

// ErrContentType is New's error where the content type is at fault and not the template.
var ErrContentType = template.ErrContentType

const jsonType = "application/json"

// Render returns the body and its content type. An error is for good: the same event will
// not render another time either.
func (r *Renderer) Render(in Input) (body []byte, contentType string, err error) {
	return r.render(in)
}

// card makes a renderer of a service's message.
func card(message func(s *summary) ([]byte, error), spec Spec) *Renderer {
	return &Renderer{func(in Input) ([]byte, string, error) {
		payload, err := decode(in.Body)
		if err != nil {
			return nil, "", err
		}
		out, err := message(summarise(in, payload, spec.Link, spec.To))
		return out, jsonType, err
	}}
}
