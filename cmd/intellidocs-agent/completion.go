package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
)

// addCompletions makes a shell's Tab offer what a command takes: files only where it reads
// some, and the names of webhooks where it wants one.
func addCompletions(c *cli, root *cobra.Command) {
	_ = root.MarkPersistentFlagFilename("config", "toml") // fails only where there is no such flag
	fixed := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	flags := map[string]cobra.CompletionFunc{
		"webhook": c.completeWebhook, "status": fixed("pending", "retrying", "success", "failed"),
		"event-type": fixed(events.Types()...), "event": fixed(events.Types()...),
	}
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "pause", "resume", "test":
			cmd.ValidArgsFunction = c.completeWebhook
		case "ingest", "help":
		default:
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, sub := range cmd.Commands() {
			if sub.Name() == "forget" {
				sub.ValidArgsFunction = c.completeAgent
			}
		}
		for name, f := range flags {
			if flag := cmd.Flags().Lookup(name); flag != nil && flag.Value.Type() != "int" {
				_ = cmd.RegisterFlagCompletionFunc(name, f) // fails only where there is no such flag
			}
		}
	}
}

// tabPatience is how long the Tab key waits for the agent.
const tabPatience = time.Second

// completeAgent offers the agents that are not alive, where one runs that knows them.
func (c *cli) completeAgent(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), tabPatience)
	defer cancel()
	client, err := c.dial(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	agents, _ := client.Agents(ctx)
	var names []cobra.Completion
	for i := range agents {
		if agents[i].State != admin.AgentAlive {
			names = append(names, agents[i].Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeWebhook offers the webhooks of the running agent, else of the configuration.
func (c *cli) completeWebhook(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), tabPatience) // an agent that hangs must not hang the shell
	defer cancel()
	if client, err := c.dial(ctx); err == nil {
		if names, err := webhookNames(ctx, toAgent(client)); err == nil {
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
	cfg, _ := config.Load(c.configPath(), config.Environment()) // also of a file with mistakes
	if cfg == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for i := range cfg.Webhooks {
		names = append(names, cfg.Webhooks[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
