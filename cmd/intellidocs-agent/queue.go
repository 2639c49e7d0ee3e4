package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
)

func newQueue(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "queue", Short: "Move this agent's queue into one that several agents share", Args: cobra.NoArgs,
		Long:    "What concerns the queue as a whole.",
		Example: "  intellidocs-agent queue move",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQueueMove(c))
	return cmd
}

func newQueueMove(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "move", Short: "Move the queue in the state directory into the database", Args: saysUsage(cobra.NoArgs),
		Long: "Brings the queue in the state directory into the database that agent.toml names ([queue] engine =\n" +
			"\"postgres\"): history, what is unfinished, ids, positions in the logs, pauses. Deliveries get new ids, events keep\n" +
			"theirs. The agent must be stopped. It can be ended at any moment and run again; from its beginning\n" +
			"the state directory's own queue is not opened any more, so that nothing is delivered from both.",
		Example: "  systemctl stop intellidocs-agent\n  intellidocs-agent queue move\n  systemctl start intellidocs-agent",
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := c.load(c.err)
			if err != nil {
				return err
			}
			done, err := agent.TakeOver(cmd.Context(), plan, func(m postgres.Transferred) {
				fmt.Fprintf(c.err, "%d events\n", m.Events+m.Known)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "Moved %d events with %s, of which %d wait, %d rejected records and the positions of %d sources.\n",
				done.Events, deliveries(done.Deliveries), done.Waiting, done.Rejected, done.Cursors)
			if done.Known > 0 {
				fmt.Fprintf(c.out, "%d events were in the database already, and stay there as they are.\n", done.Known)
			}
			if done.Damaged > 0 {
				fmt.Fprintf(c.out, "%d events and deliveries are damaged and were left behind.\n", done.Damaged)
			}
			return nil
		},
	}
}
