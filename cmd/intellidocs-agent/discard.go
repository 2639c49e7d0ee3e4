package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

func (c *cli) discardCommand() *cobra.Command {
	var webhook, eventType, search, since, until, source string
	var rejected, yes bool
	cmd := &cobra.Command{
		Use: "discard", Short: "Drop waiting deliveries, or rejected records", Args: cobra.NoArgs,
		Long: "Drops the waiting deliveries that the filters select: they are not sent, and stay as failed\n" +
			"ones, which can be replayed, until they expire. With --rejected it forgets rejected records\n" +
			"for good. It says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent discard --webhook old-slack\n  intellidocs-agent discard --rejected --until 7d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := admin.When(since, time.Now())
			if err != nil {
				return usagef("--since %w", err)
			}
			to, err := admin.When(until, time.Now())
			if err != nil {
				return usagef("--until %w", err)
			}
			deliveryFlags := webhook != "" || eventType != "" || search != ""
			switch {
			case rejected && deliveryFlags:
				return usagef("--rejected goes with --source, --since and --until")
			case !rejected && source != "":
				return usagef("--source goes with --rejected")
			case !rejected && !deliveryFlags && since == "" && until == "":
				return usagef("select waiting deliveries with --webhook, --event-type, --since, --until or --search, or rejected records with --rejected")
			}
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if rejected {
				return c.discardRejected(cmd.Context(), conn, admin.DiscardRejectedRequest{Source: source, Since: from, Until: to}, yes)
			}
			f := admin.Filter{Webhook: webhook, EventType: eventType, Search: search, Since: from, Until: to}
			return c.discardDeliveries(cmd.Context(), conn, f, yes)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&webhook, "webhook", "", "only of this webhook, by `NAME`; it may be gone from agent.toml")
	fl.StringVar(&eventType, "event-type", "", "only of this `TYPE`")
	fl.StringVar(&search, "search", "", "only with this `TEXT` in an id, the type, the error or the payload")
	fl.StringVar(&since, "since", "", "only created after `WHEN` (a time, or 24h, 7d)")
	fl.StringVar(&until, "until", "", "only created before `WHEN`")
	fl.BoolVar(&rejected, "rejected", false, "rejected records instead of deliveries")
	fl.StringVar(&source, "source", "", "with --rejected: only of this source, by `PATH`")
	fl.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *cli) discardDeliveries(ctx context.Context, conn *connection, f admin.Filter, yes bool) error {
	counted := f
	counted.Status = []string{"pending", "retrying"}
	n, err := conn.Count(ctx, counted)
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(c.out, "No waiting deliveries match; nothing to discard.")
		return nil
	}
	if ok, err := c.confirm(ctx, yes, fmt.Sprintf("Discard %s?", deliveries(n)), "Nothing discarded."); err != nil || !ok {
		return err
	}
	if n, err = conn.Discard(ctx, f); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s discarded; 'intellidocs-agent deliveries --status failed' lists them.\n", deliveries(n))
	return nil
}

func (c *cli) discardRejected(ctx context.Context, conn *connection, req admin.DiscardRejectedRequest, yes bool) error {
	req.DryRun = true
	n, err := conn.DiscardRejected(ctx, req)
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(c.out, "No rejected records match; nothing to discard.")
		return nil
	}
	records := func(n int) string { return term.Count(n, "rejected record", "rejected records") }
	if ok, err := c.confirm(ctx, yes, fmt.Sprintf("Forget %s for good?", records(n)), "Nothing discarded."); err != nil || !ok {
		return err
	}
	req.DryRun = false
	if n, err = conn.DiscardRejected(ctx, req); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s forgotten.\n", records(n))
	return nil
}

// waiting counts the deliveries that wait for a webhook.
func waiting(ctx context.Context, conn *connection, webhook string) (int, error) {
	return conn.Count(ctx, admin.Filter{Webhook: webhook, Status: []string{"pending", "retrying"}})
}
