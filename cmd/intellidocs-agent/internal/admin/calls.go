package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
)

// Alive reports whether the agent answers.
func (c *Client) Alive(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodGet, "/healthz", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Status returns the agent's state at a glance.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "status", nil)
}

// Deliveries calls each with the deliveries that f selects, newest first, at most limit of
// them (0: all), and reports whether there are more.
func (c *Client) Deliveries(ctx context.Context, f Filter, limit int, each func(*Row) error) (more bool, err error) {
	return walk(limit, 1000, func(before string, n int) ([]Row, string, error) {
		f.Before, f.Limit = before, n
		page, err := get[Page](ctx, c, "deliveries", f.Query())
		return page.Deliveries, page.Next, err
	}, each)
}

// Count returns how many deliveries f selects.
func (c *Client) Count(ctx context.Context, f Filter) (int, error) {
	n, err := get[Count](ctx, c, "count", f.Query())
	return n.Count, err
}

// Find returns the IDs that begin with what somebody typed, or the deliveries of a short
// ID, at most ten.
func (c *Client) Find(ctx context.Context, typed string) ([]string, error) {
	found, err := get[Found](ctx, c, "find", url.Values{"id": {typed}})
	return found.IDs, err
}

// Delivery returns a delivery with its event.
func (c *Client) Delivery(ctx context.Context, id string) (EventDetail, error) {
	return get[EventDetail](ctx, c, "deliveries/"+url.PathEscape(id), nil)
}

// Event returns an event with its deliveries.
func (c *Client) Event(ctx context.Context, id string) (EventDetail, error) {
	return get[EventDetail](ctx, c, "events/"+url.PathEscape(id), nil)
}

// Rejected calls each with the rejected records that f selects, newest first, at most
// limit of them (0: all), and reports whether there are more.
func (c *Client) Rejected(ctx context.Context, f RejectedFilter, limit int, each func(*RejectedView) error) (more bool, err error) {
	most := 500
	if f.Whole {
		most = 50
	}
	return walk(limit, most, func(before string, n int) ([]RejectedView, string, error) {
		f.Before, f.Limit = before, n
		page, err := get[RejectedPage](ctx, c, "rejected", f.Query())
		return page.Rejected, page.Next, err
	}, each)
}

// RejectedRecord returns a rejected record whole.
func (c *Client) RejectedRecord(ctx context.Context, id string) (RejectedView, error) {
	return get[RejectedView](ctx, c, "rejected/"+url.PathEscape(id), nil)
}

// RetryRejected reads rejected records again: these, or all where none is named.
func (c *Client) RetryRejected(ctx context.Context, ids ...string) (Retried, error) {
	return post[Retried](ctx, c, "rejected/retry", RetryRequest{ids})
}

// Pause holds a webhook's deliveries until it is resumed.
func (c *Client) Pause(ctx context.Context, webhook, reason string) (WebhookStatus, error) {
	return post[WebhookStatus](ctx, c, "webhooks/"+url.PathEscape(webhook)+"/pause", PauseRequest{reason})
}

// Resume lets a held or paused webhook's deliveries go.
func (c *Client) Resume(ctx context.Context, webhook string) (WebhookStatus, error) {
	return post[WebhookStatus](ctx, c, "webhooks/"+url.PathEscape(webhook)+"/resume", struct{}{})
}

// Test sends a sample event to a webhook now.
func (c *Client) Test(ctx context.Context, webhook string, req TestRequest) (TestResult, error) {
	return post[TestResult](ctx, c, "webhooks/"+url.PathEscape(webhook)+"/test", req)
}

// Ingest sends an old log's bytes.
func (c *Client) Ingest(ctx context.Context, name string, r io.Reader, dry bool) (ingest.Totals, error) {
	q := url.Values{"name": {name}}
	if dry {
		q.Set("dry_run", "true")
	}
	return call[ingest.Totals](ctx, c, http.MethodPost, "ingest?"+q.Encode(), r)
}

// Move hands a webhook's waiting deliveries to another.
func (c *Client) Move(ctx context.Context, from, to string) (int, error) {
	out, err := post[Changed](ctx, c, "move", MoveRequest{from, to})
	return out.Changed, err
}

// Discard gives up waiting deliveries.
func (c *Client) Discard(ctx context.Context, f Filter) (int, error) {
	out, err := post[Changed](ctx, c, "discard", DiscardRequest{Filter: f, By: "cli"})
	return out.Changed, err
}

// DiscardRejected forgets rejected records, or only counts them.
func (c *Client) DiscardRejected(ctx context.Context, req DiscardRejectedRequest) (int, error) {
	out, err := post[Changed](ctx, c, "rejected/discard", req)
	return out.Changed, err
}

// Agents returns the agents that share the queue, by name; none where it has one alone.
func (c *Client) Agents(ctx context.Context) ([]AgentView, error) {
	page, err := get[AgentPage](ctx, c, "agents", nil)
	return page.Agents, err
}

// ForgetAgent has an agent that is gone for good no longer be shown.
func (c *Client) ForgetAgent(ctx context.Context, name string) error {
	_, err := post[Changed](ctx, c, "agents/forget", ForgetRequest{name})
	return err
}

// Replay queues deliveries again, reporting how far it is.
func (c *Client) Replay(ctx context.Context, req ReplayRequest, progress func(Progress)) (int, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	resp, err := c.do(ctx, http.MethodPost, "/api/v1/replay", bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	last := Progress{}
	for {
		var p Progress
		err := lines.Decode(&p)
		switch {
		case ctx.Err() != nil:
			return last.Done, fmt.Errorf("interrupted; at least %d of %d deliveries were queued again and stay queued", last.Done, last.Total)
		case err != nil:
			return last.Done, fmt.Errorf("the agent went away during the replay; run it again (what was queued again stays queued): %w", err)
		}
		last = p
		progress(p)
		switch {
		case p.Error != "":
			return p.Done, errors.New(p.Error)
		case p.Final:
			return p.Done, nil
		}
	}
}

// walk calls each with a list's items, of at most `most` at a time and limit in all (0: no
// limit), and reports whether there are more.
func walk[T any](limit, most int, part func(before string, n int) (items []T, next string, err error), each func(*T) error) (more bool, err error) {
	before := ""
	for seen := 0; ; {
		n := most
		if limit > 0 {
			n = min(limit-seen, most)
		}
		items, next, err := part(before, n)
		if err != nil {
			return false, err
		}
		for i := range items {
			if err := each(&items[i]); err != nil {
				return false, err
			}
		}
		if seen += len(items); next == "" || limit > 0 && seen >= limit {
			return next != "", nil
		}
		before = next
	}
}
