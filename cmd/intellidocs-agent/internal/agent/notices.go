package agent

import (
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// noticed announces what a webhook's attempts have changed.
func (a *announcer) noticed(n dispatch.Notice) {
	about := announcement{kind: string(n.Kind), about: n.Webhook, bad: true, fields: map[string]any{"webhook": n.Webhook}}
	if n.Reason != "" {
		about.fields["reason"] = n.Reason
	}
	if !n.Since.IsZero() {
		about.fields["since"] = n.Since.UTC().Format(time.RFC3339)
	}
	switch n.Kind {
	case dispatch.NoticeHeld:
		about.title = fmt.Sprintf("Webhook %s is held", n.Webhook)
		about.message = "Its endpoint is down or accepts no more for now. Its deliveries wait without using up attempts, and are sent once it answers again."
		if time.Until(n.NextProbe) > time.Minute { // what is nearer is over when somebody reads it
			at := n.NextProbe.UTC().Format(time.RFC3339)
			about.fields["next_probe"] = at
			about.message += " It is next tried at " + at + "."
		}
	case dispatch.NoticeRecovered:
		about.title, about.bad = fmt.Sprintf("Webhook %s has recovered", n.Webhook), false
		about.message = "Its endpoint answers again; the waiting deliveries are being sent."
	case dispatch.NoticePaused:
		about.title = fmt.Sprintf("Webhook %s is paused", n.Webhook)
		about.message = fmt.Sprintf("Its endpoint answered 410 Gone. Its deliveries wait until its configuration changes or somebody runs: intellidocs-agent resume %s", n.Webhook)
	case dispatch.NoticeFailed:
		about.title = fmt.Sprintf("Deliveries to webhook %s were given up", n.Webhook)
		about.message = fmt.Sprintf("All their attempts failed. Once the cause is fixed: intellidocs-agent replay --status failed --webhook %s", n.Webhook)
		about.fields["last_event_type"], about.fields["last_event_id"], about.fields["delivery_id"] = n.EventType, n.EventID, n.DeliveryID
	}
	a.Announce(about)
}

// rejected announces a record that was rejected.
func (a *announcer) rejected(source, path string, offset int64, reason string) {
	a.Announce(announcement{
		kind: "record_rejected", about: source, bad: true,
		title:   "Records of " + source + " could not be read as events",
		message: "They look like events and are kept. See: intellidocs-agent rejected",
		fields:  map[string]any{"input": source, "file": path, "offset": offset, "reason": reason},
	})
}

// missed announces that records may have been missed.
func (a *announcer) missed(source, path, reason string) {
	a.Announce(announcement{
		kind: "gap", about: source, bad: true,
		title:   "Records of " + source + " may have been missed",
		message: "A file disappeared before it was read to its end. If a copy exists: intellidocs-agent ingest FILE",
		fields:  map[string]any{"input": source, "file": path, "reason": reason},
	})
}
