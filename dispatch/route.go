package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

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
// that fails on the payload wants it: an alert too many beats one too few.
func (d *Dispatcher) Route(eventType string, body []byte) []string {
	var names []string
	var payload map[string]any
	var decodeErr error
	decoded := false
	for _, r := range *d.routes.Load() {
		if !wants(r.events, eventType) {
			continue
		}
		if r.filter != nil {
			if !decoded {
				payload, decodeErr = decodePayload(body)
				decoded = true
			}
			wanted, err := false, decodeErr
			if err == nil {
				wanted, err = r.filter.match(payload)
			}
			if err != nil {
				r.failed.Inc()
				d.log.Debug("filter failed; the event is delivered", "webhook", r.webhook, "event_type", eventType, "error", err)
			} else if !wanted {
				continue
			}
		}
		names = append(names, r.webhook)
	}
	return names
}

func wants(patterns []string, eventType string) bool {
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

// decodePayload decodes with integers as int, so that comparisons and printed numbers
// are what a person writes; those that do not fit become float64.
func decodePayload(body []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var payload map[string]any
	if err := dec.Decode(&payload); err != nil {
		return nil, fmt.Errorf("decode payload: %w", err)
	}
	for k, v := range payload {
		payload[k] = plainNumbers(v)
	}
	return payload, nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64() // ±Inf where it is out of range, which compares as it should
		return f
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	}
	return v
}
