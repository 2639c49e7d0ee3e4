package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// deliveryHandlers answer what there is of events and their deliveries.
type deliveryHandlers struct {
	agent    *Agent
	subjects subjects
}

// urls looks up the addresses of the configured webhooks.
func (h *deliveryHandlers) urls() func(webhook string) string {
	_, _, webhooks := h.agent.Config()
	return func(name string) string {
		for _, w := range webhooks {
			if w.Name == name {
				return w.URL
			}
		}
		return ""
	}
}

// maxRowText is how long a text of a row is, in bytes; a delivery by itself has them whole.
const maxRowText = 1024

func (h *deliveryHandlers) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	q, url := f.queue(), h.urls()
	out := &page{key: "deliveries", most: q.Limit}
	q.MaxText = maxRowText
	for next := ""; ; {
		q.Limit = min(out.most-out.n, chunk)
		part, err := h.agent.Queue.List(r.Context(), q)
		if err != nil {
			return nil, err
		}
		for i := range part.Deliveries {
			d, about := &part.Deliveries[i], ""
			if f.Subjects {
				about = h.subjects.get(d.EventID, func() (queue.Event, error) { return h.agent.Queue.EventOf(d.ID) })
			}
			ok, err := out.add(row(d, about, url))
			if err != nil {
				return nil, err
			}
			if !ok {
				return out.upTo(next), nil
			}
			next = d.ID
		}
		if part.Next == "" || out.n >= out.most || len(part.Deliveries) < q.Limit {
			return out.upTo(part.Next), nil // a search that took too long ends a page early
		}
		q.Before = part.Next
	}
}

func (h *deliveryHandlers) count(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	n, err := h.agent.Queue.Count(r.Context(), f.queue())
	return Count{n}, err
}

// find looks up IDs by their beginning, or a delivery by its short ID.
func (h *deliveryHandlers) find(_ http.ResponseWriter, r *http.Request) (any, error) {
	typed := r.URL.Query().Get("id")
	if len(typed) > 100 {
		return nil, badRequest{errors.New("an id has at most 100 characters")}
	}
	ids, err := h.agent.Queue.Find(r.Context(), strings.ToLower(typed), 10)
	return Found{append([]string{}, ids...)}, err
}

// named returns the delivery that a path names, and its event.
func (h *deliveryHandlers) named(r *http.Request) (d queue.Delivery, e queue.Event, err error) {
	if d, err = h.agent.Queue.Get(r.PathValue("id")); err == nil {
		e, err = h.agent.Queue.EventOf(d.ID)
	}
	return d, e, err
}

func (h *deliveryHandlers) delivery(w http.ResponseWriter, r *http.Request) (any, error) {
	d, e, err := h.named(r)
	if err != nil {
		return nil, err
	}
	return nil, h.writeEvent(w, e, []queue.Delivery{d})
}

// request is an attempt's request as the configuration in force makes it.
func (h *deliveryHandlers) request(_ http.ResponseWriter, r *http.Request) (any, error) {
	n, err := number(r.URL.Query(), "attempt", 1, 1_000_000)
	if err != nil {
		return nil, err
	}
	d, e, err := h.named(r)
	if err != nil {
		return nil, err
	}
	text, err := h.agent.Preview(&d, &e, n)
	return RequestView{Attempt: n, Request: text}, err
}

func (h *deliveryHandlers) event(w http.ResponseWriter, r *http.Request) (any, error) {
	e, err := h.agent.Queue.Event(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	ds, err := h.agent.Queue.DeliveriesOf(e.ID)
	if err != nil {
		return nil, err
	}
	return nil, h.writeEvent(w, e, ds)
}

// writeEvent writes an EventDetail piece by piece: its payload may be 7 MiB, and its deliveries hundreds.
func (h *deliveryHandlers) writeEvent(w http.ResponseWriter, e queue.Event, ds []queue.Delivery) error {
	about, url := subject(e.Body), h.urls()
	payload := e.Body
	e.Body = nil
	head, err := json.Marshal(EventView{Event: e, Subject: about})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"event":`))
	_, _ = w.Write(head[:len(head)-1])
	if len(payload) > 0 {
		_, _ = w.Write([]byte(`,"payload":`))
		if !json.Valid(payload) { // Python writes NaN and Infinity, which JSON does not know
			if payload, err = json.Marshal(string(payload)); err != nil {
				return nil
			}
		}
		_, _ = w.Write(payload)
	}
	_, _ = w.Write([]byte(`},"deliveries":[`))
	for i := range ds {
		d := &ds[i]
		if i > 0 {
			_, _ = w.Write([]byte(","))
		}
		one := Detail{
			Row: row(d, about, url), Spent: d.Spent,
			History: append([]queue.Attempt{}, d.History...), Replays: append([]queue.Replay{}, d.Replays...),
		}
		if len(ds) > 1 { // the event beside it has it whole
			one.EventType = clip(one.EventType, maxRowText)
		}
		data, err := json.Marshal(one)
		if err != nil {
			return nil // the answer is under way; strings and numbers can always be written
		}
		if _, err := w.Write(data); err != nil {
			return nil // the other side is gone
		}
	}
	_, _ = w.Write([]byte("]}\n"))
	return nil
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func (h *deliveryHandlers) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := number(r.URL.Query(), "limit", 20, 200)
	if err != nil {
		return nil, err
	}
	events, err := h.agent.Queue.Recent(r.Context(), limit)
	if err != nil {
		return nil, err
	}
	out := &page{key: "events", most: limit}
	for i := range events {
		e := &events[i]
		view := EventView{Event: *e, Subject: h.subjects.get(e.ID, func() (queue.Event, error) { return h.agent.Queue.Event(e.ID) })}
		if ok, err := out.add(view); err != nil || !ok {
			break // only the latest are wanted
		}
	}
	return out, nil
}
