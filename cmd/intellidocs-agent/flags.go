package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/nearest"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/parser"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// durationFlag is a flag with a length of time: a Go duration or, as in agent.toml, a bare number of
// seconds.
type durationFlag time.Duration

func (s *durationFlag) Type() string { return "duration" }

func (s *durationFlag) String() string {
	if *s == 0 {
		return "0" // which --help takes for no default worth telling
	}
	return time.Duration(*s).String()
}

func (s *durationFlag) Set(text string) error {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a length of time such as 10s, or a number of seconds", text)
	}
	*s = durationFlag(d)
	return nil
}

// secretFlags are how a command is given a secret. The process list shows flags, so a
// file or the environment is the better way; the flag is for trying things out.
type secretFlags struct {
	secret, file, public string
}

func (f *secretFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.secret, "secret", "", "the webhook's `SECRET`; the process list shows it, so prefer --secret-file or $INTELLIDOCS_AGENT_SECRET")
	cmd.Flags().StringVar(&f.file, "secret-file", "", "read the secret from `FILE`")
	cmd.Flags().StringVar(&f.public, "public-key", "", "the public `KEY` (whpk_…) that checks v1a signatures")
}

func (f *secretFlags) read() ([]sign.HMACKey, sign.PublicKey, error) {
	text := f.secret
	switch {
	case text != "" && f.file != "":
		return nil, nil, usagef("give either --secret or --secret-file")
	case f.file != "":
		data, err := os.ReadFile(f.file)
		if err != nil {
			return nil, nil, fmt.Errorf("--secret-file: %w", err)
		}
		text = string(data)
	case text == "":
		text = os.Getenv("INTELLIDOCS_AGENT_SECRET")
	}
	var secrets []sign.HMACKey
	if text != "" {
		text, err := config.CleanSecret(text)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("the secret: %w", err)}
		}
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

// filterFlags are the flags that select deliveries.
type filterFlags struct {
	status              []string
	webhook, eventType  string
	since, until, query string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.status, "status", nil, "only `STATUS`: pending, retrying, success or failed (separate several with commas)")
	fl.StringVar(&f.webhook, "webhook", "", "only to this webhook, by `NAME`")
	fl.StringVar(&f.eventType, "event-type", "", "only events of this `TYPE`")
	fl.StringVar(&f.since, "since", "", "only created after: `WHEN` is a time (2026-01-31T15:04:05Z, 2026-01-31) or how long ago (24h, 7d)")
	fl.StringVar(&f.until, "until", "", "only created before `WHEN`")
	fl.StringVar(&f.query, "search", "", "only those with `TEXT` in their IDs, error or payload")
}

func (f *filterFlags) empty() bool {
	return len(f.status) == 0 && f.webhook == "" && f.eventType == "" && f.since == "" && f.until == "" && f.query == ""
}

func (f *filterFlags) filter(now time.Time) (admin.Filter, error) {
	out := admin.Filter{Status: f.status, Webhook: f.webhook, EventType: f.eventType, Search: f.query}
	for _, s := range f.status {
		if !slices.Contains(statuses, s) {
			return out, unknown("--status", s, statuses)
		}
	}
	var err error
	if out.Since, err = admin.When(f.since, now); err != nil {
		return out, usagef("--since %w", err)
	}
	if out.Until, err = admin.When(f.until, now); err != nil {
		return out, usagef("--until %w", err)
	}
	return out, nil
}

// statuses are those of a delivery.
var statuses = []string{string(queue.Pending), string(queue.Retrying), string(queue.Success), string(queue.Failed)}

// check is asked where nothing was selected, and refuses names that the agent does not know:
// with a typo it would look as if all were well.
func (f *filterFlags) check(ctx context.Context, conn *connection) error {
	if f.webhook != "" {
		if err := knownWebhook(ctx, conn, "--webhook", f.webhook); err != nil {
			return err
		}
	}
	// Of other types any may come.
	if slices.Contains(parser.KnownTypes(), f.eventType) || nearest.Word(f.eventType, parser.KnownTypes()) == "" {
		return nil
	}
	n, err := conn.Count(ctx, admin.Filter{EventType: f.eventType})
	if err == nil && n == 0 {
		err = unknown("--event-type", f.eventType, parser.KnownTypes())
	}
	return err
}

// webhookNames are those of the configuration, and those that only have deliveries left.
func webhookNames(ctx context.Context, conn *connection) ([]string, error) {
	st, err := conn.Status(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range st.Webhooks {
		names = append(names, st.Webhooks[i].Name)
	}
	return names, nil
}

// knownWebhook refuses a name that no webhook has.
func knownWebhook(ctx context.Context, conn *connection, what, name string) error {
	names, err := webhookNames(ctx, conn)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	return unknown(what, name, names)
}

// namedWebhook says of an error that there is no such webhook which one was probably meant. The
// agent's own words are for one that has deliveries but is not in the configuration any more.
func namedWebhook(ctx context.Context, conn *connection, name string, err error) error {
	if errors.Is(err, admin.ErrNotFound) {
		err = cmp.Or(knownWebhook(ctx, conn, "webhook", name), err)
	}
	return err
}

// mistyped refuses the name of a webhook that is not known and looks like one that is. Others
// may be of webhooks that are gone, of which nothing is left.
func mistyped(ctx context.Context, conn *connection, what, name string) error {
	names, err := webhookNames(ctx, conn)
	if err != nil || name == "" || slices.Contains(names, name) || nearest.Word(name, names) == "" {
		return err
	}
	return unknown(what, name, names)
}

// unknown refuses a word where only some are possible.
func unknown(flag, word string, known []string) error {
	if near := nearest.Word(word, known); near != "" {
		return usagef("%s %q is not known; did you mean %q?", flag, word, near)
	}
	n := len(known) - 1
	switch n {
	case -1:
		return usagef("%s %q is not known; none is configured", flag, word)
	case 0:
		return usagef("%s %q is not known; there is only %s", flag, word, known[0])
	}
	return usagef("%s %q is not known; there are %s and %s", flag, word, strings.Join(known[:n], ", "), known[n])
}

// nearestFlag adds to the error of a flag that does not exist the one that was meant.
func nearestFlag(cmd *cobra.Command, err error) error {
	var no *pflag.NotExistError
	if !errors.As(err, &no) || no.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest.Word(no.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}
