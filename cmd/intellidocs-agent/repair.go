package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

func (c *cli) replayCommand() *cobra.Command {
	var f filterFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "replay [ID…]", Short: "Queue deliveries again",
		Long: "Queues deliveries again under the same webhook-id, so that a receiver can tell a repeat.\n" +
			"Name deliveries by ID, or an event and so all of its deliveries, or select them with\n" +
			"filters; with filters it says how many there are and asks first, unless --yes is given.",
		Example: "  intellidocs-agent replay dlv_0011223300000000000000a100000001\n" +
			"  intellidocs-agent replay --status failed --webhook slack-ai --since 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == f.empty() {
				return usagef("name deliveries by ID, or select them with --status, --webhook, --event-type, --since, --until or --search")
			}
			for _, id := range args {
				if !strings.HasPrefix(id, "dlv_") && !strings.HasPrefix(id, "evt_") {
					return usagef("%q is no ID: a delivery's begins with dlv_, an event's with evt_", id)
				}
			}
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			desk, err := c.desk(cmd.Context())
			if err != nil {
				return err
			}
			defer desk.Close()
			req := admin.ReplayRequest{IDs: args, By: "cli"}
			if len(args) == 0 {
				req.Filter = &filter
				if ok, err := c.confirmReplay(cmd, desk, filter, yes); err != nil || !ok {
					return err
				}
			}
			bar := c.bar(1, "replaying", false)
			n, err := desk.Replay(cmd.Context(), req, func(p admin.Progress) {
				bar.ChangeMax(p.Total)
				_ = bar.Set(p.Done)
			})
			_ = bar.Finish()
			if err != nil {
				return lookedFor(err)
			}
			fmt.Fprintf(c.out, "%s queued again.%s\n", deliveries(n), desk.hint(n))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *cli) confirmReplay(cmd *cobra.Command, desk *desk, f admin.Filter, yes bool) (bool, error) {
	var count struct{ Count int }
	if err := desk.Get(cmd.Context(), "count", f.Query(), &count); err != nil {
		return false, err
	}
	if count.Count == 0 {
		fmt.Fprintln(c.out, "No deliveries match; nothing to replay.")
		return false, nil
	}
	if yes || !term.IsTerminal(c.in) {
		return true, nil
	}
	fmt.Fprintf(c.err, "Queue %s again? [y/N] ", deliveries(count.Count))
	line, err := interruptible(cmd.Context(), func() (string, error) {
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if err != nil {
		fmt.Fprintln(c.err)
		return false, err
	}
	if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
		fmt.Fprintln(c.err, "Nothing replayed.")
		return false, nil
	}
	return true, nil
}

// interruptible waits for what a person types, or until they give up.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	typed := make(chan result, 1)
	go func() {
		v, err := read()
		typed <- result{v, err}
	}()
	select {
	case r := <-typed:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, errors.New("interrupted; nothing was done")
	}
}

func deliveries(n int) string { return term.Count(n, "delivery", "deliveries") }

// bar is a progress bar on a terminal, and nothing elsewhere.
func (c *cli) bar(total int64, what string, bytes bool) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(c.err), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowBytes(bytes), progressbar.OptionSetVisibility(term.IsTerminal(c.err)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

func (c *cli) pauseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause WEBHOOK", Short: "Hold a webhook's deliveries", Args: cobra.ExactArgs(1),
		Long:    "Holds a webhook's deliveries until it is resumed; survives a restart. Events go on being queued for it.",
		Example: "  intellidocs-agent pause slack-ai --reason 'channel moves'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.webhookCall(cmd, args[0], "pause", map[string]string{"reason": reason}, "paused")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks next")
	return cmd
}

func (c *cli) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resume WEBHOOK", Short: "Let a held or paused webhook's deliveries go", Args: cobra.ExactArgs(1),
		Example: "  intellidocs-agent resume slack-ai",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.webhookCall(cmd, args[0], "resume", nil, "resumed")
		},
	}
}

func (c *cli) webhookCall(cmd *cobra.Command, name, verb string, body any, done string) error {
	desk, err := c.desk(cmd.Context())
	if err != nil {
		return err
	}
	defer desk.Close()
	var st admin.WebhookStatus
	if err := desk.Post(cmd.Context(), "webhooks/"+url.PathEscape(name)+"/"+verb, body, &st); err != nil {
		return err
	}
	waiting, hint := int(st.Counts["pending"]+st.Counts["retrying"]), ""
	if verb == "resume" {
		hint = desk.hint(waiting)
	}
	fmt.Fprintf(c.out, "%s %s: %s waiting.%s\n", name, done, deliveries(waiting), hint)
	return nil
}

func (c *cli) testCommand() *cobra.Command {
	var eventType string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "test WEBHOOK", Short: "Send one sample event to a webhook now", Args: cobra.ExactArgs(1),
		Long: "Sends one sample event to a webhook now, by the same path and under the same rules as real\n" +
			"ones, and prints the request and the response. Nothing is queued.",
		Example: "  intellidocs-agent test slack-ai\n  intellidocs-agent test slack-ai --event deletion_request_created",
		RunE: func(cmd *cobra.Command, args []string) error {
			desk, err := c.desk(cmd.Context())
			if err != nil {
				return err
			}
			defer desk.Close()
			var res admin.TestResult
			err = desk.Post(cmd.Context(), "webhooks/"+url.PathEscape(args[0])+"/test", map[string]string{"event_type": eventType}, &res)
			if err != nil {
				return err
			}
			return c.printTest(res, asJSON)
		},
	}
	cmd.Flags().StringVar(&eventType, "event", "scan_completed", "the event's `TYPE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

func (c *cli) printTest(res admin.TestResult, asJSON bool) error {
	colors := term.Colors(c.out)
	if asJSON {
		if err := printJSON(c.out, res); err != nil {
			return err
		}
	} else {
		printBlock(c.out, "> ", res.Request)
		printBlock(c.out, "< ", res.Response)
		took := term.Duration(res.Took)
		if res.Remote != "" {
			took += " from " + res.Remote
		}
		if res.Delivered {
			fmt.Fprintf(c.out, "%s in %s\n", term.Paint(colors, term.Good, "delivered"), took)
		} else {
			fmt.Fprintf(c.out, "%s %s (after %s)\n", term.Paint(colors, term.Bad, "not delivered:"), term.Printable(res.Error), took)
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
