package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	Queue      Queue
	Dispatcher *dispatch.Dispatcher
	Version    string
	StartedAt  time.Time
	Running    bool
	// Dashboard is where browsers find the page, empty where there is no TCP listener.
	Dashboard string
	MaxSize   func() int64
	// Config says what is in force: enabled at all, where from, and the webhooks.
	Config func() (enabled bool, status ConfigStatus, webhooks []Webhook)
	// Note keeps something that happened to the agent in its log; LogRevision changes with the log.
	Note        func(queue.LogEntry)
	LogRevision func() uint64
	// Alive is why the agent must be started again, nil while it need not be.
	Alive func() error
	// Sources are the sources being read.
	Sources func() []SourceStatus
	// Preview makes the request of a delivery's attempt again, and sends nothing.
	Preview func(d *queue.Delivery, e *queue.Event, attempt int) (string, error)
	// Test sends a sample event to a webhook, by default of a type that it takes; anyway: also
	// one that it does not.
	Test func(ctx context.Context, webhook, eventType string, anyway bool) (TestResult, error)
	// Backfill reads an old log from r and queues its events; dry only counts them.
	Backfill func(ctx context.Context, name string, r Body, dry bool) (ingest.Totals, error)
	// Retry parses a rejected record again; it reports whether the record is an event now.
	Retry func(ctx context.Context, r queue.Rejected) (bool, error)
}

// Body is an old log on its way in.
type Body interface {
	Read(p []byte) (int, error)
}

// handler returns its answer, nil where it has written that itself.
type handler = func(w http.ResponseWriter, r *http.Request) (any, error)

// routes serves the API. Each group of handlers has what it remembers of its own.
func routes(mux *http.ServeMux, g *gate, a *Agent, log *slog.Logger, stopping context.Context) {
	status := newStatusHandlers(a, stopping)
	deliveries := &deliveryHandlers{agent: a}
	changes := &changeHandlers{agent: a, log: log, stopping: stopping}
	rejected := &rejectedHandlers{agent: a, log: log}
	webhooks := &webhookHandlers{agent: a}
	agents := &agentHandlers{agent: a}

	mux.HandleFunc("GET /healthz", status.healthz)
	mux.HandleFunc("GET /readyz", status.readyz)
	mux.HandleFunc("GET /api/v1/stream", status.stream)
	for pattern, f := range map[string]handler{
		"GET /api/v1/status":                  status.status,
		"GET /api/v1/history":                 status.history,
		"GET /api/v1/agents":                  agents.list,
		"POST /api/v1/agents/forget":          agents.forget,
		"GET /api/v1/deliveries":              deliveries.list,
		"GET /api/v1/deliveries/{id}":         deliveries.delivery,
		"GET /api/v1/deliveries/{id}/request": deliveries.request,
		"GET /api/v1/count":                   deliveries.count,
		"GET /api/v1/find":                    deliveries.find,
		"GET /api/v1/log":                     status.log,
		"GET /api/v1/events":                  deliveries.events,
		"GET /api/v1/events/{id}":             deliveries.event,
		"GET /api/v1/rejected":                rejected.list,
		"GET /api/v1/rejected/{id}":           rejected.one,
		"POST /api/v1/rejected/retry":         rejected.retry,
		"POST /api/v1/rejected/discard":       rejected.discard,
		"POST /api/v1/replay":                 changes.replay,
		"POST /api/v1/move":                   changes.move,
		"POST /api/v1/discard":                changes.discard,
		"POST /api/v1/ingest":                 changes.ingest,
		"POST /api/v1/webhooks/{name}/pause":  webhooks.pause,
		"POST /api/v1/webhooks/{name}/resume": webhooks.resume,
		"POST /api/v1/webhooks/{name}/test":   webhooks.test,
	} {
		if isList(strings.TrimPrefix(pattern, "GET ")) {
			f = g.paged(f)
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := f(w, r)
			if err != nil {
				fail(w, err)
				return
			}
			switch v := v.(type) {
			case nil: // the handler has answered
			case *page:
				v.answer(w)
			default:
				answer(w, http.StatusOK, v)
			}
		})
	}
	mux.HandleFunc("/api/", unknown(mux))
}

// unknown answers what no route does.
func unknown(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "/api/" {
				w.Header().Set("Allow", method)
				problem(w, http.StatusMethodNotAllowed, fmt.Sprintf("there is no %s %s; it takes %s", r.Method, r.URL.Path, method))
				return
			}
		}
		problem(w, http.StatusNotFound, fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path))
	}
}

// badRequest is an error the caller can fix.
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
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "5")
		code = http.StatusServiceUnavailable
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
