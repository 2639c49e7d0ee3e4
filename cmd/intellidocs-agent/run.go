package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
)

func newRun(c *cli) *cobra.Command {
	grace := durationFlag(10 * time.Second)
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent in the foreground", Args: cobra.NoArgs,
		Long: "Runs the agent in the foreground and logs to standard error. SIGTERM or SIGINT stops it cleanly:\n" +
			"requests under way may finish within the grace period. A second signal stops it at once; nothing\n" +
			"is lost either way. It reads the configuration again on SIGHUP, and whenever the file changes.",
		Example: "  intellidocs-agent run\n  intellidocs-agent run -c agent.toml --grace 30s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			// From here on it is a request, also while the queue is still being opened.
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			plan, err := c.load(c.err)
			if err != nil {
				return err
			}
			plan.Config.Warnings = append(plan.Config.Warnings, rootWarnings(plan.Config)...)
			small := limitMemory()
			a, err := agent.Open(cmd.Context(), plan, agent.Options{
				Version: buildVersion(), Running: true, Grace: time.Duration(grace), Hangup: hangup, SmallMemory: small, Sizes: c.sizes,
			})
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	cmd.Flags().Var(&grace, "grace", "how long requests under way may continue after SIGTERM")
	return cmd
}
