package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func (a *api) urls() func(string) string {
	_, _, webhooks := a.Config()
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

func (a *api) deliveries(w http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	q, url := f.queue(), a.urls()
	out := page{most: q.Limit}
	q.MaxText = maxRowText
	for next := ""; ; {
		q.Limit = min(out.most-out.n, chunk)
		part, err := a.Queue.List(r.Context(), q)
		if err != nil {
			return nil, err
		}
		for i := range part.Deliveries {
			d, about := &part.Deliveries[i], ""
			if f.Subjects {
				about = a.subjects.get(d.EventID, func() (queue.Event, error) { return a.Queue.EventOf(d.ID) })
			}
			ok, err := out.add(row(d, about, url))
			if err != nil {
				return nil, err
			}
			if !ok {
				out.answer(w, "deliveries", next)
				return nil, nil
			}
			next = d.ID
		}
		if part.Next == "" || out.n >= out.most || len(part.Deliveries) < q.Limit {
			out.answer(w, "deliveries", part.Next) // a search that took too long ends a page early
			return nil, nil
		}
		q.Before = part.Next
	}
}

func (a *api) count(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	n, err := a.Queue.Count(r.Context(), f.queue())
	return Count{n}, err
}

// find looks up IDs by their beginning, or a delivery by its short ID.
func (a *api) find(_ http.ResponseWriter, r *http.Request) (any, error) {
	typed := r.URL.Query().Get("id")
	if len(typed) > 100 {
		return nil, badRequest{errors.New("an id has at most 100 characters")}
	}
	ids, err := a.Queue.Find(r.Context(), strings.ToLower(typed), 10)
	return Found{append([]string{}, ids...)}, err
}

func (a *api) delivery(w http.ResponseWriter, r *http.Request) (any, error) {
	d, err := a.Queue.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	e, err := a.Queue.EventOf(d.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.story(w, e, []queue.Delivery{d})
}

// request is an attempt's request as the configuration in force makes it.
func (a *api) request(_ http.ResponseWriter, r *http.Request) (any, error) {
	n, err := number(r.URL.Query(), "attempt", 1, 1_000_000)
	if err != nil {
		return nil, err
	}
	d, err := a.Queue.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	e, err := a.Queue.EventOf(d.ID)
	if err != nil {
		return nil, err
	}
	text, err := a.Preview(&d, &e, n)
	return RequestView{Attempt: n, Request: text}, err
}

func (a *api) event(w http.ResponseWriter, r *http.Request) (any, error) {
	e, err := a.Queue.Event(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	ds, err := a.Queue.DeliveriesOf(e.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.story(w, e, ds)
}

// story writes a Story piece by piece: its payload may be 7 MiB, and its deliveries hundreds.
func (a *api) story(w http.ResponseWriter, e queue.Event, ds []queue.Delivery) error {
	about, url := subject(e.Body), a.urls()
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

func (a *api) events(w http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := number(r.URL.Query(), "limit", 20, 200)
	if err != nil {
		return nil, err
	}
	events, err := a.Queue.Recent(r.Context(), limit)
	if err != nil {
		return nil, err
	}
	out := page{most: limit}
	for i := range events {
		e := &events[i]
		view := EventView{Event: *e, Subject: a.subjects.get(e.ID, func() (queue.Event, error) { return a.Queue.Event(e.ID) })}
		if ok, err := out.add(view); err != nil || !ok {
			break // only the latest are wanted
		}
	}
	out.answer(w, "events", "")
	return nil, nil
}
