package admin

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// param is one that a query may have, and what takes its values in.
type param struct {
	key string
	set func(values []string) error
}

// textParam takes a parameter's value as it is.
func textParam(key string, into *string) param {
	return param{key, func(v []string) error { *into = v[0]; return nil }}
}

// timeParam takes a parameter's value as a time, or how long ago it was.
func timeParam(key string, into *time.Time) param {
	return param{key, func(v []string) (err error) { *into, err = When(v[0], time.Now()); return err }}
}

// flagParam reports whether a parameter has the value that turns something on.
func flagParam(key, on string, into *bool) param {
	return param{key, func(v []string) error { *into = v[0] == on; return nil }}
}

// limitParam takes how many are wanted, by default 50.
func limitParam(q url.Values, most int, into *int) param {
	return param{"limit", func([]string) (err error) { *into, err = number(q, "limit", 50, most); return err }}
}

// parseQuery reads a filter from a query; an unknown parameter is an error, since a
// misspelt filter would select everything.
func parseQuery(q url.Values, params ...param) error {
	for key, values := range q {
		i := slices.IndexFunc(params, func(p param) bool { return p.key == key })
		if i < 0 {
			var keys []string
			for _, p := range params {
				keys = append(keys, p.key)
			}
			return badRequest{fmt.Errorf("there is no filter %q; there are %s", key, strings.Join(keys, ", "))}
		}
		if err := params[i].set(values); err != nil {
			return badRequest{fmt.Errorf("filter %s: %w", key, err)}
		}
	}
	return nil
}

func parseFilter(q url.Values) (f Filter, err error) {
	status := param{"status", func(values []string) error {
		for _, s := range values {
			f.Status = append(f.Status, strings.Split(s, ",")...)
		}
		return nil
	}}
	err = parseQuery(q, status, textParam("webhook", &f.Webhook), textParam("event_type", &f.EventType), textParam("q", &f.Search),
		timeParam("since", &f.Since), timeParam("until", &f.Until), textParam("before", &f.Before), limitParam(q, 1000, &f.Limit),
		flagParam("subjects", "true", &f.Subjects))
	if err != nil {
		return f, err
	}
	return f, f.check()
}

func (f *Filter) check() error {
	for _, s := range f.Status {
		switch queue.Status(s) {
		case queue.Pending, queue.Retrying, queue.Success, queue.Failed:
		default:
			return badRequest{fmt.Errorf("%q is not a status; use pending, retrying, success or failed", s)}
		}
	}
	return nil
}

func (f *Filter) queue() queue.Filter {
	out := queue.Filter{
		Webhook: f.Webhook, EventType: f.EventType, Since: f.Since, Until: f.Until,
		Search: f.Search, Before: f.Before, Limit: f.Limit,
	}
	if out.Limit == 0 {
		out.Limit = 50
	}
	for _, s := range f.Status {
		out.Status = append(out.Status, queue.Status(s))
	}
	return out
}

// Query is the filter as the API takes it.
func (f *Filter) Query() url.Values {
	q := url.Values{}
	set(q, "status", strings.Join(f.Status, ","))
	set(q, "webhook", f.Webhook)
	set(q, "event_type", f.EventType)
	set(q, "q", f.Search)
	set(q, "before", f.Before)
	setTime(q, "since", f.Since)
	setTime(q, "until", f.Until)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Subjects {
		q.Set("subjects", "true")
	}
	return q
}

func parseRejectedFilter(q url.Values) (f RejectedFilter, err error) {
	f.Limit = 50
	err = parseQuery(q, textParam("source", &f.Source), timeParam("since", &f.Since), textParam("before", &f.Before),
		limitParam(q, 500, &f.Limit), flagParam("text", "whole", &f.Whole))
	return f, err
}

// Query is the filter as the API takes it.
func (f *RejectedFilter) Query() url.Values {
	q := url.Values{}
	set(q, "source", f.Source)
	set(q, "before", f.Before)
	setTime(q, "since", f.Since)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Whole {
		q.Set("text", "whole")
	}
	return q
}

func set(q url.Values, key, v string) {
	if v != "" {
		q.Set(key, v)
	}
}

func setTime(q url.Values, key string, t time.Time) {
	if !t.IsZero() {
		q.Set(key, t.Format(time.RFC3339Nano))
	}
}

// When reads a time, a day, or how long ago it was; "" is the zero time. Without a zone
// it is the local one.
func When(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	length, unit := s, time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		length, unit = days+"h", 24
	}
	d, err := time.ParseDuration(length)
	if err != nil || d < 0 || d > math.MaxInt64/unit {
		return time.Time{}, fmt.Errorf("%q is neither a time (2026-01-31T15:04:05Z, 2026-01-31) nor how long ago (24h, 7d)", s)
	}
	return now.Add(-d * unit), nil
}

func number(q url.Values, key string, def, most int) (int, error) {
	v := q.Get(key)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, badRequest{fmt.Errorf("%s must be a number from 1 to %d, not %q", key, most, v)}
	}
	return n, nil
}
