package send

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// encodeURL percent-encodes what a URL may not hold (RFC 3986, 2: blanks and what is not
// ASCII) and changes nothing else. A control character can only be a slip, and stays for the
// parser to refuse. A host's name becomes ASCII by IDNA instead: net/http's two protocols
// each do so by rules of their own, and wait for each other for ever where capitals are
// among the letters.
func encodeURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	user, host := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, host = authority[:i+1], authority[i+1:]
	}
	return scheme + "://" + percent(user) + asciiAuthority(host) + percent(path)
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c != ' ' && c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// asWritten makes u be requested as it was written: Go would encode more of a path, such as
// { and |, which some receivers take for another path. proxied is for plain HTTP through a
// proxy, which is asked for the whole URL.
func asWritten(u *url.URL, proxied bool) *url.URL {
	path := u.RawPath
	if path == "" || path == u.EscapedPath() || strings.HasPrefix(path, "//") {
		return u
	}
	out := *u
	out.Opaque = path
	if proxied {
		out.Opaque = "//" + u.Host + path
	}
	return &out
}

// asciiAuthority is a host, with a port or without one, whose name is ASCII.
func asciiAuthority(host string) string {
	if !strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return host
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i:]
	}
	return asciiHost(name) + port
}

// asciiHost is the name of a host as it is resolved and as a certificate has it (IDNA).
func asciiHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}
