package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
)

// testCommand is what test was asked for.
type testCommand struct {
	*cli
	eventType   string
	json, every bool
}

func newTest(c *cli) *cobra.Command {
	t := &testCommand{cli: c}
	cmd := &cobra.Command{
		Use: "test WEBHOOK", Short: "Send one sample event to a webhook now", Args: cobra.ExactArgs(1),
		Long: "Sends one sample event to a webhook now, in the same way and under the same rules as real events,\n" +
			"and prints the request and the response. Nothing is queued. Without --event it picks a type that\n" +
			"the webhook wants. A sample that the webhook's events or filter exclude is not sent, and the reason\n" +
			"is printed; --all-types sends it anyway, or, without --event, one sample of each known type.",
		Example: "  intellidocs-agent test slack-ai\n  intellidocs-agent test slack-ai --event deletion_request_created",
		RunE:    func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&t.eventType, "event", "", "the event's `TYPE` (default: one that the webhook wants)")
	cmd.Flags().BoolVar(&t.every, "all-types", false, "also send types that its events or filter exclude; without --event, one of each known type")
	cmd.Flags().BoolVar(&t.json, "json", false, "as one JSON object")
	return cmd
}

func (t *testCommand) run(ctx context.Context, webhook string) error {
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	types := []string{t.eventType}
	if t.every && t.eventType == "" {
		types = events.Types()
	}
	var failed error
	for _, eventType := range types {
		res, err := conn.Test(ctx, webhook, admin.TestRequest{EventType: eventType, Anyway: t.every})
		if err != nil {
			return namedWebhook(ctx, conn, webhook, err)
		}
		if err := t.print(res); err != nil {
			failed = err
		}
	}
	return failed
}

// print prints what the event met; it returns errSilent where that was not delivery.
func (t *testCommand) print(res admin.TestResult) error {
	colors := term.Colors(t.out)
	if t.json {
		if err := term.JSON(t.out, res); err != nil {
			return err
		}
	} else {
		printBlock(t.out, "> ", res.Request)
		printBlock(t.out, "< ", res.Response)
		took := term.Duration(res.Took)
		if res.Remote != "" {
			took += " from " + res.Remote
		}
		if res.Dropped != "" && res.Request != "" {
			fmt.Fprintf(t.err, "A real %s would not be sent to it: %s.\n", term.Printable(res.EventType), term.Printable(res.Dropped))
		}
		if res.Delivered {
			fmt.Fprintf(t.out, "%s in %s\n", term.Paint(colors, term.Good, "delivered"), took)
		} else {
			fmt.Fprintf(t.out, "%s %s (after %s)\n", term.Paint(colors, term.Bad, "not delivered:"), term.Printable(res.Error), took)
		}
	}
	if !res.Delivered {
		return errSilent
	}
	return nil
}

// printBlock prints lines under a prefix and an empty one after them; of nothing, nothing.
func printBlock(w io.Writer, prefix, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\r\n"), "\n") {
		fmt.Fprintln(w, prefix+term.Printable(strings.TrimRight(line, "\r")))
	}
	fmt.Fprintln(w)
}
