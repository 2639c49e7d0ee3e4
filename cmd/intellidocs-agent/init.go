package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/setup"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// initCommand is what init was asked for: the answers of somebody who is not asked.
type initCommand struct {
	*cli
	from, data, log, spool, state string
	url, name, format, secretFile string
	secret                        string // generate, none, or empty: asked for
	force                         bool
}

func newInit(c *cli) *cobra.Command {
	f := &initCommand{cli: c}
	cmd := &cobra.Command{
		Use: "init", Short: "Write a first agent.toml", Args: cobra.NoArgs,
		Long: "Writes agent.toml to the path that -c names, with its secrets in separate files beside it, and\n" +
			"checks it. On a terminal it asks for what the flags leave open: where IntelliDocs' data is, where\n" +
			"to send events, and whether to sign them. --from imports the webhooks of IntelliDocs' own admin\n" +
			"instead, and reports what it cannot import. Nothing is overwritten without --force.",
		Example: "  intellidocs-agent init -c agent.toml\n" +
			"  intellidocs-agent init -c agent.toml --data ./data --url https://example.org/hook --secret generate\n" +
			"  python3 manage.py dumpdata documents.AIWebhookConfig | intellidocs-agent init --from -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, pair := range [][2]string{{"log", "spool"}, {"from", "url"}, {"secret", "secret-file"}} {
				if cmd.Flags().Changed(pair[0]) && cmd.Flags().Changed(pair[1]) {
					return usagef("give either --%s or --%s", pair[0], pair[1])
				}
			}
			return f.run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "import the webhooks of a dump, `FILE` or - (manage.py dumpdata documents.AIWebhookConfig)")
	fl.StringVar(&f.data, "data", "", "IntelliDocs' data `DIR`, the one that contains log/")
	fl.StringVar(&f.log, "log", "", "the log `FILE` to read (default log/ai_webhooks.log in --data)")
	fl.StringVar(&f.spool, "spool", "", "read a spool `DIR` instead of a log")
	fl.StringVar(&f.state, "state", "", "the state `DIR` (default /var/lib/intellidocs-agent)")
	fl.StringVar(&f.url, "url", "", "the `URL` to send events to")
	fl.StringVar(&f.name, "name", "", "the webhook's `NAME` (default: from its host)")
	fl.StringVar(&f.format, "format", "", "the `FORMAT` of the requests (default: from the URL, else json)")
	fl.StringVar(&f.secret, "secret", "", "how to sign: `generate` a new secret, or none")
	fl.StringVar(&f.secretFile, "secret-file", "", "sign with the secret in `FILE`, which is copied")
	fl.BoolVar(&f.force, "force", false, "replace existing files")
	return cmd
}

func (f *initCommand) run(ctx context.Context) error {
	target, err := filepath.Abs(f.configPath())
	if err != nil {
		return err
	}
	if _, err := os.Lstat(target); err == nil && !f.force {
		return fmt.Errorf("%s: %w; name another file with -c, or replace it with --force", target, setup.ErrExists)
	}
	s := &setup.Setup{}
	if f.state != "" {
		if s.StatePath, err = filepath.Abs(f.state); err != nil {
			return err
		}
	}
	q := &questions{ctx: ctx, in: bufio.NewReader(f.in), out: f.err, asks: term.IsTerminal(f.in)}
	if err := f.source(q, s); err != nil {
		return err
	}
	var dropped []string
	if f.from != "" {
		if s.Webhooks, dropped, err = f.takeOver(); err != nil {
			return fmt.Errorf("%s: %w", f.from, err)
		}
	} else if err := f.webhook(q, s); err != nil {
		return err
	}
	dropped = append(dropped, s.Fit(passes)...)
	if len(s.Webhooks) == 0 {
		f.notCarried(dropped)
		return errors.New("nothing was written: none of the webhooks can be imported")
	}
	if f.from == "" && len(dropped) > 0 {
		return errors.New(dropped[0])
	}
	if err := setup.Write(target, s.Files(), f.force); err != nil {
		if errors.Is(err, setup.ErrExists) {
			return fmt.Errorf("%w; nothing was written. Move it away, or replace it with --force", err)
		}
		return fmt.Errorf("nothing was written: %w (name a file that this user may write with -c)", err)
	}
	f.notCarried(dropped)
	return f.written(ctx, target, s)
}

// notCarried says what of a dump has no place here.
func (f *initCommand) notCarried(dropped []string) {
	for _, what := range dropped {
		fmt.Fprintln(f.err, "not imported:", term.Printable(what))
	}
}

// written checks what was written, as "check" does, and says what comes next.
func (f *initCommand) written(ctx context.Context, target string, s *setup.Setup) error {
	fmt.Fprintf(f.out, "%s was written%s.\n", target, map[bool]string{true: ", its secrets in " + setup.SecretsDir + "/ beside it"}[len(s.Files()) > 1])
	f.configFile = target
	if err := (&checkCommand{cli: f.cli}).run(ctx); err != nil {
		return err
	}
	name := s.Webhooks[0].Name
	if i := slices.IndexFunc(s.Webhooks, func(w setup.Webhook) bool { return !w.Disabled }); i >= 0 {
		name = s.Webhooks[i].Name
	}
	fmt.Fprintf(f.out, "Try: intellidocs-agent test %s -c %s\nThen: intellidocs-agent run -c %s\n", name, target, target)
	return nil
}

func (f *initCommand) takeOver() ([]setup.Webhook, []string, error) {
	if f.from == "-" {
		return setup.FromDump(f.in)
	}
	file, err := os.Open(f.from)
	if err != nil {
		return nil, nil, errors.Unwrap(err)
	}
	defer file.Close()
	return setup.FromDump(file)
}

// passes loads a configuration as the agent does, from a directory of its own.
func passes(s *setup.Setup) error {
	dir, err := os.MkdirTemp("", "intellidocs-agent-init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "agent.toml")
	if err := setup.Write(path, s.Files(), false); err != nil {
		return err
	}
	_, err = agent.Load(path, nil)
	var all config.Errors
	if errors.As(err, &all) && len(all) > 0 {
		key := all[0].Key[strings.LastIndexByte(all[0].Key, '.')+1:]
		return fmt.Errorf("%s: %s", key, strings.ReplaceAll(all[0].Text, dir+"/", ""))
	}
	return err
}

// questions asks on a terminal, and elsewhere says which flag answers.
type questions struct {
	ctx  context.Context
	in   *bufio.Reader
	out  io.Writer
	asks bool
}

// ask asks until good takes the answer; an empty answer means usual.
func (q *questions) ask(question, usual string, good func(string) error) (string, error) {
	for range 20 {
		fmt.Fprint(q.out, question)
		if usual != "" {
			fmt.Fprintf(q.out, " [%s]", usual)
		}
		fmt.Fprint(q.out, " ")
		line, err := term.Interruptible(q.ctx, func() (string, error) { return q.in.ReadString('\n') })
		if err != nil {
			fmt.Fprintln(q.out)
			if errors.Is(err, io.EOF) {
				err = errors.New("no answer; nothing was written")
			}
			return "", err
		}
		answer := strings.TrimSpace(line)
		if answer == "" {
			answer = usual
		}
		if err := good(answer); err != nil {
			fmt.Fprintln(q.out, " ", err)
			continue
		}
		return answer, nil
	}
	return "", errors.New("no usable answer; nothing was written")
}

// dataDirs are where IntelliDocs' data usually is.
var dataDirs = []string{"/usr/src/paperless/data", "/opt/intellidocs/data", "/opt/paperless/data", "/var/lib/paperless", "data"}

const eventLog = "log/ai_webhooks.log"

// source finds out what is read.
func (f *initCommand) source(q *questions, s *setup.Setup) (err error) {
	s.SourceType = "log"
	switch {
	case f.spool != "":
		s.SourceType, s.SourcePath = "spool", f.spool
	case f.log != "":
		s.SourcePath = f.log
	default:
		if f.data == "" {
			usual := ""
			for _, dir := range slices.Backward(dataDirs) {
				if info, err := os.Stat(filepath.Join(dir, "log")); err == nil && info.IsDir() {
					usual = dir
				}
			}
			switch {
			case q.asks:
				f.data, err = q.ask("Where is IntelliDocs' data directory, with log/ in it?", usual, directory)
			case usual == "":
				err = usagef("say where events come from: --data DIR, --log FILE or --spool DIR")
			default:
				f.data = usual
			}
		}
		if err != nil {
			return err
		}
		s.SourcePath = filepath.Join(f.data, eventLog)
	}
	if s.SourcePath, err = filepath.Abs(s.SourcePath); err != nil {
		return err
	}
	if q.asks && s.SourceType == "log" {
		if _, err := os.Stat(s.SourcePath); err == nil {
			fmt.Fprintf(q.out, "  found %s\n", s.SourcePath)
		} else {
			fmt.Fprintf(q.out, "  %s is not there yet; IntelliDocs writes it with its first AI event\n", s.SourcePath)
		}
	}
	return nil
}

func directory(path string) error {
	info, err := os.Stat(path)
	switch {
	case path == "":
		return errors.New("a directory is needed, such as /usr/src/paperless/data")
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	}
	return nil
}

// webhook finds out where events go, and whether they are signed.
func (f *initCommand) webhook(q *questions, s *setup.Setup) (err error) {
	fits := func(url string) error {
		candidate := setup.Setup{SourceType: "log", SourcePath: "/log", Webhooks: []setup.Webhook{{Name: "webhook", URL: url, Format: setup.FormatFor(url)}}}
		return passes(&candidate)
	}
	if f.url == "" && !q.asks {
		return usagef("say where events go: --url URL, or --from FILE")
	}
	if f.url == "" {
		if f.url, err = q.ask("Where should events be sent (a URL)?", "", fits); err != nil {
			return err
		}
	}
	w := setup.Webhook{URL: strings.TrimSpace(f.url), Format: f.format}
	if w.Format == "" {
		w.Format = setup.FormatFor(w.URL)
	}
	w.Name = f.name
	if w.Name == "" {
		w.Name = setup.Name(setup.HostOf(w.URL, w.Format), map[string]bool{})
	}
	if w.Secret, err = f.signing(q, w.Format); err != nil {
		return err
	}
	s.Webhooks = []setup.Webhook{w}
	return nil
}

// signing returns the secret, empty for none.
func (f *initCommand) signing(q *questions, format string) (secret string, err error) {
	if f.secretFile != "" {
		data, err := os.ReadFile(f.secretFile)
		if err != nil {
			return "", err
		}
		return config.CleanSecret(string(data))
	}
	if f.secret == "" && q.asks && format == "json" {
		f.secret, err = q.ask("Sign requests, so that the receiver can verify them? (generate, none)", "generate", secretWord)
		if err != nil {
			return "", err
		}
	}
	switch {
	case f.secret == "", f.secret == "none": // a chat checks no signature
		return "", nil
	case secretWord(f.secret) != nil:
		// It is not repeated: it may be one.
		return "", usagef(`--secret is "generate" or "none"; to use a secret of your own, put it in a file and name it with --secret-file`)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	return hex.EncodeToString(key), nil
}

func secretWord(s string) error {
	if s != "generate" && s != "none" {
		return errors.New("answer generate or none")
	}
	return nil
}
