package main

import (
	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func newResume(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "resume WEBHOOK", Short: "Resume a held or paused webhook", Args: cobra.ExactArgs(1),
		Example: "  intellidocs-agent resume slack-ai",
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeWebhook(c, cmd, args[0], "resumed", func(conn *connection) (admin.WebhookStatus, error) {
				return conn.Resume(cmd.Context(), args[0])
			})
		},
	}
}
