// Command intellidocs-agent reads the AI events that IntelliDocs writes to its log or
// to a spool directory and delivers them as signed webhooks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Exit codes, the same for every command.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

// cli is what commands share: where they read and write, the global flags, and how they
// reach an agent. Each command is a type or a function of its own, in the file of its name.
type cli struct {
	in         io.Reader
	out, err   io.Writer
	configFile string
	started    bool        // the arguments were in order and a command began
	sizes      queue.Sizes // of the queue's files; zero: the usual
}

func main() { os.Exit(execute(queue.Sizes{})) }

func execute(sizes queue.Sizes) int {
	// net/http's clients print what an endpoint sends unasked, as it is.
	log.SetOutput(io.Discard)
	// The first signal asks for a clean stop; the second one is the operating system's
	// to answer, at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, sizes: sizes}
	return c.execute(ctx, os.Args[1:])
}

func (c *cli) execute(ctx context.Context, args []string) int {
	root := newRoot(c)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailure
	case !c.started || errors.As(err, new(usageError)):
		fmt.Fprintf(c.err, "intellidocs-agent: %s\nRun '%s --help' for more.\n", term.PrintableLines(err.Error()), cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(c.err, "intellidocs-agent: %s\n", term.PrintableLines(err.Error())) // it may repeat what others wrote
	return exitFailure
}

// usageError is wrong usage that is only found after the command began.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errSilent fails a command that has already said why.
var errSilent = errors.New("failed")

// ofReleases are commands that only a build with the tag "manual" has.
var ofReleases = func(*cobra.Command) []*cobra.Command { return nil }

func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "intellidocs-agent",
		Short: "Deliver IntelliDocs' AI events as signed webhooks",
		Long: "intellidocs-agent reads the AI events that IntelliDocs writes to its log or to a spool\n" +
			"directory, keeps them in a durable queue and delivers them as signed webhooks.\n\n" +
			"Start with 'intellidocs-agent demo', which needs no setup.",
		Example:           "  intellidocs-agent demo\n  intellidocs-agent check -c agent.toml\n  intellidocs-agent run -c agent.toml",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              knownCommand,
		PersistentPreRun:  func(*cobra.Command, []string) { c.started = true },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		DisableAutoGenTag: true,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(nearestFlag)
	root.Version = buildVersion()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetIn(c.in)
	root.PersistentFlags().StringVarP(&c.configFile, "config", "c", "",
		"configuration `FILE` (default $INTELLIDOCS_AGENT_CONFIG, else /etc/intellidocs-agent/agent.toml)")
	root.AddGroup(
		&cobra.Group{ID: "agent", Title: "The agent:"},
		&cobra.Group{ID: "see", Title: "See and repair:"},
		&cobra.Group{ID: "try", Title: "Try things out:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = group
			cmd.Args = saysUsage(cmd.Args)
			root.AddCommand(cmd)
		}
	}
	add("agent", newRun(c), newInit(c), newCheck(c), newHealthcheck(c))
	add("see", newTop(c), newDeliveries(c), newShow(c), newReplay(c), newRejected(c), newIngest(c),
		newPause(c), newResume(c), newMove(c), newDiscard(c), newAgents(c), newQueue(c), newDashboard(c))
	add("try", newDemo(c), newTest(c), newListen(c), newVerify(c))
	add("", newVersion(c), newSchema(c))
	add("", ofReleases(root)...)
	addHelp(root)
	addCompletions(c, root)
	return root
}

// addHelp completes the commands that cobra makes itself: with examples, and with
// errors for what they do not know.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  intellidocs-agent help deliveries"
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err == nil {
					err = knownCommand(about, rest)
				}
				if err != nil {
					return usageError{err}
				}
				return about.Help()
			}
		case "completion":
			cmd.Example = "  source <(intellidocs-agent completion bash)"
			cmd.Args, cmd.RunE = knownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Example = "  intellidocs-agent completion " + shell.Name()
			}
		}
	}
}

// knownCommand refuses what is left of the arguments once the command was found.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; is it " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
}

// saysUsage says how a command is used where the number of its arguments is wrong.
func saysUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil || check(cmd, args) == nil {
			return nil
		}
		return fmt.Errorf("%s given; usage: %s", term.Count(len(args), "argument", "arguments"), cmd.UseLine())
	}
}
