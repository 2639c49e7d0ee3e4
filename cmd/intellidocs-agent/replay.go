package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// replayCommand is what replay was asked for.
type replayCommand struct {
	*cli
	filters filterFlags
	yes     bool
}

func newReplay(c *cli) *cobra.Command {
	r := &replayCommand{cli: c}
	cmd := &cobra.Command{
		Use: "replay [ID…]", Short: "Queue deliveries again",
		Long: "Queues deliveries again with the same webhook-id, so that a receiver recognises a repeat.\n" +
			"Name deliveries by ID, or an event for all of its deliveries, or select them with filters.\n" +
			"With filters it says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent replay dlv_0011223300000000000000a100000001\n" +
			"  intellidocs-agent replay --status failed --webhook slack-ai --since 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == r.filters.empty() {
				return usagef("name deliveries by ID, or select them with --status, --webhook, --event-type, --since, --until or --search")
			}
			for _, id := range args {
				if !looksLikeID(id, "dlv", "evt") {
					return usagef("%q is not an ID: a delivery's begins with dlv_, an event's with evt_", id)
				}
			}
			return r.run(cmd.Context(), args)
		},
	}
	r.filters.add(cmd)
	cmd.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (r *replayCommand) run(ctx context.Context, ids []string) error {
	filter, err := r.filters.filter(time.Now())
	if err != nil {
		return err
	}
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i, typed := range ids {
		if ids[i], _, err = conn.find(ctx, typed, "dlv", "evt"); err != nil {
			return err
		}
	}
	req := admin.ReplayRequest{IDs: ids, By: "cli"}
	if len(ids) == 0 {
		req.Filter = &filter
		if ok, err := r.confirmed(ctx, conn, filter); err != nil || !ok {
			return err
		}
	}
	bar := term.Bar(r.err, 1, "replaying", false)
	n, err := conn.Replay(ctx, req, func(p admin.Progress) {
		bar.ChangeMax(p.Total)
		_ = bar.Set(p.Done)
	})
	_ = bar.Finish()
	if err != nil {
		return lookedFor(err)
	}
	fmt.Fprintf(r.out, "%s queued again.%s\n", deliveries(n), conn.hint(n))
	var names []string
	if r.filters.webhook != "" {
		names = []string{r.filters.webhook}
	}
	fmt.Fprint(r.err, unsent(ctx, conn, names))
	return nil
}

// confirmed says how many deliveries the filter selects and asks.
func (r *replayCommand) confirmed(ctx context.Context, conn *connection, f admin.Filter) (bool, error) {
	n, err := conn.Count(ctx, f)
	if err == nil && n == 0 {
		err = r.filters.check(ctx, conn)
	}
	if err != nil {
		return false, err
	}
	if n == 0 {
		fmt.Fprintln(r.out, "No deliveries match; nothing to replay.")
		return false, nil
	}
	return r.confirm(ctx, r.yes, fmt.Sprintf("Queue %s again?", deliveries(n)), "Nothing replayed.")
}

// unsent says of the webhooks that nothing goes to now why, after deliveries were queued again.
func unsent(ctx context.Context, conn *connection, names []string) string {
	status, err := conn.Status(ctx)
	if err != nil || !conn.running {
		return ""
	}
	var out strings.Builder
	for _, w := range status.Webhooks {
		if len(names) > 0 && !slices.Contains(names, w.Name) || w.Counts.Waiting() == 0 {
			continue
		}
		why := ""
		switch {
		case w.Removed:
			why = fmt.Sprintf("it is not in the configuration; move its deliveries to another with 'intellidocs-agent move %s NEW', or drop them with 'intellidocs-agent discard --webhook %s'", w.Name, w.Name)
		case w.State.State == "paused":
			why = fmt.Sprintf("it is paused (%s); 'intellidocs-agent resume %s' resumes it", w.State.Reason, w.Name)
		case w.State.State == "held":
			why = fmt.Sprintf("it is held (%s); they are sent once it answers", w.State.Reason)
		case w.State.State == "disabled":
			why = "it is disabled in the configuration"
		default:
			continue
		}
		fmt.Fprintf(&out, "Nothing is sent to %s now: %s.\n", w.Name, term.Printable(why))
	}
	return out.String()
}

// deliveries counts them in words.
func deliveries(n int) string { return term.Count(n, "delivery", "deliveries") }
