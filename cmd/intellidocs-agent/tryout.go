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
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// secretFlags are how a command is given a secret. The process list shows flags, so a
// file or the environment is the better way; the flag is for trying things out.
type secretFlags struct {
	secret, file, public string
}

func (f *secretFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.secret, "secret", "", "the webhook's `SECRET`; the process list shows it, prefer --secret-file or $INTELLIDOCS_AGENT_SECRET")
	cmd.Flags().StringVar(&f.file, "secret-file", "", "read the secret from `FILE`")
	cmd.Flags().StringVar(&f.public, "public-key", "", "the `KEY` (whpk_…) that v1a signatures must be of")
}

func (f *secretFlags) read() ([]sign.Secret, sign.PublicKey, error) {
	text := f.secret
	switch {
	case text != "" && f.file != "":
		return nil, nil, usagef("--secret and --secret-file exclude each other")
	case f.file != "":
		data, err := os.ReadFile(f.file)
		if err != nil {
			return nil, nil, fmt.Errorf("--secret-file: %w", err)
		}
		text = strings.TrimRight(string(data), "\r\n")
	case text == "":
		text = os.Getenv("INTELLIDOCS_AGENT_SECRET")
	}
	var secrets []sign.Secret
	if text != "" {
		s, err := sign.ParseSecret(text)
		if err != nil {
			return nil, nil, usageError{err}
		}
		secrets = append(secrets, s)
	}
	if f.public == "" {
		return secrets, nil, nil
	}
	key, err := sign.ParsePublicKey(f.public)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return secrets, key, nil
}

func (c *cli) listenCommand() *cobra.Command {
	var sf secretFlags
	var o receiver.Options
	cmd := &cobra.Command{
		Use: "listen ADDR", Short: "Receive webhooks, verify and print them", Args: cobra.ExactArgs(1),
		Long: "A receiver for trying things out: prints each request, checks the X-IntelliDocs-Signature\n" +
			"and the Standard Webhooks signature where a secret is given, and answers 200, or as told.",
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
				return usagef("%q is no address; give one such as 127.0.0.1:9000", args[0])
			}
			l, err := net.Listen("tcp", args[0])
			if err != nil {
				return fmt.Errorf("%w (give another address, or port 0 for any free one)", err)
			}
			fmt.Fprintf(c.out, "Listening on http://%s/ — stop with Ctrl-C.\n", l.Addr())
			return serve(cmd.Context(), l, receiver.New(o, c.printReceived))
		},
	}
	sf.add(cmd)
	cmd.Flags().IntVar(&o.Status, "status", 0, "answer with this HTTP status (default 200, or 401 for a wrong signature)")
	cmd.Flags().Var((*span)(&o.Delay), "delay", "wait before the answer")
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

func (c *cli) printReceived(r receiver.Received) {
	colors := term.Colors(c.out)
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
		verdict := func(name string, err error) {
			if err == nil {
				fmt.Fprintf(&b, "  %s %s\n", term.Paint(colors, term.Good, "verified"), name)
			} else {
				fmt.Fprintf(&b, "  %s %s: %s\n", term.Paint(colors, term.Bad, "WRONG"), name, term.Printable(err.Error()))
			}
		}
		verdict("X-IntelliDocs-Signature", r.IntelliDocs)
		verdict("webhook-signature", r.Standard)
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, r.Body, "", "  ") != nil {
		pretty.Reset()
		pretty.Write(r.Body)
	}
	for line := range strings.SplitSeq(pretty.String(), "\n") {
		fmt.Fprintln(&b, "  "+term.Printable(line))
	}
	fmt.Fprint(c.out, b.String())
}

func (c *cli) verifyCommand() *cobra.Command {
	var sf secretFlags
	var signature, id, timestamp string
	var tolerance span
	cmd := &cobra.Command{
		Use: "verify", Short: "Check a signature of a body read from standard input", Args: cobra.NoArgs,
		Long: "Checks a signature of the body on standard input: an X-IntelliDocs-Signature (sha256=…), or\n" +
			"a Standard Webhooks webhook-signature (v1,… or v1a,…) with its --id and --timestamp.\n" +
			"Exits 0 where it is right and 1 where it is not.",
		Example: "  intellidocs-agent verify --secret-file secret.txt --signature sha256=5257… < body.json\n" +
			"  intellidocs-agent verify --secret-file secret.txt --id evt_… --timestamp 1700000000 --signature v1,K5oZ… < body.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			secrets, public, err := sf.read()
			if err != nil {
				return err
			}
			standard := strings.HasPrefix(signature, "v1")
			switch {
			case signature == "":
				return usagef("give the header's value with --signature")
			case !standard && !strings.HasPrefix(signature, "sha256="):
				return usagef("--signature %q: X-IntelliDocs-Signature begins with sha256=, webhook-signature with v1, or v1a,", signature)
			case len(secrets) == 0 && (public == nil || !standard):
				return usagef("give the secret with --secret-file, $INTELLIDOCS_AGENT_SECRET or --secret")
			case standard && (id == "" || timestamp == ""):
				return usagef("a Standard Webhooks signature needs --id (webhook-id) and --timestamp (webhook-timestamp) too")
			}
			if term.IsTerminal(c.in) {
				fmt.Fprintln(c.err, "Reading the body from the terminal; end it with Ctrl-D, or give it as '< body.json'.")
			}
			body, err := interruptible(cmd.Context(), func() ([]byte, error) {
				return io.ReadAll(io.LimitReader(c.in, receiver.MaxBody))
			})
			if err != nil {
				return fmt.Errorf("read the body from standard input: %w", err)
			}
			if standard {
				h := http.Header{}
				h.Set(sign.HeaderID, id)
				h.Set(sign.HeaderTimestamp, timestamp)
				h.Set(sign.HeaderSignature, signature)
				err = sign.Verify(sign.Check{Header: h, Body: body, Secrets: secrets, PublicKey: public, Now: time.Now(), Tolerance: time.Duration(tolerance)})
			} else if receiver.Documented(secrets, body, signature) != nil && sign.VerifyBody(secrets, body, signature) != nil {
				err = receiver.Documented(secrets, body, signature)
			}
			if err != nil {
				return fmt.Errorf("not verified: %w; is it the right secret, and the body byte for byte as it came (no newline added)?", err)
			}
			fmt.Fprintln(c.out, "verified")
			return nil
		},
	}
	sf.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&signature, "signature", "", "the signature header's `VALUE`")
	fl.StringVar(&id, "id", "", "the webhook-id header's `VALUE`")
	fl.StringVar(&timestamp, "timestamp", "", "the webhook-timestamp header's `VALUE`")
	fl.Var(&tolerance, "tolerance", "how old the timestamp may be (default 0: any age)")
	return cmd
}
