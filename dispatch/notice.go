package dispatch

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what happened to a webhook that people should hear of.
type Kind string

// The kinds of notices.
const (
	NoticeHeld      Kind = "webhook_held"
	NoticeRecovered Kind = "webhook_recovered"
	NoticePaused    Kind = "webhook_paused" // by a 410
	NoticeFailed    Kind = "delivery_failed"
)

// Notice is something that happened to a webhook.
type Notice struct {
	Kind    Kind
	Webhook string
	Reason  string    // for people
	Since   time.Time // of NoticeHeld and NoticeRecovered: when it was first held
	// NextProbe, of NoticeHeld, is when it is tried again, where its endpoint named a time.
	NextProbe time.Time
	// Of NoticeFailed: the event and its delivery.
	EventType, EventID, DeliveryID string
}

// OwnPrefix begins the types of the agent's own events.
const OwnPrefix = "agent."

// Digest is the type of the agent's daily report.
const Digest = OwnPrefix + "digest"

// RouteOwn names the webhooks that want one of the agent's own events: those that name it
// in Events ("agent.*" does, "*" and an empty list do not, and the daily digest must be
// written out), and never the webhook that it is about.
func (d *Dispatcher) RouteOwn(eventType string, body []byte, about string) []string {
	return d.wanting(eventType, body, func(r route) bool {
		return r.webhook != about && namesOwn(r.events, eventType)
	})
}

// WantsOwn reports whether any webhook names an own event of this type.
func (d *Dispatcher) WantsOwn(eventType string) bool {
	for _, r := range *d.routes.Load() {
		if namesOwn(r.events, eventType) {
			return true
		}
	}
	return false
}

func namesOwn(patterns []string, eventType string) bool {
	for _, p := range patterns {
		if p == eventType || eventType != Digest && strings.HasPrefix(p, "agent") && matchType(p, eventType) {
			return true
		}
	}
	return false
}

// Refusal says why a webhook is not sent an event of this type and body, "" where it is.
func (d *Dispatcher) Refusal(webhook, eventType string, body []byte) string {
	for _, r := range *d.routes.Load() {
		if r.webhook != webhook {
			continue
		}
		own := strings.HasPrefix(eventType, OwnPrefix)
		switch {
		case own && !namesOwn(r.events, eventType):
			return "its events do not name it; the agent's own events go only to webhooks that do, such as by \"agent.*\""
		case !own && !Wants(r.events, eventType):
			return fmt.Sprintf("its events are %s", strings.Join(r.events, ", "))
		}
		for _, name := range d.wanting(eventType, body, func(o route) bool { return o.webhook == webhook }) {
			if name == webhook {
				return ""
			}
		}
		return "its filter does not match: " + r.filter.source
	}
	return "it is disabled"
}
