// Package format renders an event as the service at the other end wants it. Rendering is
// pure: the same event always gives the same bytes, since a retry renders again.
package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Spec is what agent.toml says of a webhook's body.
type Spec struct {
	Format      string // json, slack, discord, teams, cloudevents, template
	Template    string // with template: its text
	ContentType string // with template; empty: application/json
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

// New makes a renderer. An error says what is wrong with the template.
func New(s Spec) (*Renderer, error) {
	switch s.Format {
	case "", "json":
		return &Renderer{func(in Input) ([]byte, string, error) { return in.Body, jsonType, nil }}, nil
	case "slack":
		return card(slack), nil
	case "discord":
		return card(discord), nil
	case "teams":
		return card(teams), nil
	case "cloudevents":
		return &Renderer{cloudevent}, nil
	case "template":
		return newTemplate(s)
	}
	return nil, fmt.Errorf("there is no format %q; there are json, slack, discord, teams, cloudevents and template", s.Format)
}

const jsonType = "application/json"

// Render gives the body and its content type. An error is for good: the same event will
// not render another time either.
func (r *Renderer) Render(in Input) ([]byte, string, error) { return r.render(in) }

// card makes a renderer of a chat service's message.
func card(message func(s *summary) any) *Renderer {
	return &Renderer{func(in Input) ([]byte, string, error) {
		payload, err := decode(in.Body)
		if err != nil {
			return nil, "", err
		}
		out, err := encode(message(summarise(in.EventType, payload)))
		return out, jsonType, err
	}}
}

func decode(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var payload map[string]any
	if err := d.Decode(&payload); err != nil {
		return nil, fmt.Errorf("the event cannot be rendered: %w", err)
	}
	return payload, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// clip cuts text to a number of UTF-16 code units, which is what the services count, on
// the boundary of a character, and says so with "…".
func clip(s string, most int) string {
	units, cut := 0, 0
	for i, r := range s {
		n := 1
		if r > 0xFFFF {
			n = 2
		}
		if units+n > most-1 && cut == 0 {
			cut = i + 1 // remembered as i+1, since 0 means none
		}
		if units += n; units > most {
			return s[:cut-1] + "…"
		}
	}
	return s
}

// oneLine is text without line breaks and control characters.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)), " ")
}
