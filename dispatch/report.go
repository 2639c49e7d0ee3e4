package dispatch

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// reporter tells what came of one webhook's attempts: in the log, and to the people who
// should hear of it.
type reporter struct {
	webhook string
	log     *slog.Logger
	notice  func(Notice) // nil: nobody hears of it
}

// attrs identify an attempt of d in the log.
func attrs(d queue.Delivery) []any {
	return []any{
		"webhook", d.Webhook, "event_id", d.EventID, "delivery_id", d.ID,
		"event_type", d.EventType, "attempt", d.Attempts + 1,
	}
}

// restored tells which pause a configuration lifted, and of a stored state that cannot be read.
func (r *reporter) restored(lifted *pause, err error) {
	if err != nil {
		r.log.Error("cannot read whether the webhook was paused or held; it starts as neither", "webhook", r.webhook, "error", err)
	}
	if lifted != nil {
		r.log.Info("webhook resumed: its configuration has changed", "webhook", r.webhook, "reason", lifted.Reason)
	}
}

// attempted reports one at the level its outcome deserves, and what it changed.
func (r *reporter) attempted(d queue.Delivery, v outcome) {
	attrs := attrs(d)
	if v.Attempt.Status != 0 {
		attrs = append(attrs, "status", v.Attempt.Status)
	}
	attrs = append(attrs, "latency", v.Attempt.Took.Round(time.Microsecond))
	if v.Attempt.Error != "" {
		attrs = append(attrs, "error", v.Attempt.Error)
	}
	if !v.Due.IsZero() {
		attrs = append(attrs, "next_due", v.Due.UTC().Format(time.RFC3339))
	}
	level, message := slog.LevelWarn, "delivery failed, will be retried"
	switch {
	case v.Status == queue.Success:
		level, message = slog.LevelInfo, "delivered"
	case v.Status == queue.Failed:
		level, message = slog.LevelError, "delivery given up; it can be replayed"
	case v.Free:
		level, message = slog.LevelDebug, "attempt failed, not counted: the webhook is held"
	case !v.mention:
		level = slog.LevelDebug
	}
	r.log.Log(context.Background(), level, message, attrs...)
	if v.unreported > 0 {
		r.log.Warn("more failures, each logged at level debug", "webhook", r.webhook,
			"failures", v.unreported, "error", v.Attempt.Error)
	}
	r.change(v)
	r.notify(v, d.EventType, d.EventID)
}

// change logs what the attempt changed for the webhook as a whole.
func (r *reporter) change(v outcome) {
	if !v.offline && !v.online && !v.opened && !v.throttled && !v.paused && !v.closed && v.recovered == 0 {
		return
	}
	log := r.log.With("webhook", r.webhook)
	now := time.Now()
	if v.offline {
		log.Warn("this machine has no network; deliveries wait without using up attempts", "error", v.Attempt.Error)
	}
	if v.online {
		log.Info("this machine has a network again", "after", now.Sub(v.since).Round(time.Second))
	}
	if v.opened {
		log.Warn("webhook held: its endpoint is down; deliveries wait without using up attempts, and one probe at a time is sent",
			"first_probe_in", probeFirst, "error", v.Attempt.Error)
	}
	if v.throttled {
		log.Warn("webhook held: its endpoint accepts no more for now; deliveries wait without using up attempts",
			"until", v.until.UTC().Format(time.RFC3339), "error", v.Attempt.Error)
	}
	if v.paused {
		log.Warn("webhook paused: the endpoint answered 410 Gone; change its configuration or resume it to continue")
	}
	if v.recovered > 0 || v.closed {
		from := v.failingFrom
		if v.recovered == 0 {
			from = v.heldSince
		}
		log.Info("webhook recovered", "failures", v.recovered, "after", now.Sub(from).Round(time.Second), "held", v.closed)
	}
}

// notify tells people what an attempt changed. That one of the agent's own events could not
// be delivered is no news: it would make another.
func (r *reporter) notify(v outcome, eventType, eventID string) {
	if r.notice == nil {
		return
	}
	n := Notice{Webhook: r.webhook, Reason: v.Attempt.Error, Since: v.heldSince}
	switch {
	case v.opened:
		n.Kind = NoticeHeld
	case v.throttled && v.long:
		n.Kind, n.NextProbe = NoticeHeld, v.until
	case v.closed:
		n.Kind = NoticeRecovered
	case v.paused:
		n.Kind = NoticePaused
	}
	if n.Kind != "" {
		r.notice(n)
	}
	if v.Status == queue.Failed && !strings.HasPrefix(eventType, OwnPrefix) {
		r.notice(Notice{
			Kind: NoticeFailed, Webhook: r.webhook, Reason: v.Attempt.Error,
			EventType: eventType, EventID: eventID, DeliveryID: v.DeliveryID,
		})
	}
}
