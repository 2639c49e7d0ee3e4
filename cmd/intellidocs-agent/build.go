package main

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
	signer, err := signerOf(w)
	if err != nil {
		return nil, err
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
	ep, err := send.New(c, policy, log)
	if err != nil {
		return nil, keyError{"tls", err} // the rest of it was checked with the file
	}
	return ep, nil
}

func rendererOf(w *config.Webhook) (*format.Renderer, error) {
	return format.New(format.Spec{Format: w.Format, Template: w.Template, ContentType: w.ContentType})
}

func signerOf(w *config.Webhook) (sign.Signer, error) {
	var s sign.Signer
	add := func(key, text string, expires time.Time) error {
		secret, err := sign.ParseSecret(text)
		if err != nil {
			return keyError{key, err}
		}
		s.Secrets = append(s.Secrets, secret.Until(expires))
		return nil
	}
	if w.Secret.Set() {
		if err := add("secret", w.Secret.Reveal(), time.Time{}); err != nil {
			return s, err
		}
	}
	for _, p := range w.PreviousSecrets {
		if err := add("previous_secrets", p.Secret.Reveal(), p.Expires); err != nil {
			return s, err
		}
	}
	if w.SigningKey.Set() {
		key, err := sign.ParseSigningKey(w.SigningKey.Reveal())
		if err != nil {
			return s, keyError{"signing_key", err}
		}
		s.Key = key
	}
	return s, nil
}

// checkWebhooks finds what only the parts can tell, for every webhook at once.
func checkWebhooks(cfg *config.Config, sound bool) config.Errors {
	var errs config.Errors
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		note := func(key string, err error) {
			if err != nil {
				errs = append(errs, cfg.Problem(i, key, err.Error()))
			}
		}
		note("filter", dispatch.CheckFilter(w.Filter))
		if w.Format != "template" || w.Template != "" {
			_, err := rendererOf(w)
			note("template", err)
		}
		_, err := signerOf(w)
		if err == nil && sound && len(errs) == 0 {
			var ep *send.Endpoint
			if ep, err = newEndpoint(w, policyOf(cfg), slog.New(slog.DiscardHandler)); err == nil {
				ep.Close()
			}
		}
		var bad keyError
		if errors.As(err, &bad) {
			note(bad.key, bad.error)
		}
	}
	return errs
}

// keyError is an error of one key of a webhook.
type keyError struct {
	key string
	error
}

func webhookViews(cfg *config.Config) []admin.Webhook {
	out := make([]admin.Webhook, 0, len(cfg.Webhooks))
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		out = append(out, admin.Webhook{Name: w.Name, URL: send.RedactURL(w.URL.Reveal()), Events: w.Events, Format: w.Format})
	}
	return out
}

func (c *cli) connectAll(ctx context.Context, cfg *config.Config) bool {
	good := true
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		ep, err := newEndpoint(w, policyOf(cfg), slog.New(slog.DiscardHandler))
		if err == nil {
			var remote string
			if remote, err = ep.Probe(ctx); err == nil {
				fmt.Fprintf(c.out, "%-20s reached %s at %s\n", w.Name, ep.URL(), remote)
			}
			ep.Close()
		}
		if err != nil {
			good = false
			fmt.Fprintf(c.out, "%-20s NOT reached: %v\n", w.Name, err)
		}
	}
	return good
}
