// Package setup writes a first configuration: agent.toml, and the secrets it names in files
// of their own beside it.
package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// Setup is what is written.
type Setup struct {
	SourceType string // log or spool
	SourcePath string
	StatePath  string // empty: the built-in one
	Webhooks   []Webhook
}

// Webhook becomes a [[webhook]].
type Webhook struct {
	Name     string
	Disabled bool
	URL      string
	Format   string // empty: json
	Events   []string
	Headers  []Header
	Secret   string // empty: none
	// Options are keys with whole numbers, such as timeout.
	Options []Option
	Note    string // one line for people, written above it; empty: none
}

// Header is sent with every request.
type Header struct{ Name, Value string }

// Option is one key of a [[webhook]].
type Option struct {
	Key   string
	Value int
}

// File is one to be written. Path is relative to agent.toml's directory.
type File struct {
	Path string
	Data []byte
}

// SecretsDir holds the files with secrets, beside agent.toml.
const SecretsDir = "secrets"

// Files returns agent.toml, under that name, and after it the secrets that it names.
func (s *Setup) Files() []File {
	var b bytes.Buffer
	var secrets []File
	fmt.Fprintln(&b, "#:schema", config.SchemaURL)
	fmt.Fprintln(&b, "# Written by 'intellidocs-agent init'. agent.toml.example explains every key;")
	fmt.Fprintln(&b, "# 'intellidocs-agent check' reads this file as the agent does.")
	if s.StatePath != "" {
		fmt.Fprintf(&b, "\n[state]\npath = %s\n", quote(s.StatePath))
	}
	fmt.Fprintf(&b, "\n[[source]]\ntype = %s\npath = %s\n", quote(s.SourceType), quote(s.SourcePath))
	used := map[string]bool{}
	for i := range s.Webhooks {
		w := &s.Webhooks[i]
		base := fileName(w.Name, used)
		b.WriteString("\n")
		if w.Note != "" {
			fmt.Fprintf(&b, "# %s\n", oneLine(w.Note))
		}
		fmt.Fprintf(&b, "[[webhook]]\nname = %s\n", quote(w.Name))
		if w.Disabled {
			fmt.Fprintln(&b, "enabled = false")
		}
		if config.CredentialURL(w.URL) {
			f := File{path.Join(SecretsDir, base+".url"), []byte(w.URL + "\n")}
			secrets = append(secrets, f)
			fmt.Fprintf(&b, "url_file = %s  # whoever knows it can post there\n", quote(f.Path))
		} else {
			fmt.Fprintf(&b, "url = %s\n", quote(w.URL))
		}
		if w.Format != "" && w.Format != "json" {
			fmt.Fprintf(&b, "format = %s\n", quote(w.Format))
		}
		fmt.Fprintf(&b, "events = [%s]%s\n", strings.Join(quoteAll(w.Events), ", "), map[bool]string{true: "  # all"}[len(w.Events) == 0])
		if w.Secret != "" {
			f := File{path.Join(SecretsDir, base+".secret"), []byte(w.Secret + "\n")}
			secrets = append(secrets, f)
			fmt.Fprintf(&b, "secret_file = %s\n", quote(f.Path))
		}
		for _, o := range w.Options {
			fmt.Fprintf(&b, "%s = %d\n", o.Key, o.Value)
		}
		if len(w.Headers) > 0 {
			fmt.Fprintln(&b, "[webhook.headers]")
			for _, h := range w.Headers {
				fmt.Fprintf(&b, "%s = %s\n", quote(h.Name), quote(h.Value))
			}
		}
	}
	return append([]File{{"agent.toml", b.Bytes()}}, secrets...)
}

// quote writes a TOML basic string. JSON's escapes are TOML's too, but for DEL, which TOML
// wants escaped.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

func quoteAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return out
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

var (
	notName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	notFile = regexp.MustCompile(`[^a-z0-9-]+`)
)

// Name makes a webhook's name out of what somebody called it, another than those used.
func Name(text string, used map[string]bool) string {
	name := strings.Trim(notName.ReplaceAllString(text, "-"), "-._")
	if name = strings.TrimRight(name[:min(len(name), 56)], "-._"); name == "" {
		name = "webhook"
	}
	return unused(name, used)
}

func fileName(name string, used map[string]bool) string {
	base := strings.Trim(notFile.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if base == "" {
		base = "webhook"
	}
	return unused(base, used)
}

func unused(name string, used map[string]bool) string {
	free := name
	for n := 2; used[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	used[free] = true
	return free
}

// services are the hosts of those that want a format of their own.
var services = []struct {
	host, path *regexp.Regexp
	format     string
}{
	{regexp.MustCompile(`(?i)^hooks\.slack(-gov)?\.com$`), regexp.MustCompile(``), "slack"},
	{regexp.MustCompile(`(?i)^((ptb|canary)\.)?discord(app)?\.com$`), regexp.MustCompile(`/slack/?$`), "slack"},
	{regexp.MustCompile(`(?i)^((ptb|canary)\.)?discord(app)?\.com$`), regexp.MustCompile(`^/api/(v\d+/)?webhooks/`), "discord"},
	{regexp.MustCompile(`(?i)(^|\.)(webhook\.office\.com|logic\.azure\.com|api\.powerplatform\.com)$`), regexp.MustCompile(``), "teams"},
	{regexp.MustCompile(`(?i)^ntfy\.sh$`), regexp.MustCompile(``), "ntfy"},
}

// FormatFor is the format that a URL's service wants, json where that is unknown.
func FormatFor(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "json"
	}
	for _, s := range services {
		if s.host.MatchString(u.Hostname()) && s.path.MatchString(u.Path) {
			return s.format
		}
	}
	return "json"
}

// HostOf is what a webhook is called whose URL is all that is known.
func HostOf(text, format string) string {
	u, err := url.Parse(text)
	if err != nil || format != "json" {
		return format
	}
	return u.Hostname()
}

// Passes reports whether the configuration alone, of which nothing else is known to be wrong,
// would be taken with this webhook; or why not, without any secret.
type Passes func(*Setup) error

// Fit keeps of the webhooks what the configuration takes, and returns what it does not, as
// sentences for people.
func (s *Setup) Fit(passes Passes) (dropped []string) {
	var kept []Webhook
	for _, w := range s.Webhooks {
		f := fitting{
			try: func(w Webhook) error {
				alone := *s
				alone.Webhooks = []Webhook{w}
				return passes(&alone)
			},
			say: func(format string, args ...any) {
				dropped = append(dropped, fmt.Sprintf("webhook %q: ", w.Name)+fmt.Sprintf(format, args...))
			},
		}
		if f.try(w) == nil {
			kept = append(kept, w)
		} else if w, ok := f.fit(w); ok {
			kept = append(kept, w)
		}
	}
	s.Webhooks = kept
	return dropped
}

// fitting takes a webhook that the configuration refuses apart.
type fitting struct {
	try func(Webhook) error
	say func(format string, args ...any)
}

// fit returns what can be kept of w; ok is false where that is nothing.
func (f *fitting) fit(w Webhook) (fit Webhook, ok bool) {
	fit = Webhook{Name: w.Name, URL: w.URL, Format: w.Format, Disabled: w.Disabled, Note: w.Note}
	if err := f.try(fit); err != nil {
		f.say("it was left out: %v", err)
		return fit, false
	}
	with := fit
	with.Secret = w.Secret
	if err := f.try(with); err != nil {
		with.Secret, with.Disabled = "", true
		f.say("its secret was left out, and so it is disabled: %v", err)
	}
	fit = with
	keep(f, &fit.Events, &fit, w.Events, func(e string) string { return fmt.Sprintf("the event %q", e) })
	if len(w.Events) > 0 && len(fit.Events) == 0 {
		fit.Disabled = true
		f.say("none of its events is left, and so it is disabled")
	}
	keep(f, &fit.Headers, &fit, w.Headers, func(h Header) string { return fmt.Sprintf("the header %q", h.Name) })
	keep(f, &fit.Options, &fit, w.Options, func(o Option) string { return o.Key })
	return fit, true
}

// keep adds to a list of w's what w is taken with.
func keep[T any](f *fitting, list *[]T, w *Webhook, all []T, called func(T) string) {
	for _, one := range all {
		before := *list
		*list = append(slices.Clone(before), one)
		if err := f.try(*w); err != nil {
			*list = before
			f.say("%s was left out: %v", called(one), err)
		}
	}
}
