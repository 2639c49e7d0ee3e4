package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

func newDashboard(c *cli) *cobra.Command {
	var open bool
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Print the dashboard's address with the token it asks for", Args: cobra.NoArgs,
		Long: "Prints the running agent's dashboard address with the admin token in its fragment, which browsers\n" +
			"keep to themselves. Whoever has this address may read and change everything: it is no address\n" +
			"to pass on. --open opens it in a browser on this machine.",
		Example: "  intellidocs-agent dashboard\n  intellidocs-agent dashboard --open",
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := dashboardAddress(cmd.Context(), c)
			if err != nil {
				return err
			}
			if open {
				return openBrowser(cmd.Context(), address)
			}
			fmt.Fprintln(c.out, address)
			return nil
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "open it in a browser")
	return cmd
}

// dashboardAddress is the running agent's, with the token.
func dashboardAddress(ctx context.Context, c *cli) (string, error) {
	client, err := c.dial(ctx)
	if err != nil {
		return "", err
	}
	st, err := client.Status(ctx)
	if err != nil {
		return "", err
	}
	if st.Dashboard == "" {
		return "", errors.New("the agent has no TCP listener for a dashboard: [admin] listen is empty, or was when it started")
	}
	// A mistake elsewhere in the file does not hide the token.
	cfg, err := config.Load(c.configPath(), config.Environment())
	if cfg == nil {
		return "", err
	}
	token, err := agent.TokenOf(cfg)
	if err != nil {
		return "", err
	}
	return admin.WithToken(st.Dashboard, token), nil
}

// openBrowser opens an address that must not be among a program's arguments, which every
// user of the machine may read: the browser gets a private file that leads there.
func openBrowser(ctx context.Context, address string) error {
	dir, err := os.MkdirTemp("", "intellidocs-agent-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	page := filepath.Join(dir, "dashboard.html")
	text := fmt.Sprintf("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url=%s\"><a href=\"%[1]s\">Dashboard</a>\n", html.EscapeString(address))
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		return err
	}
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	if out, err := exec.CommandContext(ctx, program, page).CombinedOutput(); err != nil {
		return fmt.Errorf("no browser could be opened (%s: %w %.200s); 'intellidocs-agent dashboard' prints the address", program, err, out)
	}
	// The opener returns before the browser has read the file.
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	return nil
}
