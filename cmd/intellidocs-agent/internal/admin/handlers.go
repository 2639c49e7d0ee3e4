package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	// Dashboard is where browsers find the page, empty where there is no TCP listener.
	Dashboard string
	MaxSize   func() int64
	// Config says what is in force: enabled at all, where from, and the webhooks.
	Config func() (enabled bool, status ConfigStatus, webhooks []Webhook)
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

type api struct {
	Agent
	log      *slog.Logger
	subjects subjects
	shared   sharedStatus
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
	handle("GET /api/v1/deliveries/{id}/request", a.request)
	handle("GET /api/v1/count", a.count)
	handle("GET /api/v1/find", a.find)
	handle("GET /api/v1/events", a.events)
	handle("GET /api/v1/events/{id}", a.event)
	handle("GET /api/v1/rejected", a.rejected)
	handle("GET /api/v1/rejected/{id}", a.rejectedOne)
	handle("POST /api/v1/rejected/retry", a.retry)
	handle("POST /api/v1/replay", a.replay)
	handle("POST /api/v1/move", a.move)
	handle("POST /api/v1/discard", a.discard)
	handle("POST /api/v1/rejected/discard", a.discardRejected)
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
