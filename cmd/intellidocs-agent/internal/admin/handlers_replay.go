package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// changeHandlers change what is queued: deliveries again, to another webhook, or not at all,
// and the events of old logs.
type changeHandlers struct {
	agent    *Agent
	log      *slog.Logger
	stopping context.Context // ends when the server is to close
}

// replay queues deliveries again and tells how far it is, a JSON object a line.
func (h *changeHandlers) replay(w http.ResponseWriter, r *http.Request) (any, error) {
	var req ReplayRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if (len(req.IDs) == 0) == (req.Filter == nil) {
		return nil, badRequest{errors.New("name the deliveries to replay, either by ids or by a filter")}
	}
	by := whose(req.By)
	if req.Filter == nil {
		ids, err := h.named(req.IDs)
		if err != nil {
			return nil, err
		}
		n, err := h.agent.Queue.Replay(r.Context(), by, ids)
		if err != nil {
			return nil, err
		}
		return Progress{Done: n, Total: n, Final: true}, nil
	}
	if err := req.Filter.check(); err != nil {
		return nil, err
	}
	if req.Filter.Limit != 0 {
		return nil, badRequest{errors.New("a replay takes everything that its filter selects; leave limit out")}
	}
	lasting(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	h.replayMatching(w, r, by, req.Filter.queue())
	return nil, nil
}

// named returns the deliveries that ids name, each once. An event's id, which receivers
// know as webhook-id, names all of its deliveries.
func (h *changeHandlers) named(ids []string) ([]string, error) {
	out := []string{}
	for _, id := range ids {
		if !strings.HasPrefix(id, "evt_") {
			out = append(out, id)
			continue
		}
		ds, err := h.agent.Queue.DeliveriesOf(id)
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

// replayMatching continues until all is done, its caller leaves (Ctrl-C, a closed page), or
// the agent stops. What was queued again by then stays, and the log says how much it was.
func (h *changeHandlers) replayMatching(w http.ResponseWriter, r *http.Request, by string, f queue.Filter) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(h.stopping, func() { cancel(errStopping) })()
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(p Progress) {
		_ = out.Encode(p) // of a caller that left the context tells
		_ = flush.Flush()
	}
	last := Progress{}
	n, err := h.agent.Queue.ReplayMatching(ctx, by, f, func(done, total int) {
		last = Progress{Done: done, Total: total}
		send(last)
		if h.stopping.Err() != nil {
			cancel(errStopping) // now: AfterFunc's goroutine may come to it after the last step
		}
	})
	last = Progress{Done: n, Total: max(n, last.Total), Final: true}
	if err != nil {
		switch {
		case h.stopping.Err() != nil:
			err = errStopping
		case r.Context().Err() != nil:
			err = errors.New("its caller left")
		}
		last.Error = fmt.Sprintf("the replay ended after %d of %d deliveries; those stay queued again: %v", n, last.Total, err)
		h.log.Warn("a replay ended early; what was queued again stays queued", "by", by, "done", n, "total", last.Total, "error", err)
	}
	send(last)
}
