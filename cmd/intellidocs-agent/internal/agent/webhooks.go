package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/dispatch/format"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// endpoints are the webhooks' endpoints, kept over a reload where nothing about them has
// changed, so that their connections and what they have learnt stay.
type endpoints struct {
	log *slog.Logger

	mu sync.Mutex
	by map[string]endpoint
}

type endpoint struct {
	*send.Endpoint
	digest string
}

func newEndpoints(log *slog.Logger) *endpoints {
	return &endpoints{log: log, by: map[string]endpoint{}}
}

// build makes what the dispatcher needs of a configuration, and the endpoints that use
// would put in force.
func (e *endpoints) build(cfg *config.Config) ([]dispatch.Webhook, map[string]endpoint, error) {
	e.mu.Lock()
	old := maps.Clone(e.by)
	e.mu.Unlock()
	policy := policyOf(cfg)
	next := map[string]endpoint{}
	webhooks := make([]dispatch.Webhook, 0, len(cfg.Webhooks))
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		digest := fmt.Sprintf("%s %v", w.Digest(), policy)
		ep, ok := old[w.Name]
		if !ok || ep.digest != digest {
			made, err := newEndpoint(w, policy, e.log)
			if err != nil {
				return nil, nil, err
			}
			ep = endpoint{made, digest}
		}
		next[w.Name] = ep
		webhooks = append(webhooks, dispatch.Webhook{
			Name: w.Name, Enabled: w.Enabled, Parked: !cfg.Enabled, Events: w.Events, Filter: w.Filter, Ordered: w.Ordered,
			RateLimit: w.RateLimit, Concurrency: w.Concurrency, MaxRetries: w.MaxRetries, RetryDelay: w.RetryDelay,
			RetryMaxDelay: w.RetryMaxDelay, RetryJitter: w.RetryJitter, BreakerFailures: w.BreakerFailures, Timeout: w.Timeout,
			Sender: ep, Digest: digest,
		})
	}
	return webhooks, next, nil
}

// use puts endpoints in force and closes the connections of those that went.
func (e *endpoints) use(next map[string]endpoint) {
	e.mu.Lock()
	old := e.by
	e.by = next
	e.mu.Unlock()
	for name, ep := range old {
		if next[name].Endpoint != ep.Endpoint {
			ep.Close()
		}
	}
}

func (e *endpoints) get(name string) (*send.Endpoint, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ep, ok := e.by[name]
	return ep.Endpoint, ok
}

func (e *endpoints) close() { e.use(nil) }

func policyOf(cfg *config.Config) target.Policy {
	s := &cfg.Security
	return target.Policy{
		Schemes: s.AllowedSchemes, Ports: s.AllowedPorts, AllowInternal: s.AllowInternalRequests,
		AllowedCIDRs: s.AllowedCIDRs, Proxy: s.Proxy == "environment",
	}
}

func newEndpoint(w *config.Webhook, policy target.Policy, log *slog.Logger) (*send.Endpoint, error) {
	var wrong error
	signer := signerOf(w, func(key string, err error) {
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("webhook %q: %s: %w", w.Name, key, err))
		}
	})
	if wrong != nil {
		return nil, wrong
	}
	c := send.Config{
		Webhook: w.Name, URL: w.URL.Reveal(), Headers: map[string]string{}, Signer: signer, Timeout: w.Timeout,
		TLS: send.TLS(w.TLS), Concurrency: w.Concurrency,
	}
	for name, v := range w.Headers {
		c.Headers[name] = v.Reveal()
	}
	if w.Format != "json" {
		r, err := rendererOf(w)
		if err != nil {
			return nil, err
		}
		c.Render = func(m send.Message) ([]byte, string, error) {
			return r.Render(format.Input{EventID: m.EventID, EventType: m.EventType, DeliveryID: m.DeliveryID, Body: m.Body})
		}
	}
	return send.New(c, policy, log)
}

func rendererOf(w *config.Webhook) (*format.Renderer, error) {
	return format.New(format.Spec{Format: w.Format, Template: w.Template, ContentType: w.ContentType})
}

// signerOf tells, in bad, each key that is wrong.
func signerOf(w *config.Webhook, bad func(key string, err error)) sign.Signer {
	var s sign.Signer
	add := func(key, text string, expires time.Time) {
		secret, err := sign.ParseSecret(text)
		bad(key, err)
		s.Secrets = append(s.Secrets, secret.Until(expires))
	}
	if w.Secret.Set() {
		add("secret", w.Secret.Reveal(), time.Time{})
	}
	for i, p := range w.PreviousSecrets {
		if p.Secret.Set() { // that it is missing was told with the file
			add(fmt.Sprintf("previous_secrets[%d].secret", i), p.Secret.Reveal(), p.Expires)
		}
	}
	if w.SigningKey.Set() {
		var err error
		s.Key, err = sign.ParseSigningKey(w.SigningKey.Reveal())
		bad("signing_key", err)
	}
	return s
}

// checkWebhooks finds what only the parts can tell, for every webhook at once.
func checkWebhooks(cfg *config.Config, sound bool) config.Errors {
	var errs config.Errors
	for i := range cfg.Webhooks {
		checkWebhook(&cfg.Webhooks[i], func(key string, err error) {
			if err != nil {
				errs = append(errs, cfg.Problem(i, key, err.Error()))
			}
		})
	}
	if !sound || len(errs) > 0 {
		return errs
	}
	// What is left is the environment's: its proxies.
	policy := policyOf(cfg)
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		ep, err := newEndpoint(w, policy, slog.New(slog.DiscardHandler))
		if err != nil {
			errs = append(errs, cfg.Problem(i, "url", err.Error()))
			continue
		}
		if err := ep.Allowed(); err != nil && w.Enabled {
			cfg.Warnings = append(cfg.Warnings, cfg.Problem(i, "url", "deliveries to it will be given up: "+err.Error()))
		}
		ep.Close()
	}
	return errs
}

func checkWebhook(w *config.Webhook, bad func(key string, err error)) {
	bad("filter", dispatch.CheckFilter(w.Filter))
	if w.Format == "template" && w.Template != "" { // that it is missing or of no use was told with the file
		key := "template"
		_, err := rendererOf(w)
		if errors.Is(err, format.ErrContentType) {
			key = "content_type"
		}
		bad(key, err)
	}
	signerOf(w, bad)
	_, err := send.TLS(w.TLS).Authorities()
	bad("tls.ca_file", err)
	_, err = send.TLS(w.TLS).Certificates()
	bad("tls.cert_file", err)
}

func webhookViews(cfg *config.Config) []admin.Webhook {
	out := make([]admin.Webhook, 0, len(cfg.Webhooks))
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		out = append(out, admin.Webhook{Name: w.Name, URL: send.RedactURL(w.URL.Reveal()), Events: w.Events, Format: w.Format})
	}
	return out
}

// Probe resolves each webhook's name, connects and shakes hands, sending nothing, and
// reports what came of it: the address that was reached, or the error.
func Probe(ctx context.Context, cfg *config.Config, report func(webhook, url, remote string, err error)) {
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		ep, err := newEndpoint(w, policyOf(cfg), discard())
		if err != nil {
			report(w.Name, "", "", err)
			continue
		}
		remote, err := ep.Probe(ctx)
		report(w.Name, ep.URL(), remote, err)
		ep.Close()
	}
}
