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

// deliveriesCommand is what deliveries was asked for.
type deliveriesCommand struct {
	*cli
	filters            filterFlags
	limit              int
	json, wide, follow bool
}

func newDeliveries(c *cli) *cobra.Command {
	d := &deliveriesCommand{cli: c}
	cmd := &cobra.Command{
		Use: "deliveries", Short: "List deliveries, newest first", Args: cobra.NoArgs, SuggestFor: []string{"delivery", "list"},
		Long: "Lists deliveries, newest first. On a terminal it shows short IDs, which every command accepts; --wide\n" +
			"shows whole IDs, exact times and the responses. --follow shows the latest deliveries and then, until\n" +
			"Ctrl-C, every change among the newest 1,000.",
		Example: "  intellidocs-agent deliveries --status failed --since 24h\n" +
			"  intellidocs-agent deliveries --follow\n" +
			"  intellidocs-agent deliveries --webhook slack-ai --json | jq .error_message",
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := d.filters.filter(time.Now())
			if err != nil {
				return err
			}
			if d.limit < 0 {
				return usagef("--limit %d: a number of deliveries, or 0 for all", d.limit)
			}
			if !d.follow {
				return d.print(cmd.Context(), filter)
			}
			if !cmd.Flags().Changed("limit") {
				d.limit = 10
			}
			return d.watch(cmd.Context(), filter)
		},
	}
	d.filters.add(cmd)
	cmd.Flags().IntVar(&d.limit, "limit", 50, "at most this many, 0 for all; with --follow, how many to show first (10 unless set)")
	cmd.Flags().BoolVar(&d.json, "json", false, "one JSON object a line")
	cmd.Flags().BoolVarP(&d.wide, "wide", "w", false, "whole IDs, exact times and responses, as when the output is not a terminal")
	cmd.Flags().BoolVarP(&d.follow, "follow", "f", false, "keep showing deliveries as they are attempted and finished")
	return cmd
}

func (d *deliveriesCommand) print(ctx context.Context, f admin.Filter) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	l, err := d.newList(ctx, conn, &f)
	if err != nil {
		return err
	}
	shown := 0
	more, err := conn.Deliveries(ctx, f, d.limit, func(row *admin.Row) error {
		shown++
		return l.row(row)
	})
	if err == nil && shown == 0 {
		err = d.filters.check(ctx, conn)
	}
	if err != nil {
		return err
	}
	l.end()
	switch {
	case d.json:
	case shown == 0:
		fmt.Fprintln(d.out, "No deliveries match. 'intellidocs-agent deliveries' without filters lists all of them.")
	case more:
		fmt.Fprintf(d.err, "The newest %d; more with --limit, or --limit 0 for all.\n", shown)
	}
	return nil
}

const (
	// followed is how many of the newest deliveries are looked at for changes, and how often.
	followed    = 1000
	followEvery = time.Second
)

// watch shows each delivery that is tried or finished, until ctx ends. It only ever asks a
// running agent, and waits for one that is restarted.
func (d *deliveriesCommand) watch(ctx context.Context, f admin.Filter) error {
	client, err := d.dial(ctx)
	if errors.Is(err, admin.ErrNotRunning) {
		return errors.New("there is nothing to follow while no agent is running; start it: intellidocs-agent run")
	}
	if err != nil {
		return err
	}
	conn := toAgent(client)
	if err := d.filters.check(ctx, conn); err != nil {
		return err
	}
	l, err := d.newList(ctx, conn, &f)
	if err != nil {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var before map[string]string
	for away := false; ; {
		now, changed, err := changes(ctx, conn, f, before, d.limit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			fmt.Fprintf(d.err, "The agent does not answer (%v); waiting for it.\n", err)
			away = true
		case err == nil && away:
			fmt.Fprintln(d.err, "The agent answers again.")
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
