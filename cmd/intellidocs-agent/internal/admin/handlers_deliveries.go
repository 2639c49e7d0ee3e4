package admin

import (
	"net/http"

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

func (a *api) deliveries(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	page, err := a.Queue.List(r.Context(), f.queue())
	if err != nil {
		return nil, err
	}
	out, url := Page{Deliveries: make([]Row, 0, len(page.Deliveries)), Next: page.Next}, a.urls()
	for i := range page.Deliveries {
		d, about := &page.Deliveries[i], ""
		if f.Subjects {
			about = a.subjects.get(d.EventID, func() (queue.Event, error) { return a.Queue.EventOf(d.ID) })
		}
		out.Deliveries = append(out.Deliveries, row(d, about, url))
	}
	return out, nil
}

func (a *api) count(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	n, err := a.Queue.Count(r.Context(), f.queue())
	return Count{n}, err
}

func (a *api) delivery(_ http.ResponseWriter, r *http.Request) (any, error) {
	d, err := a.Queue.Get(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	e, err := a.Queue.EventOf(d.ID)
	if err != nil {
		return nil, err
	}
	return a.story(e, []queue.Delivery{d}), nil
}

func (a *api) event(_ http.ResponseWriter, r *http.Request) (any, error) {
	e, err := a.Queue.Event(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	ds, err := a.Queue.DeliveriesOf(e.ID)
	if err != nil {
		return nil, err
	}
	return a.story(e, ds), nil
}

func (a *api) story(e queue.Event, ds []queue.Delivery) Story {
	s, url := Story{Event: EventView{Event: e, Subject: subject(e.Body), Payload: e.Body}, Deliveries: []Detail{}}, a.urls()
	for i := range ds {
		d := &ds[i]
		s.Deliveries = append(s.Deliveries, Detail{
			Row: row(d, s.Event.Subject, url), Spent: d.Spent,
			History: append([]queue.Attempt{}, d.History...), Replays: append([]queue.Replay{}, d.Replays...),
		})
	}
	return s
}

func (a *api) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := number(r.URL.Query(), "limit", 20, 200)
	if err != nil {
		return nil, err
	}
	events, err := a.Queue.Recent(r.Context(), limit)
	page := EventPage{Events: make([]EventView, 0, len(events))}
	for _, e := range events {
		page.Events = append(page.Events, EventView{Event: e, Subject: a.subjects.get(e.ID, func() (queue.Event, error) { return a.Queue.Event(e.ID) })})
	}
	return page, err
}
