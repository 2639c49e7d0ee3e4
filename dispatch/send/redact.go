package send

import (
	"net/url"
	"strings"
	"unicode"
)

// RedactURL is a URL as it may be shown: without user, query and fragment, and with the
// parts of its path that look like a secret left out, as those of chat services are.
func RedactURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		return "[a URL that cannot be read]"
	}
	host := strings.ToLower(u.Hostname())
	parts := strings.Split(u.Path, "/")
	for i, part := range parts {
		if part != "" && (looksSecret(part) || chatSecret(host, i, u.Path)) {
			parts[i] = "…"
		}
	}
	out := url.URL{Scheme: u.Scheme, Host: u.Host}
	shown := out.String() + strings.Join(parts, "/")
	if u.RawQuery != "" {
		shown += "?…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, shown)
}

// chatSecret knows where services have a secret in the path that need not look like one.
func chatSecret(host string, i int, path string) bool {
	switch {
	case strings.HasPrefix(host, "hooks.slack"):
		return i > 1 // /services/T…/B…/…
	case strings.HasPrefix(path, "/api/webhook/"):
		return i > 2 // Home Assistant's /api/webhook/ID
	case strings.HasSuffix(host, "discord.com"), strings.HasSuffix(host, "discordapp.com"), host == "hooks.zapier.com":
		return i > 2 // /api/webhooks/ID/TOKEN; /hooks/catch/ID/TOKEN
	case host == "maker.ifttt.com":
		return i > 3 // /trigger/EVENT/with/key/KEY
	case strings.HasSuffix(host, "webhook.office.com"), strings.HasSuffix(host, "logic.azure.com"), host == "api.telegram.org":
		return i > 0
	}
	return false
}

// looksSecret tells a token from a word: long, and with digits or both cases mixed in.
func looksSecret(part string) bool {
	digits := strings.ContainsAny(part, "0123456789")
	mixed := strings.ToLower(part) != part && strings.ToUpper(part) != part
	return len(part) >= 32 || len(part) >= 16 && (digits || mixed)
}
