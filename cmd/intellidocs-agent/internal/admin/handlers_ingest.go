package admin

import (
	"errors"
	"net/http"
)

// ingest reads an old log from the request's body. It is the one call without a bound
// on its body, since it is read a batch at a time; it needs what every change needs.
func (a *api) ingest(w http.ResponseWriter, r *http.Request) (any, error) {
	name := r.URL.Query().Get("name")
	if name == "" {
		return nil, badRequest{errors.New("name the file with ?name=…")}
	}
	lasting(w)
	return a.Backfill(r.Context(), name, r.Body, r.URL.Query().Get("dry_run") == "true")
}
