package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// maxConfig bounds agent.toml; a ConfigMap has the same limit.
const maxConfig = 1 << 20

// Load reads a configuration. What is wrong with its values comes as Errors, all at once,
// and the Config beside them holds what could be read: whoever builds things of it finds
// the rest of what is wrong. Of a file that cannot be read there is no Config.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	text, err := readConfig(abs)
	if err != nil {
		return nil, err
	}
	root, err := decode(abs, text)
	if err != nil {
		return nil, err
	}
	b := newBinder(abs, text, env)
	c := b.config(&table{b: b, m: root})
	b.exposure(c.State.Path)
	c.Path, c.Warnings, c.Files, c.where = abs, b.warnings, fingerprints(b.files), b.where
	if len(b.errors) > 0 {
		return c, b.errors.Sorted()
	}
	return c, nil
}

func newBinder(path, text string, env func(string) (string, bool)) *binder {
	r := &report{}
	return &binder{report: r, env: environ{env, r}, file: path, dir: filepath.Dir(path), where: scan(text), files: []string{path}}
}

// Dependencies are the files that a configuration names, also one with errors: a secret
// that is missing may come later, and the configuration must be read again then.
func Dependencies(path string, env func(string) (string, bool)) Files {
	text, err := readConfig(path)
	if err != nil {
		return nil
	}
	root, err := decode(path, text)
	if err != nil {
		return nil
	}
	b := newBinder(path, text, env)
	b.config(&table{b: b, m: root})
	return fingerprints(b.files)
}

func readConfig(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		hint := "name another file with --config, or start from agent.toml.example"
		if errors.Is(err, fs.ErrPermission) {
			hint = "run it as the agent's user, or let this user read the file"
		}
		return "", fmt.Errorf("read the configuration: %w (%s)", err, hint)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the configuration: %w", err)
	case len(data) > maxConfig:
		return "", fmt.Errorf("read the configuration: %s is larger than %d MiB", path, maxConfig>>20)
	}
	return string(data), nil
}

func decode(path, text string) (map[string]any, error) {
	if line := tooDeep(text); line > 0 {
		return nil, Errors{{File: path, Line: line, Text: fmt.Sprintf("values nest deeper than %d here, or one line has more than %d dots; agent.toml needs neither", maxDepth, maxDots)}}
	}
	root := map[string]any{}
	_, err := toml.Decode(text, &root)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		// Its own line is the next one where a line ends too early.
		line := 1 + strings.Count(text[:min(max(syntax.Position.Start, 0), len(text))], "\n")
		return nil, Errors{{File: path, Line: line, Text: "this is not TOML: " + unquoted(syntax.Message)}}
	}
	if err != nil {
		return nil, Errors{{File: path, Text: "this is not TOML: " + err.Error()}}
	}
	return root, nil
}

var (
	echoed     = regexp.MustCompile(`"(?:[^"\\]|\\.){2,}"|'[^']{3,}'`)
	outOfRange = regexp.MustCompile(`^\S+ is out of range`)
)

// unquoted takes out of a syntax error what the library repeats of the file: it may be a
// part of a secret that lacks its quotes. Names of keys stay.
func unquoted(message string) string {
	if strings.HasPrefix(message, "Key '") {
		return message
	}
	if strings.HasPrefix(message, "expected value but found") {
		return "a value is missing, or a text lacks its quotes"
	}
	return outOfRange.ReplaceAllString(echoed.ReplaceAllString(message, "…"), "a number is out of range")
}

// StatePath reads [state] path alone, also from a file that has errors elsewhere: whoever
// looks into a running agent must find it.
func StatePath(path string) (string, error) {
	text, err := readConfig(path)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	root, err := decode(path, text)
	if err != nil {
		// A slip elsewhere, while somebody is editing, does not hide the key.
		if root, err = decode(path, stateLine(text)); err != nil {
			return "", err
		}
		root = map[string]any{"state": root}
	}
	b := &binder{file: abs, dir: filepath.Dir(abs)}
	state, _ := root["state"].(map[string]any)
	if s, ok := state["path"].(string); ok && s != "" {
		return b.abs(s), nil
	}
	return defaultState, nil
}

// stateLine is the line of [state] path in a text that is no TOML as a whole.
func stateLine(text string) string {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			section = cleanKey(name)
		} else if key, _, ok := strings.Cut(line, "="); ok && section == "state" && cleanKey(key) == "path" {
			return line
		}
	}
	return ""
}

const defaultState = "/var/lib/intellidocs-agent"

func (b *binder) config(t *table) *Config {
	c := &Config{Enabled: t.flag("enabled", true)}
	if v, ok := b.env.look("PAPERLESS_AI_WEBHOOKS_ENABLED"); ok && v != "" {
		c.Enabled = b.env.truth("PAPERLESS_AI_WEBHOOKS_ENABLED", v)
	}
	b.state(t.sub("state"), &c.State)
	b.queue(t.sub("queue"), &c.Queue)
	b.intelliDocs(t.sub("intellidocs"), c)
	b.security(t.sub("security"), &c.Security)
	b.admin(t.sub("admin"), &c.Admin)
	log := t.sub("log")
	c.Log = Log{
		Level:  log.oneOf("level", "info", "debug", "info", "warn", "error"),
		Format: log.oneOf("format", "text", "text", "json"),
	}
	log.rejectUnknown()
	for _, s := range t.list("source") {
		b.source(s, c)
	}
	c.nameSources()
	defaults := b.readDefaults(t.sub("defaults"))
	for _, w := range t.list("webhook") {
		b.webhook(w, c, defaults)
	}
	t.rejectUnknown()
	if c.Enabled && len(b.errors) == 0 {
		if len(c.Sources) == 0 {
			b.warnings = append(b.warnings, Problem{File: b.file, Text: "there is no [[source]], so nothing will be read"})
		}
		if !slices.ContainsFunc(c.Webhooks, func(w Webhook) bool { return w.Enabled }) {
			b.warnings = append(b.warnings, Problem{File: b.file, Text: "there is no enabled [[webhook]], so events will be kept and sent nowhere"})
		}
	}
	return c
}

func (b *binder) state(t *table, s *State) {
	s.Path = t.text("path", defaultState)
	if s.Path == "" {
		t.errorf("path", "write the path of a directory")
	}
	b.slips(t, "path", s.Path)
	s.Path = b.abs(s.Path)
	s.Retention = t.duration("retention", 30*24*time.Hour, time.Minute)
	s.DedupWindow = t.duration("dedup_window", 24*time.Hour, 0)
	s.MaxSize = t.size("max_size", 2<<30, 1<<20, 1<<50)
	t.rejectUnknown()
}

func (b *binder) security(t *table, s *Security) {
	s.AllowedSchemes = t.texts("allowed_schemes", []string{"http", "https"})
	s.AllowedPorts = t.integers("allowed_ports", []int{}, 1, 65535)
	s.AllowInternalRequests = t.flag("allow_internal_requests", true)
	if s.Proxy = t.oneOf("proxy", "none", "none", "environment"); s.Proxy == "environment" {
		b.env.proxies()
	}
	for _, text := range t.texts("allowed_cidrs", nil) {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); err != nil && addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			t.errorf("allowed_cidrs", "%q is not a network such as 10.0.0.0/8 or fd00::/8", text)
			continue
		}
		if addr := prefix.Addr(); addr.Is4In6() {
			hint := "write it as an IPv4 network"
			if prefix.Bits() >= 96 {
				hint = fmt.Sprintf("write %s", netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96).Masked())
			}
			t.warnf("allowed_cidrs", "%s never matches, since such addresses are dialled as IPv4: %s", text, hint)
		}
		s.AllowedCIDRs = append(s.AllowedCIDRs, prefix.Masked())
	}
	if v, ok := b.env.look("PAPERLESS_WEBHOOKS_ALLOWED_PORTS"); ok && v != "" {
		s.AllowedPorts = nil
		for _, text := range commas(v) {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 65535 {
				b.env.wrong("PAPERLESS_WEBHOOKS_ALLOWED_PORTS", "it must be ports separated by commas, such as 80,443, not %q", v)
				break
			}
			s.AllowedPorts = append(s.AllowedPorts, n)
		}
	}
	if v, ok := b.env.look("PAPERLESS_WEBHOOKS_ALLOW_INTERNAL_REQUESTS"); ok && v != "" {
		s.AllowInternalRequests = b.env.truth("PAPERLESS_WEBHOOKS_ALLOW_INTERNAL_REQUESTS", v)
	}
	if s.Proxy == "environment" && b.env.proxied() && !(s.AllowInternalRequests && len(s.AllowedCIDRs) == 0) {
		t.warnf("proxy", "the proxy resolves the webhooks' host names: allow_internal_requests and allowed_cidrs "+
			"apply only to addresses written in a url and to hosts that NO_PROXY exempts; have the proxy itself refuse the rest")
	}
	wrong := func(format string, args ...any) { t.errorf("allowed_schemes", format, args...) }
	if v, ok := b.env.look("PAPERLESS_WEBHOOKS_ALLOWED_SCHEMES"); ok && v != "" {
		s.AllowedSchemes = commas(v)
		wrong = func(format string, args ...any) { b.env.wrong("PAPERLESS_WEBHOOKS_ALLOWED_SCHEMES", format, args...) }
	}
	if len(s.AllowedSchemes) == 0 {
		wrong("it must contain http, https or both; otherwise nothing could be sent")
	}
	for i, scheme := range s.AllowedSchemes {
		s.AllowedSchemes[i] = strings.ToLower(scheme)
		if s.AllowedSchemes[i] != "http" && s.AllowedSchemes[i] != "https" {
			wrong("%q is not possible; use http or https", scheme)
		}
	}
	t.rejectUnknown()
}

// intelliDocs reads where people open IntelliDocs. PAPERLESS_URL is another program's: what
// is wrong with it stops nothing.
func (b *binder) intelliDocs(t *table, c *Config) {
	text := t.text("url", "")
	t.rejectUnknown()
	var err error
	if text != "" {
		if c.IntelliDocs, err = openedAt(text); err != nil {
			t.errorf("url", "%v", err)
		}
		return
	}
	if v, ok := b.env.look("PAPERLESS_URL"); ok && v != "" {
		if c.IntelliDocs, err = openedAt(v); err != nil {
			b.warnings = append(b.warnings, Problem{File: "environment", Key: "PAPERLESS_URL", Text: "messages link no documents: " + err.Error()})
		}
	}
}

func openedAt(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("it must be the address where people open IntelliDocs, such as https://docs.example.org")
	}
	// A parenthesis would end a link in Markdown.
	return strings.NewReplacer("(", "%28", ")", "%29").Replace(strings.TrimRight(u.String(), "/")), nil
}

func (b *binder) admin(t *table, a *Admin) {
	a.Listen = t.text("listen", "127.0.0.1:9723")
	a.Open = t.oneOf("auth", "token", "token", "none") == "none"
	a.TokenFile = t.text("token_file", "")
	if a.Open && a.TokenFile != "" {
		t.errorf("auth", "it is \"none\", so the token in token_file would never be used: remove one of them")
	}
	if a.TokenFile != "" {
		// Found like every secret. Blanks around it are no part of it: a request could not
		// send them.
		var err error
		a.Token, err = b.readSecret(a.TokenFile, cleanURL)
		if err != nil {
			t.errorf("token_file", "%v", err)
		} else if len(a.Token.Reveal()) < 16 {
			t.errorf("token_file", "the token must have at least 16 characters; 'openssl rand -hex 32' makes a good one")
		}
	}
	if a.Listen != "" {
		host, port, err := net.SplitHostPort(a.Listen)
		if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
			t.errorf("listen", `it must be an address and a port such as "127.0.0.1:9723", or "" for none, not %q`, a.Listen)
		} else if ip, ipErr := netip.ParseAddr(host); host != "localhost" && (ipErr != nil || !ip.IsLoopback()) {
			switch {
			case a.Open:
				t.errorf("auth", "other machines can reach %s, and \"none\" would let them read and change everything: set token_file instead, or listen on 127.0.0.1", a.Listen)
			case a.TokenFile == "":
				t.errorf("listen", "other machines can reach %s: set token_file, or listen on 127.0.0.1", a.Listen)
			}
		}
	}
	t.rejectUnknown()
}
