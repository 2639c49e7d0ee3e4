package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

func (c *cli) runCommand() *cobra.Command {
	grace := span(10 * time.Second)
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent in the foreground", Args: cobra.NoArgs,
		Long: "Runs the agent in the foreground, logging to standard error. SIGTERM or SIGINT stop it cleanly:\n" +
			"requests under way get the grace period. A second one stops it at once; nothing is lost either\n" +
			"way. SIGHUP reads the configuration again, and so does a change of the file.",
		Example: "  intellidocs-agent run\n  intellidocs-agent run -c agent.toml --grace 30s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			// From here on it is a request, also while the queue is still being opened.
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			cfg, err := c.loadConfig()
			if err != nil {
				return err
			}
			limitMemory()
			a, err := start(cmd.Context(), cfg, c.err, openOptions{grace: time.Duration(grace), hangup: hangup})
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				a.log.Warn("configuration: " + w.String())
			}
			return a.run(cmd.Context())
		},
	}
	cmd.Flags().Var(&grace, "grace", "how long requests under way may take after SIGTERM")
	return cmd
}

// start opens an agent that is to run, logging to w.
func start(ctx context.Context, cfg *config.Config, w io.Writer, o openOptions) (*agent, error) {
	o.level = new(slog.LevelVar)
	o.level.Set(level(cfg.Log.Level))
	o.log, o.running = logger(w, cfg.Log.Format, o.level), true
	return open(ctx, cfg, o)
}

// limitMemory keeps the heap small: a sidecar's memory is taken from what it stands
// beside. GOMEMLIMIT and GOGC still have the last word.
func limitMemory() {
	if debug.SetMemoryLimit(-1) == 1<<63-1 {
		debug.SetMemoryLimit(40 << 20)
	}
	if previous := debug.SetGCPercent(50); previous != 100 {
		debug.SetGCPercent(previous)
	}
}

func logger(w io.Writer, format string, lv *slog.LevelVar) *slog.Logger {
	o := &slog.HandlerOptions{Level: lv, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindDuration: // JSON has it as nanoseconds, which nobody could tell
			return slog.String(a.Key, a.Value.Duration().String())
		case slog.KindString:
			return slog.String(a.Key, clipped(a.Value.String()))
		case slog.KindAny:
			if err, ok := a.Value.Any().(error); ok {
				return slog.String(a.Key, clipped(err.Error()))
			}
		}
		return a
	}}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// longestValue is how much of a value is logged. An event's type may be as long as its line,
// and would be repeated with every attempt for every webhook.
const longestValue = 8 << 10

func clipped(s string) string {
	if len(s) <= longestValue {
		return s
	}
	return strings.ToValidUTF8(s[:longestValue], "") + "…"
}

func level(name string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo // the configuration's check lets no other name through
	}
	return l
}

func (c *cli) healthcheckCommand() *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Exit 0 if the running agent is ready, 1 with the reasons if not", Args: cobra.NoArgs,
		Long: "Asks the running agent over its socket whether its sources are open and its queue is writable.\n" +
			"For container health checks and probes, where there is no shell. --live asks only whether it\n" +
			"answers: the question for whatever restarts it, since a full disk or a log that is not there\n" +
			"yet is not mended by a restart.",
		Example: "  intellidocs-agent healthcheck -c /etc/intellidocs-agent/agent.toml\n  intellidocs-agent healthcheck --live",
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := config.StatePath(config.Path(c.configFile, config.Environment()))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			client, err := admin.Dial(ctx, state)
			if err != nil {
				return err
			}
			if live {
				if err := client.Alive(ctx); err != nil {
					return err
				}
				fmt.Fprintln(c.out, "alive")
				return nil
			}
			var st admin.Status
			if err := client.Get(ctx, "status", nil, &st); err != nil {
				return err
			}
			if !st.Ready {
				return errors.New("not ready: " + strings.Join(st.Reasons, "; "))
			}
			fmt.Fprintln(c.out, "ready")
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "only ask whether the agent answers")
	return cmd
}

// dialBroken reaches a running agent whose configuration file has errors by now.
func (c *cli) dialBroken(ctx context.Context) (*admin.Client, bool) {
	state, err := config.StatePath(config.Path(c.configFile, config.Environment()))
	if err != nil {
		return nil, false
	}
	client, err := admin.Dial(ctx, state)
	return client, err == nil
}

// marshal writes v as one line of JSON as IntelliDocs would, without Go's escaping of <, > and &.
func marshal(v any) (string, error) {
	var b strings.Builder
	if err := printJSON(&b, v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}
