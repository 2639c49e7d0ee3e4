package admin

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// ingest reads an old log from the request's body. It is the one call without a bound
// on its body, since it is read a batch at a time; it needs what every change needs.
func (h *changeHandlers) ingest(w http.ResponseWriter, r *http.Request) (any, error) {
	name := r.URL.Query().Get("name")
	if name == "" {
		return nil, badRequest{errors.New("name the file with ?name=…")}
	}
	lasting(w)
	body := &steady{r.Body, http.NewResponseController(w)}
	return h.agent.Backfill(r.Context(), name, body, r.URL.Query().Get("dry_run") == "true")
}

// steady ends a body of which nothing comes for long: others wait for its place.
type steady struct {
	body  io.Reader
	limit *http.ResponseController
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.limit.SetReadDeadline(time.Now().Add(patience))
	n, err := s.body.Read(p)
	_ = s.limit.SetReadDeadline(time.Time{}) // keeping what was read may take as long as the queue is full
	return n, err
}
