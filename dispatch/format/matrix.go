package format

import (
	"html"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// matrixEvent is how long an event may be, in bytes: 64 KiB
// (https://spec.matrix.org/latest/client-server-api/#size-limits), less what stands around
// the two texts.
const matrixEvent = 48 << 10

type matrixMessage struct {
	Text     string `json:"text"`
	HTML     string `json:"html"`
	Username string `json:"username"`
}

// matrix is a message for a generic webhook of Hookshot's
// (https://matrix-org.github.io/matrix-hookshot/latest/setup/webhooks.html), in HTML with a
// plain text beside it. An @room would notify everybody, so it is parted.
func matrix(s *summary) ([]byte, error) {
	rich := markup{
		escape: matrixEscape,
		bold:   func(text string) string { return "<strong>" + text + "</strong>" },
		quote:  func(text string) string { return "<em>" + text + "</em>" },
		link:   func(text, url string) string { return `<a href="` + html.EscapeString(url) + `">` + text + "</a>" },
	}
	bare := asIs
	bare.escape = matrixPlain
	for share := 1; ; share *= 2 {
		m := matrixMessage{Username: "IntelliDocs"}
		m.Text = plain.Escape(s.title, 2*maxTitle/share+1, matrixPlain) + "\n\n" + s.write(bare, share)
		m.HTML = rich.bold(plain.Escape(s.title, 2*maxTitle/share+1, matrixEscape)) + "<br>" +
			strings.ReplaceAll(s.write(rich, share), "\n", "<br>")
		if s.link != "" {
			m.Text += "\n" + s.link
			m.HTML += "<br>" + rich.link(openLabel, s.link)
		}
		out, err := plain.JSON(m)
		if err != nil || len(out) <= matrixEvent || share > maxReason {
			return out, err
		}
	}
}

func matrixPlain(prev, r, next rune) string {
	if r == '@' {
		return "@\u200b"
	}
	return asIs.escape(prev, r, next)
}

func matrixEscape(prev, r, next rune) string {
	switch r {
	case '&', '<', '>', '"', '\'':
		return html.EscapeString(string(r))
	}
	return matrixPlain(prev, r, next)
}
