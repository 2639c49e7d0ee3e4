package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// history answers what the attempts of one webhook or of all came to over a span.
func (h *statusHandlers) history(_ http.ResponseWriter, r *http.Request) (any, error) {
	name, only := "", ""
	if err := parseQuery(r.URL.Query(), textParam("span", &name), textParam("webhook", &only)); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(queue.Spans[:], func(s queue.Span) bool { return s.Name == cmp.Or(name, queue.Spans[0].Name) })
	if i < 0 {
		return nil, badRequest{errors.New("span is 1h, 24h or 30d")}
	}
	span, now := queue.Spans[i], time.Now()
	out := History{Span: span.Name, Step: int(span.Step / time.Second), Begin: span.Begin(now).UTC(), End: now.UTC(), Webhooks: []WebhookHistory{}}
	for _, webhook := range h.agent.webhookNames() {
		if only != "" && webhook != only {
			continue
		}
		buckets, err := h.agent.Queue.History(webhook, i)
		if err != nil {
			return nil, err
		}
		one := WebhookHistory{Webhook: webhook, Steps: make([]Step, len(buckets))}
		for n, b := range buckets {
			one.Steps[n] = Step{
				At: b.At.UTC(), Delivered: b.Delivered, Failed: b.Failed, GivenUp: b.GivenUp,
				P50: b.Quantile(0.5), P95: b.Quantile(0.95), Slowest: b.Slowest,
			}
		}
		out.Webhooks = append(out.Webhooks, one)
	}
	if only != "" && len(out.Webhooks) == 0 {
		return nil, fmt.Errorf("%w: %s", dispatch.ErrUnknownWebhook, only)
	}
	return out, nil
}

// log answers what happened to the agent itself.
func (h *statusHandlers) log(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	var before string
	var limit int
	if err := parseQuery(q, textParam("before", &before), limitParam(q, 500, &limit)); err != nil {
		return nil, err
	}
	from, err := strconv.ParseUint(cmp.Or(before, "0"), 10, 64)
	if err != nil {
		return nil, badRequest{errors.New("before is the next of the part before")}
	}
	entries, err := h.agent.Queue.Log(from, cmp.Or(limit, 50))
	page := LogPage{Entries: append([]queue.LogEntry{}, entries...)}
	if n := len(entries); n > 0 && n == cmp.Or(limit, 50) && entries[n-1].N > 1 {
		page.Next = strconv.FormatUint(entries[n-1].N, 10)
	}
	return page, err
}

// webhookNames are the configured webhooks and those that only the queue knows.
func (a *Agent) webhookNames() []string {
	var names []string
	for _, s := range a.Dispatcher.States() {
		names = append(names, s.Webhook)
	}
	for name := range a.Queue.Counts() {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
