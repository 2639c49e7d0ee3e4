package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
)

func (c *cli) checkCommand() *cobra.Command {
	var connect bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and report every error and warning", Args: cobra.NoArgs,
		Long: "Reads the configuration with the secrets it names and reports every error and warning with its\n" +
			"line, and what of its sources this user could not read: run it as the agent's user. --connect\n" +
			"also resolves each webhook's name, connects and shakes hands, and sends nothing.",
		Example: "  intellidocs-agent check -c agent.toml\n  intellidocs-agent check --connect",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.check(cmd.Context(), connect) },
	}
	cmd.Flags().BoolVar(&connect, "connect", false, "try each webhook's name, port and TLS, sending nothing")
	return cmd
}

func (c *cli) check(ctx context.Context, connect bool) error {
	path := c.configPath()
	plan, err := agent.Load(path, nil)
	if err != nil {
		fmt.Fprintln(c.err, err)
		fmt.Fprintf(c.err, "%s has errors; nothing else was tried.\n", path)
		return errSilent
	}
	cfg := plan.Config
	for _, w := range append(cfg.Warnings, sourceWarnings(cfg)...) {
		fmt.Fprintln(c.err, "warning:", w)
	}
	for _, text := range c.parked(ctx, plan) {
		fmt.Fprintln(c.err, "warning:", text)
	}
	fmt.Fprintf(c.out, "%s is in order: %s.\n", path, agent.Summary(cfg))
	if connect && !c.connectAll(ctx, plan) {
		return errSilent
	}
	return nil
}

func (c *cli) connectAll(ctx context.Context, plan *agent.Plan) bool {
	good := true
	plan.Probe(ctx, func(webhook, url, remote string, err error) {
		if err != nil {
			good = false
			fmt.Fprintf(c.out, "%-20s NOT reached: %v\n", webhook, err)
			return
		}
		fmt.Fprintf(c.out, "%-20s reached %s at %s\n", webhook, url, remote)
	})
	return good
}
