package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func newMove(c *cli) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "move OLD NEW", Short: "Move a webhook's waiting deliveries to another", Args: cobra.ExactArgs(2),
		Long: "Moves the deliveries that wait for one webhook to another, for example after a rename:\n" +
			"they are sent at once, as the new webhook is configured. The old one must be removed from\n" +
			"agent.toml, disabled or paused. It says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent move slack slack-ai",
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			n, err := waiting(cmd.Context(), conn, admin.Filter{Webhook: args[0]})
			if err != nil {
				return err
			}
			if n == 0 {
				if err := mistyped(cmd.Context(), conn, "webhook", args[0]); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "No deliveries wait for %s.\n", args[0])
				return nil
			}
			if err := knownWebhook(cmd.Context(), conn, "webhook", args[1]); err != nil {
				return err
			}
			if ok, err := c.confirm(cmd.Context(), yes, fmt.Sprintf("Move %s from %s to %s?", deliveries(n), args[0], args[1]), "Nothing moved."); err != nil || !ok {
				return err
			}
			if n, err = conn.Move(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s moved to %s.%s\n", deliveries(n), args[1], conn.hint(n))
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
