package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// webhookHandlers change how a webhook is served, and try it out.
type webhookHandlers struct{ agent *Agent }

func (h *webhookHandlers) pause(w http.ResponseWriter, r *http.Request) (any, error) {
	var body PauseRequest
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if body.Reason == "" {
		body.Reason = "paused by hand"
	}
	if len(body.Reason) > 500 {
		return nil, badRequest{errors.New("the reason is longer than 500 bytes")}
	}
	return h.webhook(r.PathValue("name"), h.agent.Dispatcher.Pause(r.Context(), r.PathValue("name"), body.Reason))
}

func (h *webhookHandlers) resume(_ http.ResponseWriter, r *http.Request) (any, error) {
	return h.webhook(r.PathValue("name"), h.agent.Dispatcher.Resume(r.Context(), r.PathValue("name")))
}

// webhook answers with the state after a change.
func (h *webhookHandlers) webhook(name string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	for _, s := range h.agent.Status().Webhooks {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", dispatch.ErrUnknownWebhook, name)
}

func (h *webhookHandlers) test(w http.ResponseWriter, r *http.Request) (any, error) {
	var body TestRequest
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if strings.ContainsAny(body.EventType, `/\`) || len(body.EventType) > 200 {
		return nil, badRequest{fmt.Errorf("%.200q is not an event type", body.EventType)}
	}
	lasting(w) // as long as the webhook's time-out
	return h.agent.Test(r.Context(), r.PathValue("name"), body.EventType, body.Anyway)
}
