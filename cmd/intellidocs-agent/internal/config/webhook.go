package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/nearest"
	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
	"github.com/dawnsystem/intellidocs-agent/parser"
)

// defaults are what a webhook gets that does not say otherwise.
type defaults struct {
	maxRetries, concurrency, breakerFailures int
	retryDelay, retryMaxDelay, timeout       time.Duration
	retryJitter                              float64
}

// inherit reads the keys that [defaults] and [[webhook]] share.
func (t *table) inherit(d defaults) defaults {
	return defaults{
		maxRetries:      t.integer("max_retries", d.maxRetries, 0, 1000),
		retryDelay:      t.duration("retry_delay", d.retryDelay, 0),
		retryMaxDelay:   t.duration("retry_max_delay", d.retryMaxDelay, 0),
		retryJitter:     t.float("retry_jitter", d.retryJitter, 0, 1),
		timeout:         t.duration("timeout", d.timeout, time.Millisecond),
		concurrency:     t.integer("concurrency", d.concurrency, 1, 1000),
		breakerFailures: t.integer("breaker_failures", d.breakerFailures, 0, 1_000_000),
	}
}

// readDefaults returns the built-in ones, then the file's, then the environment's.
func (b *binder) readDefaults(t *table) defaults {
	d := t.inherit(defaults{
		maxRetries: 3, retryDelay: time.Minute, retryMaxDelay: time.Hour, retryJitter: 0.1,
		timeout: 10 * time.Second, concurrency: 8, breakerFailures: 20,
	})
	t.rejectUnknown()
	number := func(name string, least int, set func(n int)) {
		v, ok := b.env.look(name)
		if !ok || v == "" {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil || n < least || n > 100_000_000 {
			b.env.wrong(name, "it must be a whole number of at least %d, not %q", least, v)
			return
		}
		set(n)
	}
	number("PAPERLESS_AI_WEBHOOKS_MAX_RETRIES", 0, func(n int) { d.maxRetries = n })
	number("PAPERLESS_AI_WEBHOOKS_RETRY_DELAY", 0, func(n int) { d.retryDelay = time.Duration(n) * time.Second })
	number("PAPERLESS_AI_WEBHOOKS_TIMEOUT", 1, func(n int) { d.timeout = time.Duration(n) * time.Second })
	return d
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Formats are the bodies a webhook can be sent.
var Formats = []string{
	"json", "slack", "discord", "teams", "mattermost", "ntfy", "gotify", "telegram", "matrix", "cloudevents", "template",
}

// publishedRates are how many messages a second services say that they take; a webhook of
// their format that has no rate_limit keeps to it.
var publishedRates = map[string]float64{
	"slack":    1, // https://docs.slack.dev/apis/web-api/rate-limits/#incoming-webhooks
	"discord":  2, // five in two seconds; of its 30 a minute its answers tell
	"telegram": 1, // https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
}

func (b *binder) webhook(t *table, c *Config, d defaults) {
	w := Webhook{Name: t.text("name", "")}
	switch {
	case w.Name == "":
		t.missing("name", "every webhook needs a name, different from all others")
	case !nameRE.MatchString(w.Name):
		t.errorf("name", "%q cannot be a name: use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit", w.Name)
	case slices.ContainsFunc(c.Webhooks, func(o Webhook) bool { return o.Name == w.Name }):
		t.errorf("name", "another webhook already has the name %q", w.Name)
	}
	if w.Name != "" {
		t.name = fmt.Sprintf("webhook %q", w.Name)
	}
	w.Enabled = t.flag("enabled", true)
	b.target(t, &w)
	w.Events = t.texts("events", []string{})
	for _, pattern := range w.Events {
		if pattern == "" {
			t.errorf("events", "an event type cannot be empty; leave the list empty for all events")
		} else if near := nearest.Word(pattern, parser.KnownTypes()); near != "" && !slices.Contains(parser.KnownTypes(), pattern) {
			t.warnf("events", "%q is not an event type of IntelliDocs; did you mean %q?", pattern, near)
		}
	}
	w.Filter = strings.TrimSpace(t.text("filter", ""))
	b.headers(t, &w)
	b.secrets(t, &w)
	b.format(t, &w)
	w.Ordered = t.flag("ordered", false)
	w.RateLimit = t.float("rate_limit", publishedRates[w.Format], 0, 1_000_000)
	_, own := t.m["concurrency"]
	in := t.inherit(d)
	w.MaxRetries, w.RetryDelay, w.RetryMaxDelay, w.RetryJitter = in.maxRetries, in.retryDelay, in.retryMaxDelay, in.retryJitter
	w.Timeout, w.Concurrency, w.BreakerFailures = in.timeout, in.concurrency, in.breakerFailures
	if w.RetryMaxDelay > 0 && w.RetryDelay > w.RetryMaxDelay && w.MaxRetries > 0 {
		t.warnf("retry_delay", "no retry waits longer than retry_max_delay, which is %s; raise that too", w.RetryMaxDelay)
	}
	if w.Ordered && own && w.Concurrency > 1 {
		t.warnf("concurrency", "an ordered webhook gets one request at a time, whatever concurrency says")
	}
	b.tls(t.sub("tls"), &w)
	plainHTTP(t, &w)
	t.rejectUnknown()
	c.Webhooks = append(c.Webhooks, w)
}

func (b *binder) target(t *table, w *Webhook) {
	var given bool
	if w.URL, given = t.secret("url", cleanURL); !given {
		t.missing("url", "give url, url_file or url_env")
	}
}

func (b *binder) headers(t *table, w *Webhook) {
	h := t.sub("headers")
	h.schema.declareOthers(node{Type: "string"})
	w.Headers = map[string]Secret{}
	for _, name := range slices.Sorted(maps.Keys(h.m)) {
		w.Headers[name] = secret.Of(h.text(name, ""))
		if credentialHeader.MatchString(name) {
			b.inline = append(b.inline, t.name+".headers."+name)
		}
	}
}

func (b *binder) secrets(t *table, w *Webhook) {
	var signs bool
	if w.Secret, signs = t.secret("secret", CleanSecret); signs {
		strength(t, "secret", w.Secret)
	}
	w.SigningKey, _ = t.secret("signing_key", CleanSecret)
	for _, p := range t.list("previous_secrets") {
		var prev PreviousSecret
		var given bool
		if prev.Secret, given = p.secret("secret", CleanSecret); !given {
			p.missing("secret", "give secret, secret_file or secret_env")
		}
		strength(p, "secret", prev.Secret)
		p.schema.declare("expires", node{Type: "string"})
		switch v, ok := p.take("expires"); v := v.(type) {
		case time.Time:
			switch v.Location().String() { // how the library marks what has no offset
			case "date-local":
				v = time.Date(v.Year(), v.Month(), v.Day(), 0, 0, 0, 0, time.UTC)
			case "datetime-local", "time-local":
				p.errorf("expires", "it must be a date, or a date and time with its offset, such as 2026-12-31T00:00:00Z")
				v = time.Now()
			}
			if prev.Expires = v; v.Before(time.Now()) {
				p.warnf("expires", "this secret has expired and no longer signs; remove it")
			}
		default:
			if ok {
				p.errorf("expires", "it must be a date such as 2026-12-31T00:00:00Z, not %s", kindOf(v))
			}
		}
		p.rejectUnknown()
		w.PreviousSecrets = append(w.PreviousSecrets, prev)
	}
	if len(w.PreviousSecrets) > 0 && !w.Secret.Set() {
		t.errorf("previous_secrets", "they need a current secret: set secret, secret_file or secret_env")
	}
}

func (b *binder) format(t *table, w *Webhook) {
	w.Format = t.oneOf("format", "json", Formats...)
	w.Template = t.text("template", "")
	w.ContentType = t.text("content_type", "")
	switch {
	case w.Format == "template" && w.Template == "":
		t.errorf("template", "format = \"template\" needs a template: inline, or @file")
	case w.Format != "template" && w.Template != "":
		t.errorf("template", "it is only for format = \"template\"")
	case w.Format != "template" && w.ContentType != "":
		t.errorf("content_type", "it is only for format = \"template\"")
	}
	if name, ok := strings.CutPrefix(w.Template, "@"); ok {
		path := b.abs(name)
		b.files = append(b.files, path)
		data, err := readFile(path)
		if err != nil {
			t.errorf("template", "%v", err)
		}
		w.Template = string(data)
	}
}

func (b *binder) tls(t *table, w *Webhook) {
	file := func(key string) (path string, good bool) {
		name := t.text(key, "")
		if name == "" {
			return "", true
		}
		path = b.abs(name)
		b.files = append(b.files, path)
		err := checkReadable(path)
		if err != nil && pasted(name) {
			err = errPasted
		}
		if err != nil {
			t.errorf(key, "%v", err)
		}
		return path, err == nil
	}
	ca, caGood := file("ca_file")
	cert, certGood := file("cert_file")
	key, keyGood := file("key_file")
	if (cert == "") != (key == "") {
		t.errorf("cert_file", "cert_file and key_file go together")
	}
	// What is told to be wrong is not looked into again.
	if caGood {
		w.TLS.CAFile = ca
	}
	if certGood && keyGood && cert != "" && key != "" {
		w.TLS.CertFile, w.TLS.KeyFile = cert, key
	}
	w.TLS.ServerName = t.text("server_name", "")
	t.rejectUnknown()
}
