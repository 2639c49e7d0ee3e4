package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// filterFlags are the flags that select deliveries.
type filterFlags struct {
	status              []string
	webhook, eventType  string
	since, until, query string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.status, "status", nil, "only `STATUS`: pending, retrying, success or failed (several, by commas)")
	fl.StringVar(&f.webhook, "webhook", "", "only to this webhook, by `NAME`")
	fl.StringVar(&f.eventType, "event-type", "", "only events of this `TYPE`")
	fl.StringVar(&f.since, "since", "", "only created after: `WHEN` is a time (2026-01-31T15:04:05Z, 2026-01-31) or how long ago (24h, 7d)")
	fl.StringVar(&f.until, "until", "", "only created before `WHEN`")
	fl.StringVar(&f.query, "search", "", "only those with `TEXT` in ids, error or payload")
}

func (f *filterFlags) empty() bool {
	return len(f.status) == 0 && f.webhook == "" && f.eventType == "" && f.since == "" && f.until == "" && f.query == ""
}

func (f *filterFlags) filter(now time.Time) (admin.Filter, error) {
	out := admin.Filter{Status: f.status, Webhook: f.webhook, EventType: f.eventType, Search: f.query}
	for _, s := range f.status {
		switch s {
		case "pending", "retrying", "success", "failed":
		default:
			return out, usagef("--status %q: there are pending, retrying, success and failed", s)
		}
	}
	var err error
	if out.Since, err = admin.When(f.since, now); err != nil {
		return out, usagef("--since %w", err)
	}
	if out.Until, err = admin.When(f.until, now); err != nil {
		return out, usagef("--until %w", err)
	}
	return out, nil
}

func (c *cli) deliveriesCommand() *cobra.Command {
	var f filterFlags
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "deliveries", Short: "List deliveries, newest first", Args: cobra.NoArgs, SuggestFor: []string{"delivery", "list"},
		Example: "  intellidocs-agent deliveries --status failed --since 24h\n" +
			"  intellidocs-agent deliveries --webhook slack-ai --json | jq .error_message",
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d: a number of deliveries, or 0 for all", limit)
			}
			desk, err := c.desk(cmd.Context())
			if err != nil {
				return err
			}
			defer desk.Close()
			return c.listDeliveries(cmd, desk, filter, limit, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func (c *cli) listDeliveries(cmd *cobra.Command, desk *desk, f admin.Filter, limit int, asJSON bool) error {
	// A narrow terminal shows the first columns only.
	t := term.NewTable(c.out, "CREATED", "ID", "STATUS", "WEBHOOK", "EVENT", "TRIES", "NEXT / DONE", "RESPONSE")
	var waits map[string]string
	if !asJSON {
		var err error
		if waits, err = whatWaits(cmd.Context(), desk); err != nil {
			return err
		}
	}
	shown := 0
	for {
		f.Limit = 1000
		if limit > 0 {
			f.Limit = min(limit-shown, 1000)
		}
		var page admin.Page
		if err := desk.Get(cmd.Context(), "deliveries", f.Query(), &page); err != nil {
			return err
		}
		for i := range page.Deliveries {
			if d := &page.Deliveries[i]; asJSON {
				if err := printJSON(c.out, d); err != nil {
					return err
				}
			} else {
				t.Row(term.Time(d.CreatedAt), d.ID, t.Status(string(d.Status)), d.Webhook, d.EventType, fmt.Sprint(d.Attempts), dueOrDone(d, waits[d.Webhook]), response(d))
			}
		}
		shown += len(page.Deliveries)
		if page.Next == "" || limit > 0 && shown >= limit {
			break
		}
		f.Before = page.Next
	}
	switch {
	case asJSON:
		return nil
	case shown == 0:
		fmt.Fprintln(c.out, "No deliveries match. 'intellidocs-agent deliveries' without filters lists all of them.")
		return nil
	}
	t.Render()
	if limit > 0 && shown == limit {
		fmt.Fprintf(c.err, "The newest %d; more with --limit, or --limit 0 for all.\n", limit)
	}
	return nil
}

// whatWaits says of the webhooks whose deliveries do not go out when they are due, why.
func whatWaits(ctx context.Context, desk *desk) (map[string]string, error) {
	var st admin.Status
	if err := desk.Get(ctx, "status", nil, &st); err != nil {
		return nil, err
	}
	waits := map[string]string{}
	for _, w := range st.Webhooks {
		switch state := w.State.State; state {
		case dispatch.Healthy, dispatch.Retrying:
		case dispatch.Held, dispatch.Paused:
			waits[w.Name] = string(state)
		default: // disabled or removed
			waits[w.Name] = "parked"
		}
	}
	return waits, nil
}

func dueOrDone(d *admin.Row, waits string) string {
	switch {
	case d.CompletedAt != nil:
		return term.Time(*d.CompletedAt)
	case waits != "":
		return waits
	case d.NextAttemptAt != nil:
		return "due " + term.Until(*d.NextAttemptAt)
	}
	return ""
}

func response(d *admin.Row) string {
	switch {
	case d.ErrorMessage != "":
		return d.ErrorMessage
	case d.ResponseStatusCode != nil:
		return fmt.Sprint(*d.ResponseStatusCode)
	}
	return ""
}

func (c *cli) showCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one event, delivery or rejected record whole", Args: cobra.ExactArgs(1),
		Long: "Shows the whole story of an event or a delivery: where it was read, its payload, every\n" +
			"attempt with its time, status, latency, response and error, replays, and when it is due next.",
		Example: "  intellidocs-agent show dlv_0011223300000000000000a100000001\n  intellidocs-agent show evt_5d0c… --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := args[0]
			kind, _, _ := strings.Cut(id, "_")
			path := map[string]string{"evt": "events/", "dlv": "deliveries/", "rej": "rejected/"}[kind]
			if path == "" {
				return usagef("%q is no ID: an event's begins with evt_, a delivery's with dlv_, a rejected record's with rej_", id)
			}
			desk, err := c.desk(cmd.Context())
			if err != nil {
				return err
			}
			defer desk.Close()
			var raw json.RawMessage
			if err := desk.Get(cmd.Context(), path+url.PathEscape(id), nil, &raw); err != nil {
				return lookedFor(err)
			}
			if asJSON {
				_, err := fmt.Fprintf(c.out, "%s\n", term.PrintableJSON(raw))
				return err
			}
			if kind == "rej" {
				return c.showRejected(raw)
			}
			return c.showStory(raw)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// lookedFor says where to look where there is nothing under an id.
func lookedFor(err error) error {
	if errors.Is(err, admin.ErrNotFound) {
		return fmt.Errorf("%w; 'intellidocs-agent deliveries' and 'rejected' list what there is, and [state] retention says for how long", err)
	}
	return err
}

func (c *cli) rejectedCommand() *cobra.Command {
	var source, since string
	var limit int
	var asJSON, retry bool
	cmd := &cobra.Command{
		Use: "rejected", Short: "List records that could not be read, and why", Args: cobra.NoArgs,
		Long: "Lists the records that were meant as events and could not be read as one. They are kept\n" +
			"with their first 64 KiB; 'show ID' prints one. --retry reads all of them again, which\n" +
			"helps after an upgrade that understands more.",
		Example: "  intellidocs-agent rejected --since 24h\n  intellidocs-agent rejected --retry",
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := admin.When(since, time.Now())
			if err != nil {
				return usagef("--since %w", err)
			}
			if limit < 0 {
				return usagef("--limit %d: a number of records, or 0 for all", limit)
			}
			desk, err := c.desk(cmd.Context())
			if err != nil {
				return err
			}
			defer desk.Close()
			if retry {
				return c.retryRejected(cmd, desk)
			}
			return c.listRejected(cmd, desk, source, from, limit, asJSON)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only of this source, by `PATH`")
	cmd.Flags().StringVar(&since, "since", "", "only read after `WHEN` (a time, or 24h, 7d)")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().BoolVar(&retry, "retry", false, "read them again; those that are events now are queued and leave the list")
	return cmd
}

func (c *cli) listRejected(cmd *cobra.Command, desk *desk, source string, since time.Time, limit int, asJSON bool) error {
	t := term.NewTable(c.out, "READ", "ID", "REASON", "FILE", "OFFSET", "SIZE", "TEXT")
	q := url.Values{}
	if source != "" {
		q.Set("source", source)
	}
	if !since.IsZero() {
		q.Set("since", since.Format(time.RFC3339Nano))
	}
	most := 500
	if asJSON { // a program wants all there is
		q.Set("text", "whole")
		most = 50
	}
	shown, more := 0, false
	for {
		n := most
		if limit > 0 {
			n = min(limit-shown, n)
		}
		q.Set("limit", fmt.Sprint(n))
		var page admin.RejectedPage
		if err := desk.Get(cmd.Context(), "rejected", q, &page); err != nil {
			return err
		}
		for i := range page.Rejected {
			if r := &page.Rejected[i]; asJSON {
				if err := printJSON(c.out, r); err != nil {
					return err
				}
			} else {
				t.Row(term.Time(r.At), r.ID, r.Reason, r.Path, fmt.Sprint(r.Offset), fmt.Sprint(r.Size), r.Text)
			}
		}
		shown += len(page.Rejected)
		more = page.Next != ""
		if !more || limit > 0 && shown >= limit {
			break
		}
		q.Set("before", page.Next)
	}
	switch {
	case asJSON:
	case shown == 0:
		fmt.Fprintln(c.out, "No rejected records.")
	default:
		t.Render()
		if more {
			fmt.Fprintf(c.err, "The newest %d; more with --limit, or --limit 0 for all.\n", shown)
		}
		fmt.Fprintln(c.err, "'intellidocs-agent show ID' prints one whole.")
	}
	return nil
}

func (c *cli) retryRejected(cmd *cobra.Command, desk *desk) error {
	var out struct{ Tried, Queued int }
	if err := desk.Post(cmd.Context(), "rejected/retry", map[string]any{}, &out); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d of %d rejected records are events now and were queued.\n", out.Queued, out.Tried)
	return nil
}
