package format

import (
	"html"
	"net/url"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// telegramText is how long a text may be (https://core.telegram.org/bots/api#sendmessage).
// Telegram counts it without its markup, which is never more.
const telegramText = 4096

type telegramMessage struct {
	ChatID    string `json:"chat_id"`
	Text      string `json:"text"`
	ParseMode string `json:"parse_mode"`
	Preview   struct {
		Disabled bool `json:"is_disabled"`
	} `json:"link_preview_options"`
	Keyboard *telegramKeyboard `json:"reply_markup,omitempty"`
}

type telegramKeyboard struct {
	Rows [][]telegramButton `json:"inline_keyboard"`
}

type telegramButton struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

// telegram is a message in Telegram's HTML, in which &, < and > alone mean something
// (https://core.telegram.org/bots/api#html-style). An @name would notify its owner, and a
// /command be one, so both are parted from what stands before them.
func telegram(s *summary) ([]byte, error) {
	m := telegramMessage{ChatID: s.to, ParseMode: "HTML"}
	m.Preview.Disabled = true
	style := markup{
		escape: telegramEscape,
		bold:   func(text string) string { return "<b>" + text + "</b>" },
		quote:  func(text string) string { return "<i>" + text + "</i>" },
		link:   func(text, _ string) string { return text },
	}
	if linkable(s.link) {
		m.Keyboard = &telegramKeyboard{[][]telegramButton{{{openLabel, s.link}}}}
		style.link = func(text, url string) string { return `<a href="` + html.EscapeString(url) + `">` + text + "</a>" }
	}
	var err error
	m.Text, err = fit(telegramText, plain.Len, func(share int) (string, error) {
		return style.bold(plain.Escape(s.title, 2*maxTitle/share+1, telegramEscape)) + "\n\n" + s.write(style, share), nil
	})
	if err != nil {
		return nil, err
	}
	return plain.JSON(m)
}

// linkable reports whether Telegram takes a URL: it refuses a message for one whose host has
// no domain.
func linkable(link string) bool {
	u, err := url.Parse(link)
	return err == nil && strings.Contains(strings.Trim(u.Hostname(), "."), ".")
}

func telegramEscape(prev, r, next rune) string {
	switch {
	case r == '&':
		return "&amp;"
	case r == '<':
		return "&lt;"
	case r == '>':
		return "&gt;"
	case r == '@', r == '/' && !plain.IsWord(prev), r == '#' && hashtag(prev, next):
		return string(r) + "\u200b"
	case r == '.' && plain.IsWord(prev) && plain.IsWord(next):
		return "." // a name such as invoice.pdf may look like a domain; the preview is off
	case r == ':' && next == '/':
		return ":\u200b"
	}
	return string(r)
}
