package admin

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func (a *api) rejected(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseRejectedFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	records, next, err := a.Queue.Rejected(r.Context(), queue.RejectedFilter{Source: f.Source, Since: f.Since, Before: f.Before, Limit: f.Limit})
	if err != nil {
		return nil, err
	}
	page := RejectedPage{Rejected: make([]RejectedView, 0, len(records)), Next: next}
	for i := range records {
		v := view(&records[i])
		// A list for people shows the beginning; 50 records of 64 KiB would be a heavy page.
		if len(v.Text) > 500 && !f.Whole {
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
	var req RetryRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	lasting(w)
	var out Retried
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
