package agent

import (
	"context"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// owning is the store as the dispatcher has it. A source that several agents see is held like a
// webhook, by one of them at a time; what the store says of those goes to the sources.
type owning struct {
	store
	sources *sources
}

// Own implements dispatch.Store.
func (o owning) Own(ctx context.Context, s queue.Server) error {
	dispatcher := s
	s.Webhooks = func() []queue.Served { return append(dispatcher.Webhooks(), o.sources.shared()...) }
	s.Hold = func(all []queue.Holding) {
		o.sources.hold(all)
		dispatcher.Hold(all)
	}
	s.Busy = func(name string) bool { return dispatcher.Busy(name) || o.sources.open()[name] != nil }
	s.Status = func() queue.AgentStatus {
		st := dispatcher.Status()
		for _, src := range o.sources.status() {
			if !src.Elsewhere {
				st.Sources = append(st.Sources, queue.SourceStatus{Name: src.Name, Type: src.Type, Ready: src.Ready, Reason: src.Reason, LagBytes: src.LagBytes})
			}
		}
		return st
	}

	return o.store.Own(ctx, s)
}

// shared are the sources that other agents see too.
func (s *sources) shared() []queue.Served {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []queue.Served
	for i := range s.wanted {
		if cfg := &s.wanted[i]; cfg.Elsewhere(nil) {
			all = append(all, queue.Served{Webhook: cfg.Name})
		}
	}
	return all
}

// hold takes in which of the shared sources this agent reads.
func (s *sources) hold(all []queue.Holding) {
	held := map[string]bool{}
	for i := range all {
		held[all[i].Webhook] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for i := range s.wanted {
		cfg := &s.wanted[i]
		changed = changed || cfg.Elsewhere(s.held) != cfg.Elsewhere(held)
	}
	if s.held = held; changed {
		s.poke()
	}
}
