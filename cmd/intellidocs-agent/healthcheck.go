package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck(c *cli) *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Exit 0 if the running agent is ready, else 1 with the reasons", Args: cobra.NoArgs,
		Long: "Asks the running agent over its socket whether its sources are open and its queue is writable.\n" +
			"For health checks of containers that have no shell. --live only asks whether the agent answers\n" +
			"and whether what it writes to its queue gets to the disk.\n" +
			"Use --live for whatever restarts the agent: a restart does not fix a full disk or a missing log.",
		Example: "  intellidocs-agent healthcheck -c /etc/intellidocs-agent/agent.toml\n  intellidocs-agent healthcheck --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			client, err := c.dial(ctx)
			if err != nil {
				return err
			}
			if live {
				if err := client.Alive(ctx); err != nil {
					return err
				}
				fmt.Fprintln(c.out, "alive")
				return nil
			}
			st, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if !st.Ready {
				return errors.New("not ready: " + strings.Join(st.Reasons, "; "))
			}
			fmt.Fprintln(c.out, "ready")
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "only ask whether the agent answers")
	return cmd
}
