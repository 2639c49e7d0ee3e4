package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
)

func (c *cli) pauseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause WEBHOOK", Short: "Hold a webhook's deliveries", Args: cobra.ExactArgs(1),
		Long:    "Holds a webhook's deliveries until it is resumed; survives a restart. Events are still queued for it.",
		Example: "  intellidocs-agent pause slack-ai --reason 'channel moves'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.webhookCall(cmd, "paused", func(conn *connection) (admin.WebhookStatus, error) {
				return conn.Pause(cmd.Context(), args[0], reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks next")
	return cmd
}

func (c *cli) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resume WEBHOOK", Short: "Let a held or paused webhook's deliveries go", Args: cobra.ExactArgs(1),
		Example: "  intellidocs-agent resume slack-ai",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.webhookCall(cmd, "resumed", func(conn *connection) (admin.WebhookStatus, error) {
				return conn.Resume(cmd.Context(), args[0])
			})
		},
	}
}

func (c *cli) webhookCall(cmd *cobra.Command, done string, call func(*connection) (admin.WebhookStatus, error)) error {
	conn, err := c.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	st, err := call(conn)
	if err != nil {
		return err
	}
	waiting, hint := int(st.Counts["pending"]+st.Counts["retrying"]), ""
	if done == "resumed" {
		hint = conn.hint(waiting)
	}
	fmt.Fprintf(c.out, "%s %s: %s waiting.%s\n", st.Name, done, deliveries(waiting), hint)
	return nil
}

func (c *cli) testCommand() *cobra.Command {
	var eventType string
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "test WEBHOOK", Short: "Send one sample event to a webhook now", Args: cobra.ExactArgs(1),
		Long: "Sends one sample event to a webhook now, by the same path and under the same rules as real\n" +
			"ones, and prints the request and the response. Nothing is queued. Without --event it is of a\n" +
			"type that the webhook takes. One that its events or filter would drop is not sent, and it says\n" +
			"by what; --all-types sends it anyway, or, without --event, one of each known type.",
		Example: "  intellidocs-agent test slack-ai\n  intellidocs-agent test slack-ai --event deletion_request_created",
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			types := []string{eventType}
			if all && eventType == "" {
				types = events.Types()
			}
			var failed error
			for _, t := range types {
				res, err := conn.Test(cmd.Context(), args[0], admin.TestRequest{EventType: t, Anyway: all})
				if err != nil {
					return err
				}
				if err := c.printTest(res, asJSON); err != nil {
					failed = err
				}
			}
			return failed
		},
	}
	cmd.Flags().StringVar(&eventType, "event", "", "the event's `TYPE` (default one that the webhook takes)")
	cmd.Flags().BoolVar(&all, "all-types", false, "send types too that its events or filter would drop; without --event each known one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

func (c *cli) printTest(res admin.TestResult, asJSON bool) error {
	colors := term.Colors(c.out)
	if asJSON {
		if err := term.JSON(c.out, res); err != nil {
			return err
		}
	} else {
		printBlock(c.out, "> ", res.Request)
		printBlock(c.out, "< ", res.Response)
		took := term.Duration(res.Took)
		if res.Remote != "" {
			took += " from " + res.Remote
		}
		if res.Dropped != "" && res.Request != "" {
			fmt.Fprintf(c.err, "A real %s would not be sent: %s.\n", term.Printable(res.EventType), term.Printable(res.Dropped))
		}
		if res.Delivered {
			fmt.Fprintf(c.out, "%s in %s\n", term.Paint(colors, term.Good, "delivered"), took)
		} else {
			fmt.Fprintf(c.out, "%s %s (after %s)\n", term.Paint(colors, term.Bad, "not delivered:"), term.Printable(res.Error), took)
		}
	}
	if !res.Delivered {
		return errSilent
	}
	return nil
}

// printBlock prints lines under a prefix and an empty one after them; of nothing, nothing.
func printBlock(w io.Writer, prefix, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\r\n"), "\n") {
		fmt.Fprintln(w, prefix+term.Printable(strings.TrimRight(line, "\r")))
	}
	fmt.Fprintln(w)
}
