package send

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// encodeURL percent-encodes what a URL may not hold (RFC 3986, 2: blanks and what is not
// ASCII) and changes nothing else. A control character can only be a slip, and stays for the
// parser to refuse. A host's name is not percent-encoded: it
// becomes ASCII when it is resolved.
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
	return scheme + "://" + percent(user) + host + percent(path)
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

// asciiHost is the name of a host as it is resolved and as a certificate has it (IDNA).
func asciiHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}
