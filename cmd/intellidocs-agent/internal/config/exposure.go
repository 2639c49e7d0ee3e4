package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// slip is what a path can only hold by mistake, unless something of that very name is there.
type slip struct {
	found *regexp.Regexp
	text  string
}

var slips = []slip{
	{regexp.MustCompile(`^\s|\s$`), "it begins or ends with a space, which counts as part of the name"},
	{regexp.MustCompile(`^["']|["']$`), "it has quotes around it that count as part of the name"},
	{regexp.MustCompile(`^~`), "~ is not replaced by a home directory here: write the whole path"},
	{regexp.MustCompile(`\$(\{|\(|[A-Za-z_])`), "variables are not replaced here: write the whole path"},
	{regexp.MustCompile(`%[A-Za-z_]+%|%[YmdHMS]`), "variables and dates are not replaced here: write the whole path"},
	{regexp.MustCompile(`[*?]|\[[^\]]+\]|\{[^}]*\}`), "patterns are not matched here: name one file or directory, in a [[source]] of its own (a log's rotated files are found by themselves)"},
	{regexp.MustCompile(`^[a-z]+://`), "a path belongs here, not a URL"},
	{regexp.MustCompile(`^[A-Za-z]:\\|\\`), `\ does not separate directories here: write /`},
	{regexp.MustCompile(`[[:cntrl:]]`), "it has a control character in it"},
}

// slips reports a path that nothing would ever be found at.
func (b *binder) slips(t *table, key, path string) {
	for _, s := range slips {
		if !s.found.MatchString(path) {
			continue
		}
		if _, err := os.Lstat(b.abs(path)); err == nil {
			return // it is what it says
		}
		t.errorf(key, "%q: %s", path, s.text)
		return
	}
}

// minSecret is how many bytes a secret should have: fewer can be guessed from one signature.
const minSecret = 16

// strength warns of a secret that can be guessed.
func strength(t *table, key string, s Secret) {
	text, encoded := strings.CutPrefix(s.Reveal(), "whsec_")
	size := len(text)
	if encoded {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return // reported where the key is made of it
		}
		size = len(decoded)
	}
	if s.Set() && size < minSecret {
		t.warnf(t.written(key), "the secret has fewer than %d bytes and can be guessed from one delivery; 'openssl rand -hex 32' makes a good one", minSecret)
	}
}

// written is the form in which a secret's key stands in the file: key, key_file or key_env.
func (t *table) written(key string) string { return key + t.b.where.written(t.path+"."+key) }

// exposure warns of files that others may read or change although secrets are in them, and of
// directories in which others may replace them or the state directory.
func (b *binder) exposure(state string) {
	warn := func(path, format string, args ...any) {
		b.warnings = append(b.warnings, Problem{File: path, Text: fmt.Sprintf(format, args...)})
	}
	info, err := os.Stat(b.file)
	if err != nil {
		return
	}
	if info.Mode().Perm()&0o004 != 0 && len(b.inline) > 0 {
		warn(b.file, "every user of this machine may read it, and there are secrets in it (%s): chmod 640 it, or put them into separate files (secret_file, url_file)", strings.Join(b.inline, ", "))
	}
	said := map[string]bool{}
	if state != "" {
		for _, w := range weaknesses(state) {
			said[w.dir] = true
			b.warnings = append(b.warnings, Problem{File: b.file, Line: b.where.line("state.path"), Key: "[state].path", Text: w.text})
		}
	}
	files := append([]string{b.file}, b.secretFiles...)
	slices.Sort(files)
	for _, path := range slices.Compact(files) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
			warn(path, "every user of this machine may change it: chmod o-w it")
		}
		for _, w := range weaknesses(path) {
			if !said[w.dir] {
				warn(path, "%s", w.text)
			}
			said[w.dir] = true
		}
	}
}

var credentialHeader = regexp.MustCompile(`(?i)^(authorization|proxy-authorization|cookie)$|token|secret|api-?key|password|x-auth`)

// CredentialURL reports whether a URL is itself a secret, or has one in it.
func CredentialURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	return u.User != nil || secretHosts.MatchString(u.Hostname()) || secretPaths.MatchString(u.Path)
}

var (
	secretHosts = regexp.MustCompile(`(?i)(^|\.)(hooks\.slack\.com|discord(app)?\.com|webhook\.office\.com|api\.telegram\.org|logic\.azure\.com)$`)
	secretPaths = regexp.MustCompile(`^/hooks/[A-Za-z0-9]{20,}|/api/webhooks/\d+/|^/bot\d+:`)
)

// plainHTTP warns of credentials that anybody on the way could read.
func plainHTTP(t *table, w *Webhook) {
	u, err := url.Parse(w.URL.Reveal())
	if err != nil || !strings.EqualFold(u.Scheme, "http") || !publicHost(u.Hostname()) {
		return
	}
	what := ""
	switch {
	case u.User != nil:
		what = "a user and a password"
	case CredentialURL(w.URL.Reveal()):
		what = "an address that is itself a secret"
	default:
		for name := range w.Headers {
			if credentialHeader.MatchString(name) && (what == "" || name < what) {
				what = name
			}
		}
		if what != "" {
			what = "the header " + what
		}
	}
	if what != "" {
		t.warnf(t.written("url"), "it sends %s unencrypted to a public host, where anybody on the way can read it: use https", what)
	}
}

// localNames end the names of hosts that are not on the Internet.
var localNames = []string{
	".local", ".localhost", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".home.arpa", ".corp", ".private", ".test", ".svc", ".cluster.local",
}

// publicHost reports whether a name or an address is probably on the Internet.
func publicHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsGlobalUnicast() && !addr.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(addr)
	}
	return strings.Contains(host, ".") && !slices.ContainsFunc(localNames, func(s string) bool { return strings.HasSuffix(host, s) })
}
