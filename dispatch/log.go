package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// attrs identify an attempt of d in the log.
func (w *worker) attrs(d queue.Delivery) []any {
	return []any{
		"webhook", w.name, "event_id", d.EventID, "delivery_id", d.ID,
		"event_type", d.EventType, "attempt", d.Attempts + 1,
	}
}

// report logs an attempt at the level its outcome deserves, and what it changed.
func (w *worker) report(d queue.Delivery, v outcome) {
	attrs := w.attrs(d)
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
	w.d.log.Log(context.Background(), level, message, attrs...)
	if v.unreported > 0 {
		w.d.log.Warn("more failures, each in debug level", "webhook", w.name,
			"failures", v.unreported, "error", v.Attempt.Error)
	}
	w.reportChange(v)
	w.notify(v, d.EventType, d.EventID)
}

// reportChange logs what the attempt changed for the webhook as a whole.
func (w *worker) reportChange(v outcome) {
	log := w.d.log.With("webhook", w.name)
	now := time.Now()
	if v.offline {
		log.Warn("this machine has no network; deliveries wait and use up no attempts", "error", v.Attempt.Error)
	}
	if v.online {
		log.Info("this machine has a network again", "after", now.Sub(v.since).Round(time.Second))
	}
	if v.opened {
		log.Warn("webhook held: its endpoint is down; deliveries wait and use up no attempts, one probe at a time goes out",
			"first_probe_in", probeFirst, "error", v.Attempt.Error)
	}
	if v.throttled {
		log.Warn("webhook held: its endpoint takes no more for now; deliveries wait and use up no attempts",
			"until", v.until.UTC().Format(time.RFC3339), "error", v.Attempt.Error)
	}
	if v.paused {
		log.Warn("webhook paused: the endpoint answered 410 Gone; change its configuration or resume it to continue")
	}
	if v.recovered > 0 {
		log.Info("webhook recovered", "failures", v.recovered, "after", now.Sub(v.failingFrom).Round(time.Second), "held", v.closed)
	}
}
