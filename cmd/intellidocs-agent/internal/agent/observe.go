package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

const (
	// observeEvery is how often is looked at what says nothing by itself.
	observeEvery = 5 * time.Second
	// sourcePatience is how long a source may be without its file, as between a rotation's
	// steps or at a start before IntelliDocs'.
	sourcePatience = 30 * time.Second
	// diskLow is how much must be free on the disk, and of max_size, for nobody to hear of it.
	diskLow      = 256 << 20
	queueLowPart = 0.9
	// digestHour is when the daily report goes out, local time.
	digestHour  = 7
	digestTopic = "digest "
)

// noticed announces what a webhook's attempts have changed.
func (a *Agent) noticed(n dispatch.Notice) {
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
		about.message = "Its endpoint is down or takes no more for now. Its deliveries wait, use up no attempts, and go out once it answers again."
	case dispatch.NoticeRecovered:
		about.title, about.bad = fmt.Sprintf("Webhook %s has recovered", n.Webhook), false
		about.message = "Its endpoint answers again; the deliveries that waited are on their way."
	case dispatch.NoticePaused:
		about.title = fmt.Sprintf("Webhook %s is paused", n.Webhook)
		about.message = fmt.Sprintf("Its endpoint answered 410 Gone. Its deliveries wait until its configuration changes or somebody runs: intellidocs-agent resume %s", n.Webhook)
	case dispatch.NoticeFailed:
		about.title = fmt.Sprintf("Deliveries to webhook %s were given up", n.Webhook)
		about.message = fmt.Sprintf("All their attempts failed. Once the cause is fixed: intellidocs-agent replay --status failed --webhook %s", n.Webhook)
		about.fields["last_event_type"], about.fields["last_event_id"], about.fields["delivery_id"] = n.EventType, n.EventID, n.DeliveryID
	}
	a.announcer.Announce(about)
}

// rejected announces a record that was rejected.
func (a *Agent) rejected(source, path string, offset int64, reason string) {
	a.announcer.Announce(announcement{
		kind: "record_rejected", about: source, bad: true,
		title:   "Records of " + source + " could not be read as events",
		message: "They were meant as events and are kept. See: intellidocs-agent rejected",
		fields:  map[string]any{"input": source, "file": path, "offset": offset, "reason": reason},
	})
}

// missed announces that records may have been missed.
func (a *Agent) missed(source, path, reason string) {
	a.announcer.Announce(announcement{
		kind: "gap", about: source, bad: true,
		title:   "Records of " + source + " may have been missed",
		message: "Content that was not read to its end is gone. If a copy exists: intellidocs-agent ingest FILE",
		fields:  map[string]any{"input": source, "file": path, "reason": reason},
	})
}

// observe announces what is wrong at the start already, and what nothing but its state tells.
func (a *Agent) observe(ctx context.Context) error {
	o := observer{a: a, down: map[string]time.Time{}, said: map[string]bool{}}
	for _, s := range a.dispatcher.States() {
		switch {
		case s.State == dispatch.Held:
			a.noticed(dispatch.Notice{Kind: dispatch.NoticeHeld, Webhook: s.Webhook, Reason: s.Reason, Since: s.Since})
		case s.Gone:
			a.noticed(dispatch.Notice{Kind: dispatch.NoticePaused, Webhook: s.Webhook, Reason: s.Reason, Since: s.Since})
		}
	}
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			o.sources(now)
			o.disk()
			o.digest(ctx, now)
		}
	}
}

// observer remembers what it has announced, and so announces changes.
type observer struct {
	a    *Agent
	down map[string]time.Time // sources, since when
	said map[string]bool
}

func (o *observer) sources(now time.Time) {
	seen := map[string]bool{}
	for _, s := range o.a.sources.status() {
		key := "source " + s.Name
		seen[s.Name] = true
		if s.Ready {
			delete(o.down, s.Name)
			delete(o.said, key)
			continue
		}
		if o.down[s.Name].IsZero() {
			o.down[s.Name] = now
		}
		if now.Sub(o.down[s.Name]) < sourcePatience || o.said[key] {
			continue
		}
		o.said[key] = true
		o.a.announcer.Announce(announcement{
			kind: "source_failed", about: s.Name, bad: true,
			title:   "Source " + s.Name + " cannot be read",
			message: "Nothing is read there until that is fixed; reading then resumes by itself, where it stopped.",
			fields:  map[string]any{"input": s.Name, "reason": s.Reason},
		})
	}
	for name := range o.down {
		if !seen[name] {
			delete(o.down, name)
			delete(o.said, "source "+name)
		}
	}
}

func (o *observer) disk() {
	s := o.a.queue.Stats()
	most := o.a.config.current().State.MaxSize
	low := s.Full || s.DiskFree >= 0 && s.DiskFree < diskLow || most > 0 && float64(s.Bytes) > queueLowPart*float64(most)
	if !low {
		o.said["disk"] = false
		return
	}
	if o.said["disk"] {
		return
	}
	o.said["disk"] = true
	o.a.announcer.Announce(announcement{
		kind: "disk_low", bad: true,
		title:   "The agent is running out of room",
		message: "When it has none, reading stops; nothing is lost. Make room on the disk, or raise [state] max_size.",
		fields:  map[string]any{"queue_bytes": s.Bytes, "queue_max_bytes": most, "disk_free_bytes": s.DiskFree, "reason": s.Reason},
	})
}

// digest reports once a day, where a webhook names it.
func (o *observer) digest(ctx context.Context, now time.Time) {
	if !o.a.dispatcher.WantsOwn(dispatch.Digest) {
		return
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), digestHour, 0, 0, 0, now.Location())
	if now.Before(at) {
		at = at.AddDate(0, 0, -1)
	}
	last := o.a.announcer.lastTime(digestTopic)
	switch {
	case last.IsZero(): // the first comes with the next morning
		o.a.announcer.began(digestTopic, now)
		o.a.announcer.store(ctx)
		return
	case !last.Before(at) || o.said["digest"]:
		o.said["digest"] = last.Before(at)
		return
	}
	o.said["digest"] = true
	var delivered, failed, waiting int64
	for _, counts := range o.a.queue.Counts() {
		delivered += counts[queue.Success]
		failed += counts[queue.Failed]
		waiting += counts[queue.Pending] + counts[queue.Retrying]
	}
	sick := 0
	for _, s := range o.a.dispatcher.States() {
		if s.State != dispatch.Healthy && s.State != dispatch.Disabled {
			sick++
		}
	}
	o.a.announcer.Announce(announcement{
		kind: "digest", bad: failed > 0 || sick > 0,
		title: fmt.Sprintf("%s, %s", term.Count(int(waiting), "delivery waits", "deliveries wait"), term.Count(int(failed), "has failed", "have failed")),
		message: fmt.Sprintf("%s kept as delivered; %s not healthy. See: intellidocs-agent dashboard",
			term.Count(int(delivered), "delivery is", "deliveries are"), term.Count(sick, "webhook is", "webhooks are")),
		fields: map[string]any{"delivered": delivered, "failed": failed, "waiting": waiting, "rejected": o.a.queue.Stats().Rejected},
	})
}
