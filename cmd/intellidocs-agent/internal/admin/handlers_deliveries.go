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
		out.Deliveries = append(out.Deliveries, row(&page.Deliveries[i], url))
	}
	return out, nil
}

func (a *api) count(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	n, err := a.Queue.Count(r.Context(), f.queue())
	return map[string]int{"count": n}, err
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
	s, url := Story{Event: EventView{Event: e, Payload: e.Body}, Deliveries: []Detail{}}, a.urls()
	for i := range ds {
		d := &ds[i]
		s.Deliveries = append(s.Deliveries, Detail{
			Row: row(d, url), Spent: d.Spent,
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
	if events == nil {
		events = []queue.Event{}
	}
	return map[string]any{"events": events}, err
}
