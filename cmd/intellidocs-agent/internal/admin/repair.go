package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// replay queues deliveries again and tells how far it is, a JSON object a line.
func (a *api) replay(w http.ResponseWriter, r *http.Request) (any, error) {
	var req ReplayRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if (len(req.IDs) == 0) == (req.Filter == nil) {
		return nil, badRequest{errors.New("name either ids or a filter of deliveries to replay")}
	}
	by := "api"
	if req.By == "cli" || req.By == "dashboard" {
		by = req.By
	}
	if req.Filter == nil {
		ids, err := a.named(req.IDs)
		if err != nil {
			return nil, err
		}
		n, err := a.Queue.Replay(r.Context(), by, ids)
		if err != nil {
			return nil, err
		}
		return Progress{Done: n, Total: n, Final: true}, nil
	}
	if err := req.Filter.check(); err != nil {
		return nil, err
	}
	if req.Filter.Limit != 0 {
		return nil, badRequest{errors.New("a replay takes all that its filter selects; leave limit out")}
	}
	lasting(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	a.replayMatching(w, r, by, req.Filter.queue())
	return nil, nil
}

// named gives the deliveries that ids name, each once. An event's id, which receivers
// know as webhook-id, names all of its deliveries.
func (a *api) named(ids []string) ([]string, error) {
	out := []string{}
	for _, id := range ids {
		if !strings.HasPrefix(id, "evt_") {
			out = append(out, id)
			continue
		}
		ds, err := a.Queue.DeliveriesOf(id)
		if err != nil {
			return nil, err
		}
		for i := range ds {
			out = append(out, ds[i].ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

var errStopping = errors.New("the agent is stopping")

// replayMatching goes on until all is done, its caller leaves (Ctrl-C, a closed page), or
// the agent stops. What was queued again by then stays, and the log says how much it was.
func (a *api) replayMatching(w http.ResponseWriter, r *http.Request, by string, f queue.Filter) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(a.stopping, func() { cancel(errStopping) })()
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(p Progress) {
		_ = out.Encode(p) // of a caller that left the context tells
		_ = flush.Flush()
	}
	last := Progress{}
	n, err := a.Queue.ReplayMatching(ctx, by, f, func(done, total int) {
		last = Progress{Done: done, Total: total}
		send(last)
	})
	last = Progress{Done: n, Total: max(n, last.Total), Final: true}
	if err != nil {
		switch {
		case a.stopping.Err() != nil:
			err = errStopping
		case r.Context().Err() != nil:
			err = errors.New("its caller left")
		}
		last.Error = fmt.Sprintf("the replay ended after %d of %d deliveries; those stay queued again: %v", n, last.Total, err)
		a.log.Warn("a replay ended before all was done; what was queued again stays", "by", by, "done", n, "total", last.Total, "error", err)
	}
	send(last)
}

func (a *api) rejected(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number(q, "limit", 50, 500)
	if err != nil {
		return nil, err
	}
	f := queue.RejectedFilter{Source: q.Get("source"), Before: q.Get("before"), Limit: limit}
	if v := q.Get("since"); v != "" {
		if f.Since, err = When(v, time.Now()); err != nil {
			return nil, badRequest{err}
		}
	}
	records, next, err := a.Queue.Rejected(r.Context(), f)
	if err != nil {
		return nil, err
	}
	page := RejectedPage{Rejected: make([]RejectedView, 0, len(records)), Next: next}
	for i := range records {
		v := view(&records[i])
		// A list for people shows the beginning; 50 records of 64 KiB would be a heavy page.
		if len(v.Text) > 500 && q.Get("text") != "whole" {
			v.Text = strings.ToValidUTF8(v.Text[:500], "") + "…"
		}
		page.Rejected = append(page.Rejected, v)
	}
	return page, nil
}

func (a *api) rejectedOne(_ http.ResponseWriter, r *http.Request) (any, error) {
	rec, err := a.Queue.RejectedByID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return view(&rec), nil
}

func view(r *queue.Rejected) RejectedView {
	return RejectedView{
		ID: r.ID, Source: r.Source, Path: r.Path, Stream: r.Stream, Offset: r.Offset, Size: r.Size,
		At: r.At.UTC(), Reason: r.Reason, Text: strings.ToValidUTF8(string(r.Data), "\uFFFD"),
	}
}

// retry reads rejected records again, after an upgrade that understands more.
func (a *api) retry(w http.ResponseWriter, r *http.Request) (any, error) {
	var req struct {
		IDs []string `json:"ids"` // none: all of them
	}
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	lasting(w)
	out := struct {
		Tried  int `json:"tried"`
		Queued int `json:"queued"`
	}{}
	one := func(rec queue.Rejected) error {
		out.Tried++
		ok, err := a.Retry(r.Context(), rec)
		if err != nil || !ok {
			return err
		}
		out.Queued++
		return a.Queue.DropRejected(r.Context(), rec.ID)
	}
	for _, id := range req.IDs {
		rec, err := a.Queue.RejectedByID(id)
		if err == nil {
			err = one(rec)
		}
		if err != nil {
			return nil, fmt.Errorf("retry %s: %w", id, err)
		}
	}
	f := queue.RejectedFilter{Limit: 50}
	for len(req.IDs) == 0 {
		records, next, err := a.Queue.Rejected(r.Context(), f)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			if err := one(rec); err != nil {
				return nil, fmt.Errorf("retry %s: %w", rec.ID, err)
			}
		}
		if next == "" {
			break
		}
		f.Before = next
	}
	return out, nil
}

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
