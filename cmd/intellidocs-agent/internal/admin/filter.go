package admin

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// parseFilter reads a filter from a query; an unknown parameter is an error, since a
// misspelt filter would select everything.
func parseFilter(q url.Values) (Filter, error) {
	var f Filter
	var err error
	for key := range q {
		v := q.Get(key)
		switch key {
		case "status":
			for _, s := range q[key] {
				f.Status = append(f.Status, strings.Split(s, ",")...)
			}
		case "webhook":
			f.Webhook = v
		case "event_type":
			f.EventType = v
		case "q":
			f.Search = v
		case "before":
			f.Before = v
		case "since":
			f.Since, err = When(v, time.Now())
		case "until":
			f.Until, err = When(v, time.Now())
		case "subjects":
			f.Subjects = v == "true"
		case "limit":
			f.Limit, err = number(q, key, 50, 1000)
		default:
			err = fmt.Errorf("there is no filter %q; there are status, webhook, event_type, q, since, until, before, limit, subjects", key)
		}
		if err != nil {
			return f, badRequest{fmt.Errorf("filter %s: %w", key, err)}
		}
	}
	return f, f.check()
}

func (f *Filter) check() error {
	for _, s := range f.Status {
		switch queue.Status(s) {
		case queue.Pending, queue.Retrying, queue.Success, queue.Failed:
		default:
			return badRequest{fmt.Errorf("%q is no status; there are pending, retrying, success, failed", s)}
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
	for key := range q {
		v := q.Get(key)
		switch key {
		case "source":
			f.Source = v
		case "before":
			f.Before = v
		case "since":
			f.Since, err = When(v, time.Now())
		case "text":
			f.Whole = v == "whole"
		case "limit":
			f.Limit, err = number(q, key, 50, 500)
		default:
			err = fmt.Errorf("there is no filter %q; there are source, since, before, limit, text", key)
		}
		if err != nil {
			return f, badRequest{fmt.Errorf("filter %s: %w", key, err)}
		}
	}
	return f, nil
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
	span, unit := s, time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		span, unit = days+"h", 24
	}
	d, err := time.ParseDuration(span)
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
