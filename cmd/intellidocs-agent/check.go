package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

func (c *cli) checkCommand() *cobra.Command {
	var connect bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and report every error and warning", Args: cobra.NoArgs,
		Long: "Reads the configuration with the secrets it names and reports every error and warning with its\n" +
			"line. --connect also resolves each webhook's name, connects and shakes hands, and sends nothing.",
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

// sourceWarnings tell of sources that cannot be read as things are; they may come later.
func sourceWarnings(cfg *config.Config) []config.Problem {
	var out []config.Problem
	for _, s := range cfg.Sources {
		note := func(format string, args ...any) {
			out = append(out, config.Problem{File: cfg.Path, Key: "source " + s.Path, Text: fmt.Sprintf(format, args...)})
		}
		info, err := os.Stat(s.Path)
		switch {
		case os.IsNotExist(err):
			if _, dirErr := os.Stat(filepath.Dir(s.Path)); dirErr != nil {
				note("neither it nor its directory is there yet; is it mounted?")
			} else {
				note("it is not there yet; the agent waits for it")
			}
			continue
		case err != nil:
			note("%v", err)
			continue
		case s.Type == "spool" && !info.IsDir():
			note("a spool must be a directory")
			continue
		case s.Type == "log" && info.IsDir():
			note("a log must be a file, and this is a directory")
			continue
		case s.Type == "log" && !info.Mode().IsRegular(): // opening a pipe would wait for its writer
			note("a log must be a regular file")
			continue
		}
		f, err := os.Open(s.Path)
		if err != nil {
			note("this user cannot read it: %v", err)
			continue
		}
		_ = f.Close()
	}
	return out
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
