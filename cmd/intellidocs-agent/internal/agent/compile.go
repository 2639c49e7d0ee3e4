package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/otlp"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/dispatch/format"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// Plan is a configuration with everything built that an agent needs of it. It is either
// put in force whole or not at all.
type Plan struct {
	Config *config.Config

	log       *slog.Logger
	level     *slog.LevelVar
	webhooks  []dispatch.Webhook
	endpoints map[string]endpoint
	telemetry otlp.Settings
}

// Load reads a configuration and builds what it names. Everything that is wrong comes at
// once, as config.Errors. The agent logs to logTo, in the configuration's format; nil:
// nowhere.
func Load(path string, logTo io.Writer) (*Plan, error) {
	cfg, err := config.Load(path, config.Environment())
	if cfg == nil {
		return nil, err
	}
	level := new(slog.LevelVar)
	level.Set(levelOf(cfg.Log.Level))
	return compile(cfg, err, newLogger(logTo, cfg.Log.Format, level), level, nil)
}

// compile builds what a configuration names; wrong is what is known to be wrong with it.
// Endpoints of those in force are kept where nothing about them has changed, with their
// connections and what they have learnt.
func compile(cfg *config.Config, wrong error, log *slog.Logger, level *slog.LevelVar, inForce map[string]endpoint) (*Plan, error) {
	var errs config.Errors
	errors.As(wrong, &errs)
	p := &Plan{Config: cfg, log: log, level: level, endpoints: map[string]endpoint{}}
	policy := policyOf(cfg)
	for i := range cfg.Webhooks {
		b := builder{cfg: cfg, index: i, w: &cfg.Webhooks[i], policy: policy, log: log, kept: inForce[cfg.Webhooks[i].Name]}
		b.wrong = func(key string, err error) { errs = append(errs, cfg.Problem(i, key, err.Error())) }
		webhook, ep := b.build()
		p.webhooks = append(p.webhooks, webhook)
		p.endpoints[b.w.Name] = ep
	}
	if len(errs) > 0 {
		return nil, errs.Sorted()
	}
	cfg.Warnings = append(cfg.Warnings, networkWarnings(cfg, policy)...)
	var unusable []otlp.Warning
	p.telemetry, unusable = otlp.FromEnvironment(config.Environment())
	for _, w := range unusable {
		cfg.Warnings = append(cfg.Warnings, config.Problem{File: "environment", Key: w.Variable, Text: w.Text})
	}
	for i := range cfg.Sources {
		if s := &cfg.Sources[i]; s.Type == "log" && tailer.IsMount(s.Path) {
			cfg.Warnings = append(cfg.Warnings, cfg.SourceProblem(i, "path", tailer.MountWarning(s.Path)))
		}
	}
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		if err := p.endpoints[w.Name].Allowed(); err != nil && w.Enabled {
			cfg.Warnings = append(cfg.Warnings, cfg.Problem(i, "url", "deliveries to it will be given up: "+err.Error()))
		}
	}
	return p, nil
}

// networkWarnings are about networks in allowed_cidrs that open what hands out a cloud's
// credentials.
func networkWarnings(cfg *config.Config, policy target.Policy) []config.Problem {
	open := policy.OpenMetadata()
	if len(open) == 0 {
		return nil
	}
	return []config.Problem{{File: cfg.Path, Key: "[security].allowed_cidrs", Text: fmt.Sprintf(
		"it opens %s, where clouds give the machine's credentials to anybody who asks; allow a network without it unless you want that", open[0])}}
}

// builder builds one webhook, reporting each key that is wrong.
type builder struct {
	cfg    *config.Config
	index  int // of the webhook
	w      *config.Webhook
	policy target.Policy
	log    *slog.Logger
	kept   endpoint // the one in force, or nothing
	wrong  func(key string, err error)
}

func (b *builder) build() (dispatch.Webhook, endpoint) {
	w := b.w
	digest := fmt.Sprintf("%s %v %s", w.Digest(), b.policy, b.cfg.IntelliDocs)
	filter, err := dispatch.NewFilter(w.Filter)
	if err != nil {
		b.wrong("filter", err)
	} else if doubt := filter.Doubt(samplesFor(w.Events)); doubt != "" {
		b.cfg.Warnings = append(b.cfg.Warnings, b.cfg.Problem(b.index, "filter", doubt))
	}
	ep := b.buildEndpoint(digest)
	var loaded time.Time
	if b.cfg.Queue.Shared() {
		loaded = time.Now()
	}
	return dispatch.Webhook{
		Name: w.Name, Enabled: w.Enabled, Parked: !b.cfg.Enabled, Events: w.Events, Filter: filter, Ordered: w.Ordered,
		RateLimit: w.RateLimit, Concurrency: w.Concurrency, MaxRetries: w.MaxRetries, RetryDelay: w.RetryDelay,
		RetryMaxDelay: w.RetryMaxDelay, RetryJitter: w.RetryJitter, BreakerFailures: w.BreakerFailures, Timeout: w.Timeout,
		Sender: ep, Digest: digest, Loaded: loaded,
	}, ep
}

func (b *builder) buildEndpoint(digest string) endpoint {
	w := b.w
	// What is in the certificate files counts too.
	for _, file := range []string{w.TLS.CAFile, w.TLS.CertFile, w.TLS.KeyFile} {
		digest += fmt.Sprintf(" %x", b.cfg.Files[file])
	}
	if b.kept.digest == digest {
		return b.kept
	}
	target, to, err := w.URL.Reveal(), "", error(nil)
	if w.URL.Set() { // else reported with the file
		if target, to, err = format.Address(w.Format, target); err != nil {
			b.wrong("url", err)
			target = w.URL.Reveal()
		}
	}
	c := send.Config{
		Webhook: w.Name, URL: target, Headers: map[string]string{}, Signer: b.signer(), Timeout: w.Timeout,
		TLS: send.TLS(w.TLS), Render: b.render(to), Concurrency: w.Concurrency,
	}
	for name, v := range w.Headers {
		c.Headers[name] = v.Reveal()
	}
	ep, err := send.New(c, b.policy, b.log)
	var mistakes send.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			if m.Key == "url" && !w.URL.Set() {
				continue // that it is missing was reported with the file
			}
			b.wrong(m.Key, m.Err)
		}
	} else if err != nil {
		b.wrong("url", err)
	}
	return endpoint{ep, digest}
}

// render is nil where the event is sent as it is stored.
func (b *builder) render(to string) send.Render {
	if b.w.Format == "json" || b.w.Format == "template" && b.w.Template == "" { // reported with the file
		return nil
	}
	spec := format.Spec{Format: b.w.Format, Link: b.cfg.IntelliDocs, To: to}
	if b.w.Format == "template" { // of another format they were reported with the file
		spec.Template, spec.ContentType = b.w.Template, b.w.ContentType
	}
	r, err := format.New(spec)
	if err != nil {
		key := "template"
		if errors.Is(err, format.ErrContentType) {
			key = "content_type"
		}
		b.wrong(key, err)
		return nil
	}
	return func(m send.Message) ([]byte, string, error) {
		return r.Render(format.Input{EventID: m.EventID, EventType: m.EventType, DeliveryID: m.DeliveryID, Body: m.Body})
	}
}

func (b *builder) signer() sign.Signer {
	var s sign.Signer
	add := func(key, text string, expires time.Time) {
		secret, err := sign.ParseSecret(text)
		if err != nil {
			b.wrong(key, err)
		}
		s.Secrets = append(s.Secrets, secret.Until(expires))
	}
	if b.w.Secret.Set() {
		add("secret", b.w.Secret.Reveal(), time.Time{})
	}
	for i, p := range b.w.PreviousSecrets {
		if p.Secret.Set() { // that it is missing was reported with the file
			add(fmt.Sprintf("previous_secrets[%d].secret", i), p.Secret.Reveal(), p.Expires)
		}
	}
	if b.w.SigningKey.Set() {
		var err error
		if s.Key, err = sign.ParseSigningKey(b.w.SigningKey.Reveal()); err != nil {
			b.wrong("signing_key", err)
		}
	}
	return s
}

func policyOf(cfg *config.Config) target.Policy {
	s := &cfg.Security
	return target.Policy{
		Schemes: s.AllowedSchemes, Ports: s.AllowedPorts, AllowInternal: s.AllowInternalRequests,
		AllowedCIDRs: s.AllowedCIDRs, Proxy: s.Proxy == "environment",
	}
}

// Probed is what came of trying a webhook.
type Probed struct {
	Webhook, URL string
	Disabled     bool   // it was not tried
	Remote       string // the address that was reached
	Err          error
}

// Probe resolves each enabled webhook's name, connects and shakes hands, sending nothing, and
// reports what came of it.
func (p *Plan) Probe(ctx context.Context, report func(Probed)) {
	for _, w := range p.webhooks {
		ep := p.endpoints[w.Name]
		r := Probed{Webhook: w.Name, URL: ep.URL(), Disabled: !w.Enabled}
		if !r.Disabled {
			r.Remote, r.Err = ep.Probe(ctx)
			ep.Close()
		}
		report(r)
	}
}

// Parked says, of the counts of waiting deliveries by webhook, which wait for one that this
// configuration does not serve, and what can be done.
func (p *Plan) Parked(waiting map[string]int64) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		n := waiting[name]
		i := slices.IndexFunc(p.Config.Webhooks, func(w config.Webhook) bool { return w.Name == name })
		switch {
		case n == 0:
		case i < 0:
			out = append(out, fmt.Sprintf("%s for webhook %q, which is not in the configuration; move them to another with 'intellidocs-agent move %s NEW', or drop them with 'intellidocs-agent discard --webhook %s'",
				term.Count(int(n), "delivery waits", "deliveries wait"), name, name, name))
		case !p.Config.Webhooks[i].Enabled:
			out = append(out, fmt.Sprintf("%s for webhook %q, which is disabled", term.Count(int(n), "delivery waits", "deliveries wait"), name))
		}
	}
	return out
}

// samplesFor are the known events that a webhook with these patterns takes, as they are
// documented and as they are sent.
func samplesFor(patterns []string) []map[string]any {
	var out []map[string]any
	for _, eventType := range events.Types() {
		if sample, err := events.Sample(eventType, time.Now()); err == nil && dispatch.Wants(patterns, eventType) {
			out = append(out, sample)
			if sent, ok := events.AsSent(eventType, time.Now()); ok {
				out = append(out, sent)
			}
		}
	}
	return out
}
