package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// agentsCommand is what agents was asked for.
type agentsCommand struct {
	*cli
	json bool
}

func newAgents(c *cli) *cobra.Command {
	a := &agentsCommand{cli: c}
	cmd := &cobra.Command{
		Use: "agents", Short: "List the agents that share the queue", Args: cobra.NoArgs,
		Long: "Lists the agents that share the queue ([queue] engine = \"postgres\"): their version, when they were\n" +
			"last heard of, which webhooks they serve, and how far the reading of their sources is behind.\n" +
			"One that was stopped leaves the list after three days; one that is gone without having been stopped\n" +
			"needs somebody, and stays until it returns or is forgotten.",
		Example: "  intellidocs-agent agents\n  intellidocs-agent agents forget pod-3",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "one JSON object a line")
	cmd.AddCommand(newAgentsForget(c))
	return cmd
}

func newAgentsForget(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "forget NAME", Short: "No longer list an agent that is gone for good", Args: saysUsage(cobra.ExactArgs(1)),
		Long: "Takes an agent that is gone for good off the list. Its events and deliveries stay; what it had read is\n" +
			"still known, should it return. One that is alive is not forgotten.",
		Example: "  intellidocs-agent agents forget pod-3",
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.ForgetAgent(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is forgotten.\n", args[0])
			return nil
		},
	}
}

func (a *agentsCommand) run(ctx context.Context) error {
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	agents, err := conn.Agents(ctx)
	if err != nil {
		return err
	}
	if a.json {
		for i := range agents {
			if err := term.JSON(a.out, agents[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(agents) == 0 {
		fmt.Fprintln(a.out, "No agent shares this queue with others.")
		return nil
	}
	t := term.NewTable(a.out, "AGENT", "STATE", "SEEN", "WEBHOOKS", "SOURCES", "BEHIND", "VERSION")
	for i := range agents {
		m := &agents[i]
		t.Row(m.Name, string(m.State), term.Ago(m.Seen), strings.Join(m.Webhooks, ", "), fmt.Sprint(len(m.Sources)), term.Bytes(behind(m)), m.Version)
	}
	t.Render()
	return nil
}

// behind is how much of an agent's sources is not read yet.
func behind(m *admin.AgentView) (n int64) {
	for i := range m.Sources {
		n += m.Sources[i].LagBytes
	}
	return n
}
