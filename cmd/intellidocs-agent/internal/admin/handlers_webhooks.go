package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
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
	return h.changed(r, "webhook_paused", "was paused", body.Reason, h.agent.Dispatcher.Pause(r.Context(), r.PathValue("name"), body.Reason))
}

func (h *webhookHandlers) resume(_ http.ResponseWriter, r *http.Request) (any, error) {
	return h.changed(r, "webhook_resumed", "was resumed", "", h.agent.Dispatcher.Resume(r.Context(), r.PathValue("name")))
}

// changed logs a change by a person and answers with the state after it.
func (h *webhookHandlers) changed(r *http.Request, kind, text, detail string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	h.agent.Note(queue.LogEntry{Kind: kind, Webhook: name, Text: "Webhook " + name + " " + text, Detail: detail})
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
