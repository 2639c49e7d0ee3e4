package format

import (
	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// ntfy's limits, in bytes: a message of more becomes an attachment, a longer title is refused
// (https://docs.ntfy.sh/config/#message-limits, https://docs.ntfy.sh/publish/#limitations).
const (
	ntfyMessage = 4096
	ntfyTitle   = 250
)

type ntfyMessageJSON struct {
	Topic    string       `json:"topic"`
	Title    string       `json:"title"`
	Message  string       `json:"message"`
	Priority int          `json:"priority"`
	Tags     []string     `json:"tags"`
	Click    string       `json:"click,omitempty"`
	Actions  []ntfyAction `json:"actions,omitempty"`
}

type ntfyAction struct {
	Action string `json:"action"`
	Label  string `json:"label"`
	URL    string `json:"url"`
}

// ntfy is a message as JSON (https://docs.ntfy.sh/publish/#publish-as-json). It is plain text,
// without markup.
func ntfy(s *summary) ([]byte, error) {
	m := ntfyMessageJSON{Topic: s.to, Priority: 3, Tags: []string{s.tag()}}
	if s.tone == attention {
		m.Priority = 4
	}
	if s.link != "" {
		m.Click = s.link
		m.Actions = []ntfyAction{{"view", openLabel, s.link}}
	}
	var err error
	m.Title, _ = fit(ntfyTitle, bytesOf, func(share int) (string, error) { return plain.Clip(s.title, maxTitle/share+1), nil })
	m.Message, err = fit(ntfyMessage, bytesOf, func(share int) (string, error) { return s.write(asIs, share), nil })
	if err != nil {
		return nil, err
	}
	return plain.JSON(m)
}

// tag is the emoji's name that ntfy shows before a title.
func (s *summary) tag() string {
	switch s.tone {
	case attention:
		return "warning"
	case good:
		return "white_check_mark"
	}
	return "page_facing_up"
}
