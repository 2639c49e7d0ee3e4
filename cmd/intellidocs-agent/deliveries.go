package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

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
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return c.listDeliveries(cmd, conn, &f, filter, limit, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func (c *cli) listDeliveries(cmd *cobra.Command, conn *connection, flags *filterFlags, f admin.Filter, limit int, asJSON bool) error {
	// A narrow terminal shows the first columns only.
	t := term.NewTable(c.out, "CREATED", "ID", "STATUS", "WEBHOOK", "EVENT", "TRIES", "NEXT / DONE", "RESPONSE")
	var waits map[string]string
	if !asJSON {
		var err error
		if waits, err = whatWaits(cmd.Context(), conn); err != nil {
			return err
		}
	}
	shown := 0
	more, err := conn.Deliveries(cmd.Context(), f, limit, func(d *admin.Row) error {
		shown++
		if asJSON {
			return term.JSON(c.out, d)
		}
		t.Row(term.Time(d.CreatedAt), d.ID, t.Status(string(d.Status)), d.Webhook, d.EventType, fmt.Sprint(d.Attempts), dueOrDone(d, waits[d.Webhook]), response(d))
		return nil
	})
	if err == nil && shown == 0 {
		err = flags.check(cmd.Context(), conn)
	}
	switch {
	case err != nil || asJSON:
		return err
	case shown == 0:
		fmt.Fprintln(c.out, "No deliveries match. 'intellidocs-agent deliveries' without filters lists all of them.")
		return nil
	}
	t.Render()
	if more {
		fmt.Fprintf(c.err, "The newest %d; more with --limit, or --limit 0 for all.\n", shown)
	}
	return nil
}

// whatWaits says of the webhooks whose deliveries do not go out when they are due, why.
func whatWaits(ctx context.Context, conn *connection) (map[string]string, error) {
	st, err := conn.Status(ctx)
	if err != nil {
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
