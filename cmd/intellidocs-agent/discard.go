package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// discardCommand is what discard was asked for.
type discardCommand struct {
	*cli
	webhook, eventType, search, since, until, source string
	rejected, yes                                    bool
}

func newDiscard(c *cli) *cobra.Command {
	d := &discardCommand{cli: c}
	cmd := &cobra.Command{
		Use: "discard", Short: "Drop waiting deliveries, or rejected records", Args: cobra.NoArgs,
		Long: "Drops the waiting deliveries that the filters select. They are not sent; they are kept as failed\n" +
			"and can be replayed until they expire. --rejected deletes rejected records for good instead.\n" +
			"It says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent discard --webhook old-slack\n  intellidocs-agent discard --rejected --until 7d",
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	fl := cmd.Flags()
	fl.StringVar(&d.webhook, "webhook", "", "only of this webhook, by `NAME`; it need not be in agent.toml")
	fl.StringVar(&d.eventType, "event-type", "", "only of this `TYPE`")
	fl.StringVar(&d.search, "search", "", "only with `TEXT` in an ID, the type, the error or the payload")
	fl.StringVar(&d.since, "since", "", "only created after `WHEN` (a time, or 24h, 7d)")
	fl.StringVar(&d.until, "until", "", "only created before `WHEN`")
	fl.BoolVar(&d.rejected, "rejected", false, "rejected records instead of deliveries")
	fl.StringVar(&d.source, "source", "", "with --rejected: only of this source, by `PATH`")
	fl.BoolVarP(&d.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (d *discardCommand) run(ctx context.Context) error {
	from, err := admin.When(d.since, time.Now())
	if err != nil {
		return usagef("--since %w", err)
	}
	to, err := admin.When(d.until, time.Now())
	if err != nil {
		return usagef("--until %w", err)
	}
	ofDeliveries := d.webhook != "" || d.eventType != "" || d.search != ""
	switch {
	case d.rejected && ofDeliveries:
		return usagef("--rejected goes with --source, --since and --until")
	case !d.rejected && d.source != "":
		return usagef("--source goes with --rejected")
	case !d.rejected && !ofDeliveries && d.since == "" && d.until == "":
		return usagef("select waiting deliveries with --webhook, --event-type, --since, --until or --search, or rejected records with --rejected")
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.rejected {
		return d.records(ctx, conn, admin.DiscardRejectedRequest{Source: d.source, Since: from, Until: to})
	}
	return d.deliveries(ctx, conn, admin.Filter{Webhook: d.webhook, EventType: d.eventType, Search: d.search, Since: from, Until: to})
}

func (d *discardCommand) deliveries(ctx context.Context, conn *connection, f admin.Filter) error {
	n, err := waiting(ctx, conn, f)
	if err != nil {
		return err
	}
	if n == 0 {
		if err := mistyped(ctx, conn, "--webhook", f.Webhook); err != nil {
			return err
		}
		fmt.Fprintln(d.out, "No waiting deliveries match; nothing to discard.")
		return nil
	}
	if ok, err := d.confirm(ctx, d.yes, fmt.Sprintf("Discard %s?", deliveries(n)), "Nothing discarded."); err != nil || !ok {
		return err
	}
	if n, err = conn.Discard(ctx, f); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s discarded; 'intellidocs-agent deliveries --status failed' lists them.\n", deliveries(n))
	return nil
}

func (d *discardCommand) records(ctx context.Context, conn *connection, req admin.DiscardRejectedRequest) error {
	req.DryRun = true
	n, err := conn.DiscardRejected(ctx, req)
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(d.out, "No rejected records match; nothing to discard.")
		return nil
	}
	records := func(n int) string { return term.Count(n, "rejected record", "rejected records") }
	if ok, err := d.confirm(ctx, d.yes, fmt.Sprintf("Delete %s for good?", records(n)), "Nothing discarded."); err != nil || !ok {
		return err
	}
	req.DryRun = false
	if n, err = conn.DiscardRejected(ctx, req); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s deleted.\n", records(n))
	return nil
}

// waiting counts the deliveries that a filter selects and that wait to be sent.
func waiting(ctx context.Context, conn *connection, f admin.Filter) (int, error) {
	f.Status = []string{string(queue.Pending), string(queue.Retrying)}
	return conn.Count(ctx, f)
}
