package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
)

// checkCommand is what check was asked for.
type checkCommand struct {
	*cli
	connectToo bool
}

func newCheck(c *cli) *cobra.Command {
	k := &checkCommand{cli: c}
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and report every error and warning", Args: cobra.NoArgs,
		Long: "Reads the configuration and the secrets it names, and reports every error and warning with its\n" +
			"line. It also reports sources that this user cannot read, so run it as the agent's user.\n" +
			"--connect also resolves each enabled webhook's host name, connects and does the TLS handshake, and\n" +
			"connects to the database of a shared queue. It sends and changes nothing.",
		Example: "  intellidocs-agent check -c agent.toml\n  intellidocs-agent check --connect",
		RunE:    func(cmd *cobra.Command, _ []string) error { return k.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&k.connectToo, "connect", false, "also connect to each enabled webhook (name, port, TLS), sending nothing")
	return cmd
}

func (k *checkCommand) run(ctx context.Context) error {
	path := k.configPath()
	plan, err := agent.Load(path, nil)
	if err != nil {
		fmt.Fprintln(k.err, err)
		fmt.Fprintf(k.err, "%s has errors; nothing else was checked.\n", path)
		return errSilent
	}
	cfg := plan.Config
	for _, w := range slices.Concat(cfg.Warnings, sourceWarnings(cfg), rootWarnings(cfg)) {
		fmt.Fprintln(k.err, "warning:", w)
	}
	for _, text := range parked(ctx, plan) {
		fmt.Fprintln(k.err, "warning:", text)
	}
	fmt.Fprintf(k.out, "%s is in order: %s.\n", path, agent.Summary(cfg))
	if !k.connectToo {
		return nil
	}
	if database, webhooks := k.probeQueue(ctx, cfg), k.probe(ctx, plan); !database || !webhooks {
		return errSilent
	}
	return nil
}

// probeQueue connects to the database that keeps the queue, where one does, and reports whether an
// agent would read for it.
func (k *checkCommand) probeQueue(ctx context.Context, cfg *config.Config) bool {
	if !cfg.Queue.Shared() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, queuePatience)
	defer cancel()
	engine, unreplicated, err := postgres.Probe(ctx, cfg.Queue.URL.Reveal())
	if cfg.Queue.Replication == "trust" {
		unreplicated = nil
	}
	switch {
	case err != nil:
		fmt.Fprintf(k.out, "%-20s NOT reached: %v\n", "[queue]", err)
	case unreplicated != nil:
		fmt.Fprintf(k.out, "%-20s reached %s, but nothing would be read: %v\n", "[queue]", engine, unreplicated)
	default:
		fmt.Fprintf(k.out, "%-20s reached %s\n", "[queue]", engine)
	}
	return err == nil && unreplicated == nil
}

// queuePatience is how long the queue's database may take to answer.
const queuePatience = 10 * time.Second

// probe connects to each enabled webhook, and reports whether all of them were reached.
func (k *checkCommand) probe(ctx context.Context, plan *agent.Plan) bool {
	good := true
	plan.Probe(ctx, func(p agent.Probed) {
		said := fmt.Sprintf("reached %s at %s", p.URL, p.Remote)
		switch {
		case p.Disabled:
			said = "disabled, not tried"
		case p.Err != nil:
			good = false
			said = fmt.Sprintf("NOT reached: %v", p.Err)
		}
		fmt.Fprintf(k.out, "%-20s %s\n", p.Webhook, said)
	})
	return good
}
