package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

func (c *cli) replayCommand() *cobra.Command {
	var f filterFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "replay [ID…]", Short: "Queue deliveries again",
		Long: "Queues deliveries again under the same webhook-id, so that a receiver can tell a repeat.\n" +
			"Name deliveries by ID, or an event and so all of its deliveries, or select them with\n" +
			"filters; with filters it says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent replay dlv_0011223300000000000000a100000001\n" +
			"  intellidocs-agent replay --status failed --webhook slack-ai --since 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == f.empty() {
				return usagef("name deliveries by ID, or select them with --status, --webhook, --event-type, --since, --until or --search")
			}
			for _, id := range args {
				if !looksLikeID(id, "dlv", "evt") {
					return usagef("%q is no ID: a delivery's begins with dlv_, an event's with evt_", id)
				}
			}
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			for i, typed := range args {
				if args[i], _, err = conn.find(cmd.Context(), typed, "dlv", "evt"); err != nil {
					return err
				}
			}
			req := admin.ReplayRequest{IDs: args, By: "cli"}
			if len(args) == 0 {
				req.Filter = &filter
				if ok, err := c.confirmReplay(cmd, conn, &f, filter, yes); err != nil || !ok {
					return err
				}
			}
			bar := term.Bar(c.err, 1, "replaying", false)
			n, err := conn.Replay(cmd.Context(), req, func(p admin.Progress) {
				bar.ChangeMax(p.Total)
				_ = bar.Set(p.Done)
			})
			_ = bar.Finish()
			if err != nil {
				return lookedFor(err)
			}
			fmt.Fprintf(c.out, "%s queued again.%s\n", deliveries(n), conn.hint(n))
			var names []string
			if f.webhook != "" {
				names = []string{f.webhook}
			}
			fmt.Fprint(c.err, unsent(cmd.Context(), conn, names))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *cli) confirmReplay(cmd *cobra.Command, conn *connection, flags *filterFlags, f admin.Filter, yes bool) (bool, error) {
	n, err := conn.Count(cmd.Context(), f)
	if err == nil && n == 0 {
		err = flags.check(cmd.Context(), conn)
	}
	if err != nil {
		return false, err
	}
	if n == 0 {
		fmt.Fprintln(c.out, "No deliveries match; nothing to replay.")
		return false, nil
	}
	return c.confirm(cmd.Context(), yes, fmt.Sprintf("Queue %s again?", deliveries(n)), "Nothing replayed.")
}

// confirm asks on a terminal; what says that the answer was no.
func (c *cli) confirm(ctx context.Context, yes bool, question, what string) (bool, error) {
	if yes || !term.IsTerminal(c.in) {
		return true, nil
	}
	fmt.Fprint(c.err, question+" [y/N] ")
	line, err := term.Interruptible(ctx, func() (string, error) {
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if err != nil {
		fmt.Fprintln(c.err)
		return false, err
	}
	if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
		fmt.Fprintln(c.err, what)
		return false, nil
	}
	return true, nil
}

func deliveries(n int) string { return term.Count(n, "delivery", "deliveries") }
