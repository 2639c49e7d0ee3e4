package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

func newListen(c *cli) *cobra.Command {
	var sf secretFlags
	var o receiver.Options
	cmd := &cobra.Command{
		Use: "listen ADDR", Short: "Receive, verify and print webhooks", Args: cobra.ExactArgs(1),
		Long: "A receiver for trying things out. It prints each request, checks the X-IntelliDocs-Signature and\n" +
			"the Standard Webhooks signature if you give it the secret, and answers 200 unless told otherwise.",
		Example: "  intellidocs-agent listen 127.0.0.1:9000 --secret-file secret.txt\n" +
			"  intellidocs-agent listen 127.0.0.1:9000 --fail 3\n  intellidocs-agent listen 127.0.0.1:9000 --status 503 --delay 2s",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Secrets, o.PublicKey, err = sf.read(); err != nil {
				return err
			}
			if o.Status != 0 && (o.Status < 200 || o.Status > 599) {
				return usagef("--status %d: an HTTP status from 200 to 599", o.Status)
			}
			if _, _, err := net.SplitHostPort(args[0]); err != nil {
				return usagef("%q is not an address; give one such as 127.0.0.1:9000", args[0])
			}
			l, err := net.Listen("tcp", args[0])
			if err != nil {
				return fmt.Errorf("%w (give another address, or port 0 for any free port)", err)
			}
			fmt.Fprintf(c.out, "Listening on http://%s/ — stop with Ctrl-C.\n", l.Addr())
			return serve(cmd.Context(), l, receiver.New(o, func(r receiver.Received) { printReceived(c.out, r) }))
		},
	}
	sf.add(cmd)
	cmd.Flags().IntVar(&o.Status, "status", 0, "answer with this HTTP status (default 200, or 401 for a wrong signature)")
	cmd.Flags().Var((*durationFlag)(&o.Delay), "delay", "wait before the answer")
	cmd.Flags().IntVar(&o.Fail, "fail", 0, "answer the first `N` requests with 500")
	return cmd
}

// serve answers on l until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func printReceived(out io.Writer, r receiver.Received) {
	colors := term.Colors(out)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s %s → %d\n", r.At.Format("15:04:05.000"), r.Method, term.Printable(r.Path), r.Answer)
	for _, name := range []string{
		"Content-Type", "X-IntelliDocs-Event", "X-IntelliDocs-Delivery", "X-IntelliDocs-Attempt", sign.HeaderIntelliDocs,
		sign.HeaderID, sign.HeaderTimestamp, sign.HeaderSignature,
	} {
		if v := r.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "  %s: %s\n", name, term.Printable(v))
		}
	}
	if r.Checked {
		result := func(name string, err error) {
			if err == nil {
				fmt.Fprintf(&b, "  %s %s\n", term.Paint(colors, term.Good, "verified"), name)
			} else {
				fmt.Fprintf(&b, "  %s %s: %s\n", term.Paint(colors, term.Bad, "WRONG"), name, term.Printable(err.Error()))
			}
		}
		result("X-IntelliDocs-Signature", r.IntelliDocs)
		result("webhook-signature", r.Standard)
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, r.Body, "", "  ") != nil {
		pretty.Reset()
		pretty.Write(r.Body)
	}
	for line := range strings.SplitSeq(pretty.String(), "\n") {
		fmt.Fprintln(&b, "  "+term.Printable(line))
	}
	fmt.Fprint(out, b.String())
}
