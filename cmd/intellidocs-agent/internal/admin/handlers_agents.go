package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// agentHandlers are about the agents that share the queue.
type agentHandlers struct{ agent *Agent }

func (h *agentHandlers) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	agents, err := h.agent.agents(r.Context())
	return AgentPage{agents}, err
}

// forget has an agent that is gone for good no longer be shown.
func (h *agentHandlers) forget(w http.ResponseWriter, r *http.Request) (any, error) {
	var req ForgetRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if req.Name == "" {
		return nil, badRequest{errors.New("name the agent that is gone")}
	}
	if err := h.agent.Queue.ForgetAgent(r.Context(), req.Name); err != nil {
		return nil, err
	}
	h.agent.Note(queue.LogEntry{Kind: "agent_forgotten", Text: "Agent " + req.Name + " was forgotten"})
	return Changed{1}, nil
}

// agents are those that share the queue, as people see them.
func (a *Agent) agents(ctx context.Context) ([]AgentView, error) {
	all, err := a.Queue.Agents(ctx)
	views := []AgentView{}
	for i := range all {
		m := &all[i]
		v := AgentView{Name: m.Name, Version: m.Version, Seen: m.Seen.UTC(), State: stateOf(m), Webhooks: slices.Clone(m.Webhooks), Sources: m.Status.Sources}
		v.Webhooks = slices.DeleteFunc(v.Webhooks, func(name string) bool { return strings.Contains(name, ":") }) // a source that several see
		if v.Webhooks == nil {
			v.Webhooks = []string{}
		}
		if v.Sources == nil {
			v.Sources = []queue.SourceStatus{}
		}
		views = append(views, v)
	}
	return views, err
}
