package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

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
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if retry {
				return c.retryRejected(cmd, conn)
			}
			return c.listRejected(cmd, conn, source, from, limit, asJSON)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only of this source, by `PATH`")
	cmd.Flags().StringVar(&since, "since", "", "only read after `WHEN` (a time, or 24h, 7d)")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().BoolVar(&retry, "retry", false, "read them again; those that are events now are queued and leave the list")
	return cmd
}

func (c *cli) listRejected(cmd *cobra.Command, conn *connection, source string, since time.Time, limit int, asJSON bool) error {
	t := term.NewTable(c.out, "READ", "ID", "REASON", "FILE", "OFFSET", "SIZE", "TEXT")
	shown := 0
	// A program wants all there is of each.
	f := admin.RejectedFilter{Source: source, Since: since, Whole: asJSON}
	more, err := conn.Rejected(cmd.Context(), f, limit, func(r *admin.RejectedView) error {
		shown++
		if asJSON {
			return term.JSON(c.out, r)
		}
		t.Row(term.Time(r.At), r.ID, r.Reason, r.Path, fmt.Sprint(r.Offset), fmt.Sprint(r.Size), r.Text)
		return nil
	})
	if err != nil {
		return err
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

func (c *cli) retryRejected(cmd *cobra.Command, conn *connection) error {
	out, err := conn.RetryRejected(cmd.Context())
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d of %d rejected records are events now and were queued.\n", out.Queued, out.Tried)
	return nil
}

func (c *cli) showRejected(r admin.RejectedView) {
	p := printer{w: c.out, colors: term.Colors(c.out)}
	p.title("Rejected record " + r.ID)
	p.field("reason", r.Reason)
	p.field("read", fmt.Sprintf("%s from %s, offset %d, %d bytes", term.Time(r.At), r.Path, r.Offset, r.Size))
	p.field("source", r.Source)
	p.field("text", "")
	for line := range strings.SplitSeq(r.Text, "\n") {
		fmt.Fprintln(c.out, "  "+term.Printable(line))
	}
}
