package agent

import (
	"maps"
	"sync"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

// endpoints are the webhooks' endpoints in force.
type endpoints struct {
	mu sync.Mutex
	by map[string]endpoint
}

// endpoint is a webhook's, with what identifies everything it was built of.
type endpoint struct {
	*send.Endpoint
	digest string
}

func (e *endpoints) all() map[string]endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.by)
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

func webhookViews(cfg *config.Config) []admin.Webhook {
	out := make([]admin.Webhook, 0, len(cfg.Webhooks))
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		out = append(out, admin.Webhook{Name: w.Name, URL: send.RedactURL(w.URL.Reveal()), Events: w.Events, Format: w.Format})
	}
	return out
}
