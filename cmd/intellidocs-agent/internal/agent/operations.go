package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
	"github.com/dawnsystem/intellidocs-agent/parser"
	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// operations are what the API asks of the agent beyond reading and changing its queue.
type operations struct {
	config     *liveConfig
	endpoints  *endpoints
	dispatcher *dispatch.Dispatcher
	ingest     *ingest.Ingest
}

// test sends a sample event to a webhook now, by the endpoint that real ones go through:
// without a type one that the webhook takes, and one that it does not take only if told to.
func (o *operations) test(ctx context.Context, webhook, eventType string, anyway bool) (admin.TestResult, error) {
	ep, ok := o.endpoints.get(webhook)
	if !ok {
		var names []string
		for _, w := range o.config.current().Webhooks {
			names = append(names, w.Name)
		}
		there := "the configured ones are " + strings.Join(names, ", ")
		if len(names) == 0 {
			there = "none is configured"
		}
		return admin.TestResult{}, fmt.Errorf("%w: %q; %s", dispatch.ErrUnknownWebhook, webhook, there)
	}
	eventType, body, dropped, err := o.sampleFor(webhook, eventType)
	if err != nil {
		return admin.TestResult{}, err
	}
	if dropped != "" && !anyway {
		return admin.TestResult{
			Webhook: webhook, EventType: eventType, Dropped: dropped,
			Error: fmt.Sprintf("nothing was sent: webhook %q takes no such %s: %s", webhook, eventType, dropped),
		}, nil
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return admin.TestResult{}, err
	}
	r, tr := ep.Exchange(ctx, send.Message{
		DeliveryID: "dlv_test_" + hex.EncodeToString(id[:8]), EventID: "evt_" + hex.EncodeToString(id), EventType: eventType,
		Attempt: 1, TraceID: hex.EncodeToString(id), Body: body,
	})
	return admin.TestResult{
		Webhook: webhook, EventType: eventType, Delivered: r.Class == send.Delivered, Status: r.Status, Error: r.Error,
		Took: r.Took, Remote: r.Remote, Request: tr.Request, Response: tr.Response, Dropped: dropped,
	}, nil
}

// preview makes the request of a delivery's attempt again, from what is stored and the
// configuration in force, and sends nothing.
func (o *operations) preview(d *queue.Delivery, e *queue.Event, attempt int) (string, error) {
	ep, ok := o.endpoints.get(d.Webhook)
	if !ok {
		return "", fmt.Errorf("%w: %q; its requests can be shown again once it is configured", dispatch.ErrUnknownWebhook, d.Webhook)
	}
	at := time.Now()
	for i := range d.History {
		if d.History[i].N == attempt {
			at = d.History[i].At
		}
	}
	return ep.Preview(send.Message{
		DeliveryID: d.ID, EventID: e.ID, EventType: e.Type, Attempt: attempt, TraceID: e.TraceID, Body: e.Body,
	}, at)
}

// sampleFor is a sample event of a type, and why the webhook would not be sent it. Without a
// type it is the first that the webhook takes, of the known ones and of those it names.
func (o *operations) sampleFor(webhook, eventType string) (chosen string, body []byte, dropped string, err error) {
	candidates := []string{eventType}
	if eventType == "" {
		candidates = append([]string{"scan_completed"}, events.Types()...)
		for _, w := range o.config.current().Webhooks {
			if w.Name != webhook {
				continue
			}
			for _, pattern := range w.Events { // of a type of its own, with something for the *
				if strings.HasPrefix(pattern, "agent") {
					pattern = strings.Replace(pattern, "agent.*", "agent.webhook_held", 1)
				}
				candidates = append(candidates, strings.ReplaceAll(pattern, "*", "sample"))
			}
		}
	}
	for i, candidate := range candidates {
		// What IntelliDocs' code sends says more about a receiver than what is documented.
		sample, ok := events.AsSent(candidate, time.Now())
		if !ok {
			if sample, err = events.Sample(candidate, time.Now()); err != nil {
				return "", nil, "", err
			}
		}
		text, err := json.Marshal(sample)
		if err != nil {
			return "", nil, "", err
		}
		canonical, err := pyjson.Canonical(text)
		if err != nil {
			return "", nil, "", err
		}
		refusal := o.dispatcher.Refusal(webhook, candidate, canonical)
		filtered := strings.HasPrefix(refusal, "its filter") && !strings.HasPrefix(dropped, "its filter") // closer
		if i == 0 || refusal == "" || filtered {
			chosen, body, dropped = candidate, canonical, refusal
		}
		if refusal == "" {
			break
		}
	}
	return chosen, body, dropped, nil
}

// backfill queues the events of an old log, or only counts them.
func (o *operations) backfill(ctx context.Context, name string, r admin.Body, dry bool) (ingest.Totals, error) {
	in := o.ingest
	if dry {
		in = ingest.New(ingest.Options{Queue: nowhere{}, Route: o.dispatcher.Route, Logger: discard()})
	}
	src := in.Backfill(config.IngestSource, ingest.Lines, o.config.current().KeyFor(config.IngestSource, name))
	err := tailer.ReadAll(ctx, r, tailer.ReadOptions{
		Source: config.IngestSource, Path: name, MaxLine: o.maxLine(), Partial: parser.Fragment, Handler: src.Handle,
	})
	return src.Totals(), err
}

// maxLine is the largest bound of the sources: an old log came from one of them.
func (o *operations) maxLine() int {
	most := int64(1 << 20)
	for _, s := range o.config.current().Sources {
		most = max(most, s.MaxLineBytes)
	}
	return int(most)
}

// nowhere takes batches and keeps nothing.
type nowhere struct{}

func (nowhere) Commit(context.Context, queue.Batch) (queue.Committed, error) {
	return queue.Committed{}, nil
}

// retry reads a rejected record again. One of which only the beginning was kept cannot
// be read; it stays.
func (o *operations) retry(ctx context.Context, rec queue.Rejected) (bool, error) {
	if rec.Size > int64(len(rec.Data))+2 {
		return false, nil
	}
	kind := ingest.Lines
	for _, s := range o.config.current().Sources {
		if s.Reads(rec.Source) && s.Type == "spool" {
			kind = ingest.Objects
		}
	}
	return o.ingest.Again(ctx, rec, kind, o.config.current().KeyFor(rec.Source, rec.Path))
}
