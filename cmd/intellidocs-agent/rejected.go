package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// rejectedCommand is what rejected was asked for.
type rejectedCommand struct {
	*cli
	source, since string
	limit         int
	json, retry   bool
}

func newRejected(c *cli) *cobra.Command {
	r := &rejectedCommand{cli: c}
	cmd := &cobra.Command{
		Use: "rejected", Short: "List records that could not be read, and why", Args: cobra.NoArgs,
		Long: "Lists the records that look like events but could not be read as one. The first 64 KiB of each\n" +
			"are kept; 'show ID' prints them. --retry reads all of them again, which can help after an\n" +
			"upgrade.",
		Example: "  intellidocs-agent rejected --since 24h\n  intellidocs-agent rejected --retry",
		RunE:    func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&r.source, "source", "", "only of this source, by `PATH`")
	cmd.Flags().StringVar(&r.since, "since", "", "only read after `WHEN` (a time, or 24h, 7d)")
	cmd.Flags().IntVar(&r.limit, "limit", 50, "at most this many, 0 for all")
	cmd.Flags().BoolVar(&r.json, "json", false, "one JSON object a line")
	cmd.Flags().BoolVar(&r.retry, "retry", false, "read them again; those that are events now are queued and leave the list")
	return cmd
}

func (r *rejectedCommand) run(ctx context.Context) error {
	since, err := admin.When(r.since, time.Now())
	if err != nil {
		return usagef("--since %w", err)
	}
	if r.limit < 0 {
		return usagef("--limit %d: a number of records, or 0 for all", r.limit)
	}
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if r.retry {
		return r.readAgain(ctx, conn)
	}
	return r.print(ctx, conn, since)
}

func (r *rejectedCommand) print(ctx context.Context, conn *connection, since time.Time) error {
	t := term.NewTable(r.out, "READ", "ID", "REASON", "FILE", "OFFSET", "SIZE", "TEXT")
	shown := 0
	// A program wants all there is of each.
	f := admin.RejectedFilter{Source: r.source, Since: since, Whole: r.json}
	more, err := conn.Rejected(ctx, f, r.limit, func(v *admin.RejectedView) error {
		shown++
		if r.json {
			return term.JSON(r.out, v)
		}
		t.Row(term.Time(v.At), v.ID, v.Reason, v.Path, fmt.Sprint(v.Offset), fmt.Sprint(v.Size), v.Text)
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case r.json:
	case shown == 0:
		fmt.Fprintln(r.out, "No rejected records.")
	default:
		t.Render()
		if more {
			fmt.Fprintf(r.err, "The newest %d; more with --limit, or --limit 0 for all.\n", shown)
		}
		fmt.Fprintln(r.err, "'intellidocs-agent show ID' prints one whole.")
	}
	return nil
}

func (r *rejectedCommand) readAgain(ctx context.Context, conn *connection) error {
	out, err := conn.RetryRejected(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%d of %d rejected records are events now and were queued.\n", out.Queued, out.Tried)
	return nil
}
