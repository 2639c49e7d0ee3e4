package dispatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/dispatch/tree"
	"github.com/prometheus/client_golang/prometheus"
)

// route says what one enabled webhook wants.
type route struct {
	webhook string
	events  []string
	filter  *Filter // nil: none
	failed  prometheus.Counter
}

func newRoutes(webhooks []Webhook, failed *prometheus.CounterVec) []route {
	var routes []route
	for _, w := range webhooks {
		if w.Enabled {
			routes = append(routes, route{webhook: w.Name, events: w.Events, filter: w.Filter, failed: failed.WithLabelValues(w.Name)})
		}
	}
	return routes
}

// Route names the enabled webhooks that want an event, in configuration order. A filter
// that has no answer for the payload wants it: an alert too many beats one too few.
func (d *Dispatcher) Route(eventType string, body []byte) []string {
	return d.wanting(eventType, body, func(r route) bool { return Wants(r.events, eventType) })
}

// wanting names those of the webhooks that ask says yes to whose filter does not say no.
func (d *Dispatcher) wanting(eventType string, body []byte, ask func(route) bool) []string {
	var names []string
	var filtered map[string]route // of the names, those whose filter has to be asked
	for _, r := range *d.routes.Load() {
		if !ask(r) {
			continue
		}
		names = append(names, r.webhook)
		if r.filter != nil {
			if filtered == nil {
				filtered = map[string]route{}
			}
			filtered[r.webhook] = r
		}
	}
	if filtered == nil {
		return names
	}
	err := tree.Use(body, func(payload map[string]any) error {
		floats(payload)
		names = slices.DeleteFunc(names, func(name string) bool {
			r, ok := filtered[name]
			if !ok {
				return false
			}
			wanted, err := r.filter.match(payload, len(body))
			if err != nil {
				d.unanswered(r, eventType, err)
			}
			return err == nil && !wanted
		})
		return nil
	})
	if err != nil {
		for _, r := range filtered {
			d.unanswered(r, eventType, err)
		}
	}
	return names
}

func (d *Dispatcher) unanswered(r route, eventType string, err error) {
	r.failed.Inc()
	level := slog.LevelDebug
	if !r.filter.warned.Swap(true) { // once; the metric counts
		level = slog.LevelWarn
	}
	d.log.Log(context.Background(), level, "the filter fails on an event, which is therefore delivered", "webhook", r.webhook, "event_type", eventType, "error", err)
}

// Wants reports whether one of the patterns matches an event type; no patterns match all.
func Wants(patterns []string, eventType string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if matchType(p, eventType) {
			return true
		}
	}
	return false
}

// matchType matches pattern, where * stands for any run of characters, against the whole of s.
func matchType(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := len(parts) - 1
	// The leftmost place is good for each inner part: what follows only needs room.
	for _, part := range parts[:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[last])
}

// floats makes a float64 of each integer that does not fit an int: comparisons are then
// what a person expects.
func floats(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64() // ±Inf where it is out of range, which compares as it should
		return f
	case map[string]any:
		for k, e := range v {
			if n := floats(e); n != nil {
				v[k] = n
			}
		}
	case []any:
		for i, e := range v {
			if n := floats(e); n != nil {
				v[i] = n
			}
		}
	}
	return nil
}
