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
		Use: "dashboard", Short: "Print the dashboard's address, with its token", Args: cobra.NoArgs,
		Long: "Prints the address of the running agent's dashboard. The part after # is the admin token, which\n" +
			"browsers do not send. Anybody who has this address can read and change everything, so do not\n" +
			"share it. --open opens it in a browser on this machine.",
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
		return "", errors.New("the agent serves no dashboard: [admin] listen is empty, or was when it started; set it (such as \"127.0.0.1:9723\") and restart the agent")
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
		return fmt.Errorf("cannot open a browser (%s: %w %.200s); print the address instead: intellidocs-agent dashboard", program, err, out)
	}
	// The opener returns before the browser has read the file.
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	return nil
}
