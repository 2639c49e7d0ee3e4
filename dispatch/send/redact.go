package send

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// RedactURL is a URL as it may be shown: without user, query and fragment, and with those
// parts of its path left out that could be a secret, as chat services have it.
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

// A part of a path is shown only where it is plainly a word or a version: what a token
// looks like is anybody's guess.
var plainPart = regexp.MustCompile(`^(v?[0-9]{1,3}|[a-z]+([._-][a-z]+)*(\.[a-z0-9]{1,5})?)$`)

func looksSecret(part string) bool { return len(part) > 24 || !plainPart.MatchString(part) }
