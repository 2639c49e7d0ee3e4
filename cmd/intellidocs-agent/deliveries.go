package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func (c *cli) deliveriesCommand() *cobra.Command {
	var f filterFlags
	var o listOptions
	cmd := &cobra.Command{
		Use: "deliveries", Short: "List deliveries, newest first", Args: cobra.NoArgs, SuggestFor: []string{"delivery", "list"},
		Long: "Lists deliveries, newest first. On a terminal IDs are short, and every command takes them so; --wide\n" +
			"shows them whole, with exact times and the answers. --follow first shows the latest ones and then\n" +
			"each of the newest 1,000 that is tried or finished, until Ctrl-C.",
		Example: "  intellidocs-agent deliveries --status failed --since 24h\n" +
			"  intellidocs-agent deliveries --follow\n" +
			"  intellidocs-agent deliveries --webhook slack-ai --json | jq .error_message",
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			if o.limit < 0 {
				return usagef("--limit %d: a number of deliveries, or 0 for all", o.limit)
			}
			if o.follow {
				if !cmd.Flags().Changed("limit") {
					o.limit = 10
				}
				return c.follow(cmd.Context(), &f, filter, o)
			}
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return c.listDeliveries(cmd.Context(), conn, &f, filter, o)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", 50, "at most this many, 0 for all; with --follow how many of the latest first (default 10)")
	cmd.Flags().BoolVar(&o.json, "json", false, "one JSON object a line")
	cmd.Flags().BoolVarP(&o.wide, "wide", "w", false, "IDs whole, exact times and answers, as where the output is no terminal")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "keep showing what is tried and finished")
	return cmd
}

// listOptions say how deliveries are listed.
type listOptions struct {
	limit              int
	json, wide, follow bool
}

func (c *cli) listDeliveries(ctx context.Context, conn *connection, flags *filterFlags, f admin.Filter, o listOptions) error {
	l, err := c.newList(ctx, conn, &f, o)
	if err != nil {
		return err
	}
	shown := 0
	more, err := conn.Deliveries(ctx, f, o.limit, func(d *admin.Row) error {
		shown++
		return l.row(d)
	})
	if err == nil && shown == 0 {
		err = flags.check(ctx, conn)
	}
	if err != nil {
		return err
	}
	l.end()
	switch {
	case o.json:
	case shown == 0:
		fmt.Fprintln(c.out, "No deliveries match. 'intellidocs-agent deliveries' without filters lists all of them.")
	case more:
		fmt.Fprintf(c.err, "The newest %d; more with --limit, or --limit 0 for all.\n", shown)
	}
	return nil
}

const (
	// followed is how many of the newest deliveries are looked at for changes, and how often.
	followed    = 1000
	followEvery = time.Second
)

// follow shows each delivery that is tried or finished, until ctx ends. It only ever asks a
// running agent, and waits for one that is restarted.
func (c *cli) follow(ctx context.Context, flags *filterFlags, f admin.Filter, o listOptions) error {
	client, err := c.dial(ctx)
	if errors.Is(err, admin.ErrNotRunning) {
		return errors.New("nothing changes while no agent is running; start it with 'intellidocs-agent run'")
	}
	if err != nil {
		return err
	}
	conn := toAgent(client)
	if err := flags.check(ctx, conn); err != nil {
		return err
	}
	l, err := c.newList(ctx, conn, &f, o)
	if err != nil {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var before map[string]string
	for away := false; ; {
		now, changed, err := changes(ctx, conn, f, before, o.limit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			fmt.Fprintf(c.err, "The agent does not answer (%v); waiting for it.\n", err)
			away = true
		case err == nil && away:
			fmt.Fprintln(c.err, "The agent answers again.")
			away = false
		}
		if err == nil {
			before = now
			for i := range slices.Backward(changed) {
				if err := l.row(&changed[i]); err != nil {
					return err
				}
			}
			l.end()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// changes returns what the newest deliveries are like, and those that are no longer as they
// were before; the first time, the newest few (0: all).
func changes(ctx context.Context, conn *connection, f admin.Filter, before map[string]string, first int) (now map[string]string, changed []admin.Row, err error) {
	now = map[string]string{}
	_, err = conn.Deliveries(ctx, f, followed, func(d *admin.Row) error {
		state := fmt.Sprint(d.Status, d.Attempts)
		now[d.ID] = state
		if before == nil && (first == 0 || len(changed) < first) || before != nil && before[d.ID] != state {
			changed = append(changed, *d)
		}
		return nil
	})
	return now, changed, err
}
