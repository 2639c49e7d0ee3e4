package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

const (
	// observeEvery is how often the observer looks.
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

// observer looks every few seconds at what says nothing by itself, and announces changes of
// it: sources, the disk, and once a day how things are.
type observer struct {
	queue interface {
		Stats() queue.Stats
		Counts() map[string]map[queue.Status]int64
		Agents(ctx context.Context) ([]queue.Agent, error)
	}
	disk       lastFailure // nil: the queue is on no disk of this machine
	dispatcher *dispatch.Dispatcher
	sources    *sources
	config     *liveConfig
	announcer  *announcer
	log        *slog.Logger

	down map[string]time.Time // sources that cannot be read, since when
	said map[string]bool      // what was announced and lasts
}

// run observes until ctx ends. What is wrong at the start already is announced at once.
func (o *observer) run(ctx context.Context) error {
	o.down, o.said = map[string]time.Time{}, map[string]bool{}
	o.lastFailure()
	for _, s := range o.dispatcher.States() {
		switch {
		case o.config.current().Queue.Shared(): // whoever met it has told of it
		case s.State == dispatch.Held:
			reason := s.Reason
			if s.LastError != "" && !strings.Contains(reason, s.LastError) {
				reason += ": " + s.LastError
			}
			o.announcer.noticed(dispatch.Notice{Kind: dispatch.NoticeHeld, Webhook: s.Webhook, Reason: reason, Since: s.Since, NextProbe: s.NextProbe})
		case s.Gone:
			o.announcer.noticed(dispatch.Notice{Kind: dispatch.NoticePaused, Webhook: s.Webhook, Reason: s.Reason, Since: s.Since})
		}
	}
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			o.checkSources(now)
			o.checkDisk(ctx)
			o.digest(ctx, now)
		}
	}
}

// lastFailure tells people what ended the process before this one, where that was the
// disk. It is forgotten once the event is queued, and told again until then.
func (o *observer) lastFailure() {
	if o.disk == nil {
		return
	}
	before := formerAgent{o.config.current().State.Path, o.disk, o.log}
	f, failed := before.failure()
	if !failed {
		return
	}
	o.log.Warn("the previous agent ended because the disk failed; the disk works again, and nothing that was acknowledged is lost", "at", f.At, "cause", f.Cause)
	o.announcer.Announce(announcement{
		kind:    "disk_failed",
		title:   "The agent was restarted: its disk had failed",
		message: f.Cause,
		bad:     true,
		fields:  map[string]any{"reason": f.Cause, "since": f.At.UTC().Format(time.RFC3339), "directory": before.state},
		queued: func() {
			if err := before.forget(); err != nil {
				o.log.Warn("cannot forget the disk's failure; it will be announced again at the next start", "error", err)
			}
		},
	})
}

func (o *observer) checkSources(now time.Time) {
	seen := map[string]bool{}
	for _, s := range o.sources.status() {
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
		o.announcer.Announce(announcement{
			kind: "source_failed", about: s.Name, bad: true,
			title:   "Source " + s.Name + " cannot be read",
			message: "Nothing is read from it until that is fixed; reading then resumes by itself where it stopped.",
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

func (o *observer) checkDisk(ctx context.Context) {
	s := o.queue.Stats()
	most := o.config.current().State.MaxSize
	low := s.Full || s.DiskFree >= 0 && s.DiskFree < diskLow || most > 0 && float64(s.Bytes) > queueLowPart*float64(most)
	if !low {
		o.said["disk"] = false
		return
	}
	if o.said["disk"] {
		return
	}
	o.said["disk"] = true
	if !o.speaks(ctx) {
		return
	}
	o.announcer.Announce(announcement{
		kind: "disk_low", bad: true,
		title:   "The agent is running out of room",
		message: "When there is none, reading stops; nothing is lost. Make room on the disk, or raise [state] max_size.",
		fields:  map[string]any{"queue_bytes": s.Bytes, "queue_max_bytes": most, "disk_free_bytes": s.DiskFree, "reason": s.Reason},
	})
}

// digest reports once a day, where a webhook names it.
func (o *observer) digest(ctx context.Context, now time.Time) {
	if !o.dispatcher.WantsOwn(dispatch.Digest) {
		return
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), digestHour, 0, 0, 0, now.Location())
	if now.Before(at) {
		at = at.AddDate(0, 0, -1)
	}
	last := o.announcer.lastTime(digestTopic)
	switch {
	case last.IsZero(): // the first comes with the next morning
		o.announcer.began(digestTopic, now)
		o.announcer.store(ctx)
		return
	case !last.Before(at) || o.said["digest"]:
		o.said["digest"] = last.Before(at)
		return
	}
	if !o.speaks(ctx) {
		o.announcer.began(digestTopic, now)
		return
	}
	o.said["digest"] = true
	var delivered, failed, waiting int64
	for _, counts := range o.queue.Counts() {
		delivered += counts[queue.Success]
		failed += counts[queue.Failed]
		waiting += counts[queue.Pending] + counts[queue.Retrying]
	}
	sick := 0
	for _, s := range o.dispatcher.States() {
		if s.State != dispatch.Healthy && s.State != dispatch.Disabled {
			sick++
		}
	}
	o.announcer.Announce(announcement{
		kind: "digest", bad: failed > 0 || sick > 0,
		title: fmt.Sprintf("%s, %s", term.Count(int(waiting), "delivery waits", "deliveries wait"), term.Count(int(failed), "has failed", "have failed")),
		message: fmt.Sprintf("%s kept as delivered; %s not healthy. See: intellidocs-agent dashboard",
			term.Count(int(delivered), "delivery is", "deliveries are"), term.Count(sick, "webhook is", "webhooks are")),
		fields: map[string]any{"delivered": delivered, "failed": failed, "waiting": waiting, "rejected": o.queue.Stats().Rejected},
	})
}

// speaks reports whether this agent tells what is so for all that share the queue: the first by
// name of those that are alive.
func (o *observer) speaks(ctx context.Context) bool {
	agents, err := o.queue.Agents(ctx)
	for i := range agents {
		if agents[i].Live {
			return agents[i].Name == o.config.current().AgentName()
		}
	}
	return err == nil
}
