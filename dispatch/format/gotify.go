package format

import "github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"

// gotifyMessage keeps a message readable; Gotify names no limit.
const gotifyMessage = 8000

type gotifyMessageJSON struct {
	Title    string         `json:"title"`
	Message  string         `json:"message"`
	Priority int            `json:"priority"`
	Extras   map[string]any `json:"extras"`
}

// gotify is a message of Gotify's (https://gotify.net/docs/pushmsg), as plain text, which its
// clients do not render (https://gotify.net/docs/msgextras).
func gotify(s *summary) ([]byte, error) {
	m := gotifyMessageJSON{
		Title: s.title, Priority: 5,
		Extras: map[string]any{"client::display": map[string]string{"contentType": "text/plain"}},
	}
	if s.tone == attention {
		m.Priority = 8
	}
	if s.link != "" {
		m.Extras["client::notification"] = map[string]any{"click": map[string]string{"url": s.link}}
	}
	var err error
	m.Message, err = fit(gotifyMessage, plain.Len, func(share int) (string, error) { return s.write(asIs, share), nil })
	if err != nil {
		return nil, err
	}
	return plain.JSON(m)
}
