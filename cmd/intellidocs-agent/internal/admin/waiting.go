package admin

import (
	"context"
	"log/slog"
	"net/http"
)

// NewWaiting makes the server of an agent that cannot begin yet: it is alive, and not ready for
// a reason.
func NewWaiting(reason func() string, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusServiceUnavailable, Readiness{Reasons: []string{"queue: " + reason()}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusServiceUnavailable, "the agent has not begun yet: "+reason())
	})
	_, stop := context.WithCancel(context.Background())
	return &Server{handler: mux, gate: newGate(), log: log, stop: stop, done: make(chan error, 2)}
}
