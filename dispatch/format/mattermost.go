package format

import (
	"strings"
	"unicode"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// mattermostText is how long a message may be
// (https://developers.mattermost.com/integrate/webhooks/incoming/); what is longer is split.
// Rocket.Chat takes 5,000 characters by its default.
const mattermostText = 4500

type mattermostMessage struct {
	Text string `json:"text"`
}

// mattermost is a message for an incoming webhook of Mattermost's, which Rocket.Chat takes
// too: Markdown without a name to post by, which servers refuse by default.
func mattermost(s *summary) ([]byte, error) {
	style := markup{
		escape: mattermostEscape,
		bold:   func(text string) string { return "**" + text + "**" },
		quote:  func(text string) string { return "> " + text },
		link:   func(text, url string) string { return "[" + text + "](" + url + ")" },
	}
	text, err := fit(mattermostText, plain.Len, func(share int) (string, error) {
		parts := []string{s.sign() + " " + style.bold(plain.Escape(s.title, 2*maxTitle/share+1, mattermostEscape)), s.write(style, share)}
		if s.link != "" {
			parts = append(parts, style.link(openLabel, s.link))
		}
		return strings.Join(parts, "\n\n"), nil
	})
	if err != nil {
		return nil, err
	}
	return plain.JSON(mattermostMessage{text})
}

// sign is an emoji that says how it stands.
func (s *summary) sign() string {
	switch s.tone {
	case attention:
		return "⚠️"
	case good:
		return "✅"
	}
	return "📄"
}

// mattermostEscape takes the meaning from what comes from an event, in Mattermost's Markdown
// and in Rocket.Chat's, which does not know all of its escapes: markup becomes the sign that
// looks like it, and a name, a channel, a tag or an address is parted by a zero-width space.
func mattermostEscape(prev, r, next rune) string {
	switch r {
	case '*':
		return "∗"
	case '`':
		return "ˋ"
	case '~':
		return "∼"
	case '_':
		if !plain.IsWord(prev) || !plain.IsWord(next) {
			return "＿"
		}
	case '\\':
		return "＼"
	case '|':
		return "¦"
	case '<':
		return "‹"
	case '>':
		return "›"
	case '$': // mathematics, in both
		return "＄"
	case '[':
		return "［"
	case ']':
		return "］"
	case '@':
		return "@\u200b"
	case '#':
		if hashtag(prev, next) {
			return "#\u200b"
		}
	case ':': // an address, or the name of an emoji
		if next == '/' || plain.IsWord(next) && !plain.IsWord(prev) {
			return ":\u200b"
		}
	case '.': // www.example.org and the like
		if plain.IsWord(prev) && plain.IsWord(next) {
			return ".\u200b"
		}
	case '-', '+', '=':
		if prev == 0 {
			return "\u200b" + string(r)
		}
	}
	return string(r)
}

// hashtag reports whether a # between prev and next begins a tag or a heading, and not a
// number.
func hashtag(prev, next rune) bool {
	return !plain.IsWord(prev) && (unicode.IsLetter(next) || next == '_' || next == '#' || prev == 0)
}
