package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// maxRejectedText is how much of a record a list for people shows.
const maxRejectedText = 500

// rejectedChunk is how many records of 64 KiB are in memory at once.
const rejectedChunk = 8

// rejectedHandlers answer what could not be read, and let it be read again or forgotten.
type rejectedHandlers struct {
	agent *Agent
	log   *slog.Logger
}

func (h *rejectedHandlers) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseRejectedFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	q := queue.RejectedFilter{Source: f.Source, Since: f.Since, Before: f.Before}
	out := &page{key: "rejected", most: f.Limit}
	for last := ""; ; {
		q.Limit = min(out.most-out.n, rejectedChunk)
		records, next, err := h.agent.Queue.Rejected(r.Context(), q)
		if err != nil {
			return nil, err
		}
		for i := range records {
			v := view(&records[i])
			if !f.Whole {
				v.Text = clip(v.Text, maxRejectedText)
			}
			v.Path, v.Reason = clip(v.Path, 8*maxRowText), clip(v.Reason, maxRowText)
			ok, err := out.add(v)
			if err != nil {
				return nil, err
			}
			if !ok {
				return out.upTo(last), nil
			}
			last = v.ID
		}
		if next == "" || out.n >= out.most {
			return out.upTo(next), nil
		}
		q.Before = next
	}
}

func (h *rejectedHandlers) one(_ http.ResponseWriter, r *http.Request) (any, error) {
	rec, err := h.agent.Queue.RejectedByID(r.PathValue("id"))
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
func (h *rejectedHandlers) retry(w http.ResponseWriter, r *http.Request) (any, error) {
	var req RetryRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	lasting(w)
	var out Retried
	one := func(rec queue.Rejected) error {
		out.Tried++
		ok, err := h.agent.Retry(r.Context(), rec)
		if err != nil || !ok {
			return err
		}
		out.Queued++
		return h.agent.Queue.DropRejected(r.Context(), rec.ID)
	}
	for _, id := range req.IDs {
		rec, err := h.agent.Queue.RejectedByID(id)
		if err == nil {
			err = one(rec)
		}
		if err != nil {
			return nil, fmt.Errorf("retry %s: %w", id, err)
		}
	}
	f := queue.RejectedFilter{Limit: rejectedChunk}
	for len(req.IDs) == 0 {
		records, next, err := h.agent.Queue.Rejected(r.Context(), f)
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

// discard forgets rejected records.
func (h *rejectedHandlers) discard(w http.ResponseWriter, r *http.Request) (any, error) {
	var req DiscardRejectedRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	lasting(w)
	n, err := h.drop(r.Context(), req)
	if err != nil {
		return nil, err
	}
	if !req.DryRun {
		h.log.Warn("rejected records discarded", "source", req.Source, "records", n)
	}
	return Changed{n}, nil
}

// drop forgets what a request selects, or only counts it.
func (h *rejectedHandlers) drop(ctx context.Context, req DiscardRejectedRequest) (int, error) {
	if len(req.IDs) > 0 {
		for _, id := range req.IDs {
			if _, err := h.agent.Queue.RejectedByID(id); err != nil {
				return 0, fmt.Errorf("discard %s: %w", id, err)
			}
		}
		if req.DryRun {
			return len(req.IDs), nil
		}
		return len(req.IDs), h.agent.Queue.DropRejected(ctx, req.IDs...)
	}
	n := 0
	q := queue.RejectedFilter{Source: req.Source, Since: req.Since, Limit: rejectedChunk}
	for {
		records, next, err := h.agent.Queue.Rejected(ctx, q)
		if err != nil {
			return 0, err
		}
		var ids []string
		for i := range records {
			if req.Until.IsZero() || records[i].At.Before(req.Until) {
				ids = append(ids, records[i].ID)
			}
		}
		if !req.DryRun {
			if err := h.agent.Queue.DropRejected(ctx, ids...); err != nil {
				return 0, err
			}
		}
		n += len(ids)
		if q.Before = next; next == "" {
			break
		}
	}
	return n, nil
}
