package send

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

const (
	// keepHeaderRunes is how much of a response's status line and headers is kept, and
	// keepValueRunes how much of one value.
	keepHeaderRunes = 2000
	keepValueRunes  = 300
)

// keepHeader is a response's status line and headers as valid, printable text: without what
// lets somebody in, and without what the response echoes of the webhook's secrets.
func (e *Endpoint) keepHeader(resp *http.Response) string {
	text := printable(e.scrub.Replace(resp.Proto + " " + resp.Status + "\n" + headerLines(resp.Header, admits)))
	var b strings.Builder
	room := keepHeaderRunes
	for line := range strings.Lines(text) {
		if short := clip(line, keepValueRunes); len(short) < len(line) {
			line = short + "…\n"
		}
		if room -= utf8.RuneCountInString(line); room < 2 { // the last line says that there was more
			b.WriteString("…\n")
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// admits reports whether a response's header may be one that lets its bearer in. What a server
// asks for to let somebody in is none.
func admits(name string) bool {
	name = strings.ToLower(name)
	return !strings.HasSuffix(name, "-authenticate") && slices.ContainsFunc([]string{"cookie", "auth", "token", "secret", "session", "key", "password", "credential", "csrf", "xsrf"},
		func(word string) bool { return strings.Contains(name, word) })
}

// headerLines prints headers in the order of their names, the values of some masked.
func headerLines(h http.Header, masked func(name string) bool) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		for _, v := range h[name] {
			switch {
			case masked(name):
				v = secret.Mask
			case name == "Location":
				v = RedactURL(v)
			}
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	return b.String()
}
