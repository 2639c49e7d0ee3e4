package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

func newVerify(c *cli) *cobra.Command {
	var sf secretFlags
	var signature, id, timestamp string
	var tolerance durationFlag
	cmd := &cobra.Command{
		Use: "verify", Short: "Check a signature over a body from standard input", Args: cobra.NoArgs,
		Long: "Checks a signature of the body on standard input: an X-IntelliDocs-Signature (sha256=…), or\n" +
			"a Standard Webhooks webhook-signature (v1,… or v1a,…) with its --id and --timestamp.\n" +
			"Exits 0 if it is right and 1 if it is not.",
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
				fmt.Fprintln(c.err, "Reading the body from the terminal; end it with Ctrl-D, or use '< body.json'.")
			}
			body, err := term.Interruptible(cmd.Context(), func() ([]byte, error) {
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
				return fmt.Errorf("not verified: %w; is it the right secret, and is the body exactly as it came (no newline added)?", err)
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
