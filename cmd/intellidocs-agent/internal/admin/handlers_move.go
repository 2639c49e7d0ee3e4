package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// move hands a webhook's waiting deliveries to another. What is on its way cannot be: the
// webhook must be gone, disabled or paused.
func (h *changeHandlers) move(w http.ResponseWriter, r *http.Request) (any, error) {
	var req MoveRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if req.From == "" || req.To == "" || req.From == req.To {
		return nil, badRequest{errors.New("name two webhooks: from, whose deliveries wait, and to, which gets them")}
	}
	known := false
	for _, s := range h.agent.Dispatcher.States() {
		known = known || s.Webhook == req.To
		if s.Webhook == req.From && (s.State != dispatch.Paused && s.State != dispatch.Disabled || s.InFlight > 0) {
			return nil, badRequest{fmt.Errorf("webhook %q is in use: pause it first, and wait until it has no requests under way", req.From)}
		}
	}
	if !known {
		return nil, fmt.Errorf("%w: %q", dispatch.ErrUnknownWebhook, req.To)
	}
	lasting(w)
	n, err := h.agent.Queue.Move(r.Context(), req.From, req.To)
	h.agent.Dispatcher.Notify([]string{req.To})
	if err != nil {
		return nil, err
	}
	h.log.Info("waiting deliveries moved to another webhook", "from", req.From, "to", req.To, "deliveries", n)
	return Changed{n}, nil
}

// discard gives up the waiting deliveries that a filter selects.
func (h *changeHandlers) discard(w http.ResponseWriter, r *http.Request) (any, error) {
	var req DiscardRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	switch {
	case req.Filter.Webhook == "" && req.Filter.EventType == "" && req.Filter.Search == "" && req.Filter.Since.IsZero() && req.Filter.Until.IsZero():
		return nil, badRequest{errors.New("select the waiting deliveries to discard, by webhook, event_type, since, until or q")}
	case len(req.Filter.Status) > 0 || req.Filter.Limit != 0:
		return nil, badRequest{errors.New("a discard takes all waiting deliveries that its filter selects; leave status and limit out")}
	}
	lasting(w)
	n, err := h.agent.Queue.Discard(r.Context(), whose(req.By), req.Filter.queue())
	if err != nil {
		return nil, err
	}
	h.log.Warn("waiting deliveries discarded; they are kept as failed", "webhook", req.Filter.Webhook, "deliveries", n, "by", whose(req.By))
	return Changed{n}, nil
}

// whose is whose wish something was, of those that may say so.
func whose(by string) string {
	if by == "cli" || by == "dashboard" {
		return by
	}
	return "api"
}
