package send

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// minSecret is the length from which an echoed value is taken out of responses: shorter
	// ones are words that stand there by chance.
	minSecret = 8
	maxSecret = 8 << 10
)

// scrubber takes out of text what only the endpoint and the webhook's configuration should
// know. Receivers echo it: "Cannot POST /the/secret/path", or all the headers they were sent.
func scrubber(u *url.URL, own http.Header) *strings.Replacer {
	var secrets []string
	add := func(values ...string) {
		for _, v := range values {
			if len(v) >= minSecret && len(v) <= maxSecret {
				secrets = append(secrets, v)
			}
		}
	}
	for name, values := range own {
		if name != "Content-Type" && name != "User-Agent" {
			add(values...)
			for _, v := range values {
				add(strings.Fields(v)...) // "Bearer TOKEN"
			}
		}
	}
	password, _ := u.User.Password()
	add(password, url.QueryEscape(password), u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			add(v, url.QueryEscape(v))
		}
	}
	parts := strings.Split(u.Path, "/")
	for i, part := range parts {
		if looksSecret(part) || chatSecret(strings.ToLower(u.Hostname()), i, u.Path) {
			add(part, url.PathEscape(part))
		}
	}
	// The longest first, since the replacer takes the first that fits.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(secrets) {
		pairs = append(pairs, s, "…")
	}
	return strings.NewReplacer(pairs...)
}
