package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Webhook is what the API may tell of a webhook's configuration.
type Webhook struct {
	Name   string
	URL    string // redacted
	Events []string
	Format string
}

// Agent is what stands behind the API: a running agent, or the state opened without one.
type Agent struct {
	Queue      *queue.Queue
	Dispatcher *dispatch.Dispatcher
	Version    string
	StartedAt  time.Time
	Running    bool
	MaxSize    func() int64
	// Config says what is in force: enabled at all, where from, and the webhooks.
	Config func() (enabled bool, status ConfigStatus, webhooks []Webhook)
	// Sources are the sources being read.
	Sources func() []SourceStatus
	// Test sends a sample event to a webhook.
	Test func(ctx context.Context, webhook, eventType string) (TestResult, error)
	// Backfill reads an old log from r and queues its events; dry only counts them.
	Backfill func(ctx context.Context, name string, r Body, dry bool) (ingest.Totals, error)
	// Retry parses a rejected record again; it tells whether the record is an event now.
	Retry func(ctx context.Context, r queue.Rejected) (bool, error)
}

// Body is an old log on its way in.
type Body interface {
	Read(p []byte) (int, error)
}

type api struct {
	Agent
	log      *slog.Logger
	stopping context.Context // ends when the server is to close
}

func (a *api) routes(mux *http.ServeMux) {
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := f(w, r)
			if err != nil {
				fail(w, err)
				return
			}
			if v != nil {
				answer(w, http.StatusOK, v)
			}
		})
	}
	handle("GET /api/v1/status", a.status)
	handle("GET /api/v1/deliveries", a.deliveries)
	handle("GET /api/v1/deliveries/{id}", a.delivery)
	handle("GET /api/v1/count", a.count)
	handle("GET /api/v1/events", a.events)
	handle("GET /api/v1/events/{id}", a.event)
	handle("GET /api/v1/rejected", a.rejected)
	handle("GET /api/v1/rejected/{id}", a.rejectedOne)
	handle("POST /api/v1/rejected/retry", a.retry)
	handle("POST /api/v1/replay", a.replay)
	handle("POST /api/v1/webhooks/{name}/pause", a.pause)
	handle("POST /api/v1/webhooks/{name}/resume", a.resume)
	handle("POST /api/v1/webhooks/{name}/test", a.test)
	handle("POST /api/v1/ingest", a.ingest)
	mux.HandleFunc("GET /api/v1/stream", a.stream)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "/api/" {
				w.Header().Set("Allow", method)
				problem(w, http.StatusMethodNotAllowed, fmt.Sprintf("there is no %s %s; it takes %s", r.Method, r.URL.Path, method))
				return
			}
		}
		problem(w, http.StatusNotFound, fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path))
	})
}

// badRequest is an error the caller can mend.
type badRequest struct{ error }

func fail(w http.ResponseWriter, err error) {
	var bad badRequest
	var large *http.MaxBytesError
	code := http.StatusInternalServerError
	switch {
	case errors.As(err, &bad):
		code = http.StatusBadRequest
	case errors.As(err, &large):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, queue.ErrNotFound), errors.Is(err, dispatch.ErrUnknownWebhook):
		code = http.StatusNotFound
	}
	problem(w, code, err.Error())
}

func problem(w http.ResponseWriter, code int, text string) { answer(w, code, Problem{Error: text}) }

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the other side is gone; there is nobody to tell
}

// decode reads a request's body; an empty one asks for nothing in particular.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return badRequest{fmt.Errorf("the request's body cannot be read: %w", err)}
	}
	return nil
}

func (a *api) status(_ http.ResponseWriter, _ *http.Request) (any, error) { return a.Status(), nil }

func (a *api) urls() func(string) string {
	_, _, webhooks := a.Config()
	return func(name string) string {
		for _, w := range webhooks {
			if w.Name == name {
				return w.URL
			}
		}
		return ""
	}
}

func (a *api) deliveries(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	page, err := a.Queue.List(r.Context(), f.queue())
	if err != nil {
		return nil, err
	}
	out, url := Page{Deliveries: make([]Row, 0, len(page.Deliveries)), Next: page.Next}, a.urls()
	for i := range page.Deliveries {
		out.Deliveries = append(out.Deliveries, row(&page.Deliveries[i], url))
	}
	return out, nil
}

func (a *api) count(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	n, err := a.Queue.Count(r.Context(), f.queue())
	return map[string]int{"count": n}, err
}

func (a *api) delivery(_ http.ResponseWriter, r *http.Request) (any, error) {
	d, err := a.Queue.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	e, err := a.Queue.EventOf(d.ID)
	if err != nil {
		return nil, err
	}
	return a.story(e, []queue.Delivery{d}), nil
}

func (a *api) event(_ http.ResponseWriter, r *http.Request) (any, error) {
	e, err := a.Queue.Event(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	ds, err := a.Queue.DeliveriesOf(e.ID)
	if err != nil {
		return nil, err
	}
	return a.story(e, ds), nil
}

func (a *api) story(e queue.Event, ds []queue.Delivery) Story {
	s, url := Story{Event: EventView{Event: e, Payload: e.Body}, Deliveries: []Detail{}}, a.urls()
	for i := range ds {
		d := &ds[i]
		s.Deliveries = append(s.Deliveries, Detail{
			Row: row(d, url), Spent: d.Spent,
			History: append([]queue.Attempt{}, d.History...), Replays: append([]queue.Replay{}, d.Replays...),
		})
	}
	return s
}

func (a *api) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := number(r.URL.Query(), "limit", 20, 200)
	if err != nil {
		return nil, err
	}
	events, err := a.Queue.Recent(r.Context(), limit)
	if events == nil {
		events = []queue.Event{}
	}
	return map[string]any{"events": events}, err
}

func (a *api) pause(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if body.Reason == "" {
		body.Reason = "paused by hand"
	}
	if len(body.Reason) > 500 {
		return nil, badRequest{errors.New("the reason is longer than 500 bytes")}
	}
	return a.webhook(r.PathValue("name"), a.Dispatcher.Pause(r.Context(), r.PathValue("name"), body.Reason))
}

func (a *api) resume(_ http.ResponseWriter, r *http.Request) (any, error) {
	return a.webhook(r.PathValue("name"), a.Dispatcher.Resume(r.Context(), r.PathValue("name")))
}

func (a *api) webhook(name string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	for _, s := range a.Status().Webhooks {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", dispatch.ErrUnknownWebhook, name)
}

func (a *api) test(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		EventType string `json:"event_type"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if body.EventType == "" {
		body.EventType = "scan_completed"
	}
	if strings.ContainsAny(body.EventType, `/\`) || len(body.EventType) > 200 {
		return nil, badRequest{fmt.Errorf("%.200q is not an event type", body.EventType)}
	}
	lasting(w) // as long as the webhook's time-out
	return a.Test(r.Context(), r.PathValue("name"), body.EventType)
}

// parseFilter reads a filter from a query; an unknown parameter is an error, since a
// misspelt filter would select everything.
func parseFilter(q url.Values) (Filter, error) {
	var f Filter
	var err error
	for key := range q {
		v := q.Get(key)
		switch key {
		case "status":
			for _, s := range q[key] {
				f.Status = append(f.Status, strings.Split(s, ",")...)
			}
		case "webhook":
			f.Webhook = v
		case "event_type":
			f.EventType = v
		case "q":
			f.Search = v
		case "before":
			f.Before = v
		case "since":
			f.Since, err = When(v, time.Now())
		case "until":
			f.Until, err = When(v, time.Now())
		case "limit":
			f.Limit, err = number(q, key, 50, 1000)
		default:
			err = fmt.Errorf("there is no filter %q; there are status, webhook, event_type, q, since, until, before, limit", key)
		}
		if err != nil {
			return f, badRequest{fmt.Errorf("filter %s: %w", key, err)}
		}
	}
	return f, f.check()
}

func (f *Filter) check() error {
	for _, s := range f.Status {
		switch queue.Status(s) {
		case queue.Pending, queue.Retrying, queue.Success, queue.Failed:
		default:
			return badRequest{fmt.Errorf("%q is no status; there are pending, retrying, success, failed", s)}
		}
	}
	return nil
}

func (f *Filter) queue() queue.Filter {
	out := queue.Filter{
		Webhook: f.Webhook, EventType: f.EventType, Since: f.Since, Until: f.Until,
		Search: f.Search, Before: f.Before, Limit: f.Limit,
	}
	if out.Limit == 0 {
		out.Limit = 50
	}
	for _, s := range f.Status {
		out.Status = append(out.Status, queue.Status(s))
	}
	return out
}

// Query is the filter as the API takes it.
func (f *Filter) Query() url.Values {
	q := url.Values{}
	set := func(key, v string) {
		if v != "" {
			q.Set(key, v)
		}
	}
	set("status", strings.Join(f.Status, ","))
	set("webhook", f.Webhook)
	set("event_type", f.EventType)
	set("q", f.Search)
	set("before", f.Before)
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.Format(time.RFC3339Nano))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// When reads a time, a day, or how long ago it was; "" is the zero time. Without a zone
// it is the local one.
func When(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	span, unit := s, time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		span, unit = days+"h", 24
	}
	d, err := time.ParseDuration(span)
	if err != nil || d < 0 || d > math.MaxInt64/unit {
		return time.Time{}, fmt.Errorf("%q is neither a time (2026-01-31T15:04:05Z, 2026-01-31) nor how long ago (24h, 7d)", s)
	}
	return now.Add(-d * unit), nil
}

func number(q url.Values, key string, def, most int) (int, error) {
	v := q.Get(key)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, badRequest{fmt.Errorf("%s must be a number from 1 to %d, not %q", key, most, v)}
	}
	return n, nil
}
