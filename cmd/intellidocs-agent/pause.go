package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func newPause(c *cli) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause WEBHOOK", Short: "Hold a webhook's deliveries", Args: cobra.ExactArgs(1),
		Long:    "Holds a webhook's deliveries until you resume it, also across restarts. Its events are still queued.",
		Example: "  intellidocs-agent pause slack-ai --reason 'channel moves'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeWebhook(c, cmd, args[0], "paused", func(conn *connection) (admin.WebhookStatus, error) {
				return conn.Pause(cmd.Context(), args[0], reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, shown to others")
	return cmd
}

// changeWebhook calls the agent and says what was done, and what waits for the webhook now.
func changeWebhook(c *cli, cmd *cobra.Command, webhook, done string, call func(*connection) (admin.WebhookStatus, error)) error {
	conn, err := c.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer conn.Close()
	st, err := call(conn)
	if err != nil {
		return namedWebhook(cmd.Context(), conn, webhook, err)
	}
	waiting, hint := int(st.Counts.Waiting()), ""
	if done == "resumed" {
		hint = conn.hint(waiting)
	}
	fmt.Fprintf(c.out, "%s %s: %s waiting.%s\n", st.Name, done, deliveries(waiting), hint)
	return nil
}
