package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
	"github.com/dawnsystem/intellidocs-agent/parser"
)

func newDemo(c *cli) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Run the whole pipeline here, without any setup", Args: cobra.NoArgs,
		Long: "Runs the real agent over a real log file in a temporary directory, with two receivers on this\n" +
			"machine that verify every signature. One of them fails twice first, to show the retries.\n" +
			"--once stops after the three known events and exits 0 only if all of them were verified.",
		Example: "  intellidocs-agent demo\n  intellidocs-agent demo --once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := prepareDemo(c)
			if err != nil {
				return err
			}
			return errors.Join(d.run(cmd.Context(), once), os.RemoveAll(d.dir))
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "stop after the three events; exit 0 only if all were verified")
	return cmd
}

// flakyFails is how often the second receiver fails before it works.
const flakyFails = 2

// demo is a log, two receivers and an agent between them.
type demo struct {
	c      *cli
	dir    string
	log    string
	secret sign.HMACKey
	colors bool
	begun  time.Time

	mu       sync.Mutex
	verified map[string]bool // webhook and event id
	wrong    int
	changed  chan struct{}
}

func prepareDemo(c *cli) (*demo, error) {
	dir, err := os.MkdirTemp("", "intellidocs-agent-demo-")
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	secret, err := sign.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString(key))
	if err != nil {
		return nil, err
	}
	d := &demo{
		c: c, dir: dir, log: filepath.Join(dir, "ai_webhooks.log"), secret: secret, colors: term.Colors(c.out),
		verified: map[string]bool{}, changed: make(chan struct{}, 1),
	}
	return d, os.WriteFile(filepath.Join(dir, "secret"), []byte("whsec_"+base64.StdEncoding.EncodeToString(key)), 0o600)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.c.out, format+"\n", args...) }

func (d *demo) run(ctx context.Context, once bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	steady, err := d.receive(ctx, "steady", 0)
	if err != nil {
		return err
	}
	flaky, err := d.receive(ctx, "flaky", flakyFails)
	if err != nil {
		return err
	}
	a, err := d.agent(ctx, steady, flaky)
	if err != nil {
		return err
	}
	d.begun = time.Now()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	// The agent's listeners are open before it reads or sends anything.
	select {
	case <-a.Ready():
	case err := <-ended:
		return fmt.Errorf("the agent did not start: %w", err)
	}
	d.intro(a)
	play := d.forever
	if once {
		play = d.once
	}
	err = play(ctx)
	stop()
	return errors.Join(err, <-ended)
}

func (d *demo) intro(a *agent.Agent) {
	d.say("%s", term.Paint(d.colors, term.Strong, "intellidocs-agent demo"))
	d.say("  log        %s", d.log)
	d.say("  state      %s", filepath.Join(d.dir, "state"))
	d.say("  dashboard  %s", a.Dashboard())
	d.say("  receivers  steady answers 200; flaky answers 500 the first %d times; both verify every signature\n", flakyFails)
	d.say("%s", term.Paint(d.colors, term.Faint, fmt.Sprintf("%8s  %-9s %-26s %-8s %s", "seconds", "webhook", "event", "attempt", "answer")))
}

// agent opens a real agent over the demo's own agent.toml.
func (d *demo) agent(ctx context.Context, steady, flaky string) (*agent.Agent, error) {
	path := filepath.Join(d.dir, "agent.toml")
	text := fmt.Sprintf(`[state]
path = %q

[[source]]
type = "log"
path = %q

[security]
allow_internal_requests = true

[admin]
listen = "127.0.0.1:0"

[log]
level = "error"

[[webhook]]
name = "steady"
url = %q
secret_file = %q

[[webhook]]
name = "flaky"
url = %q
secret_file = %q
retry_delay = 1
`, filepath.Join(d.dir, "state"), d.log, steady, filepath.Join(d.dir, "secret"), flaky, filepath.Join(d.dir, "secret"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	plan, err := agent.Load(path, d.c.err)
	if err != nil {
		return nil, err
	}
	return agent.Open(ctx, plan, agent.Options{Version: buildVersion(), Running: true, Grace: 3 * time.Second})
}

// receive opens a receiver and returns its address.
func (d *demo) receive(ctx context.Context, name string, fail int) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h := receiver.New(receiver.Options{Secrets: []sign.HMACKey{d.secret}, Fail: fail}, func(r receiver.Received) { d.received(name, r) })
	go func() { _ = serve(ctx, l, h) }() // its end is the demo's
	return fmt.Sprintf("http://%s/%s", l.Addr(), name), nil
}

func (d *demo) received(name string, r receiver.Received) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, style := fmt.Sprintf("%d, both signatures verified", r.Answer), term.Good
	switch {
	case !r.Verified():
		text, style = fmt.Sprintf("%d, WRONG SIGNATURE: %s", r.Answer, term.PrintableLines(errors.Join(r.IntelliDocs, r.Standard).Error())), term.Bad
		d.wrong++
	case r.Answer/100 != 2:
		text, style = fmt.Sprintf("%d on purpose, to be retried", r.Answer), term.Warn
	default:
		d.verified[name+" "+r.Header.Get(sign.HeaderID)] = true
	}
	d.say("%8.2f  %-9s %-26s %-8s %s", time.Since(d.begun).Seconds(), name, term.Printable(r.Header.Get("X-IntelliDocs-Event")),
		term.Printable(r.Header.Get("X-IntelliDocs-Attempt")), term.Paint(d.colors, style, text))
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// record is a line of ai_webhooks.log as the Django application beside IntelliDocs writes it.
type record struct {
	Time    string         `json:"asctime"`
	Level   string         `json:"levelname"`
	Logger  string         `json:"name"`
	Message string         `json:"message"`
	Event   map[string]any `json:"event,omitempty"`
}

func (d *demo) write(logger, message string, event map[string]any) error {
	f, err := os.OpenFile(d.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r := record{time.Now().Format("2006-01-02 15:04:05,000"), "INFO", logger, message, event}
	return errors.Join(term.JSON(f, r), f.Close())
}

func (d *demo) writeEvent(eventType string) error {
	event, ok := events.AsSent(eventType, time.Now())
	if !ok {
		var err error
		if event, err = events.Sample(eventType, time.Now()); err != nil {
			return err
		}
	}
	return d.write(parser.Logger, eventType, event)
}

// once writes the three known events among other records and waits for all six deliveries.
func (d *demo) once(ctx context.Context) error {
	if err := d.write("paperless.consumer", "Consuming 2025-11-14 invoice.pdf", nil); err != nil {
		return err
	}
	for _, typ := range events.Types() {
		if err := d.writeEvent(typ); err != nil {
			return err
		}
	}
	want := 2 * len(events.Types())
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	for {
		d.mu.Lock()
		got, wrong := len(d.verified), d.wrong
		d.mu.Unlock()
		switch {
		case wrong > 0:
			return fmt.Errorf("%d requests had a wrong signature", wrong)
		case got == want:
			d.say("\n%s", term.Paint(d.colors, term.Good, fmt.Sprintf("All %d deliveries of %d events arrived, every signature verified.", want, len(events.Types()))))
			return nil
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return errors.New("interrupted before all deliveries arrived")
		case <-limit.C:
			return fmt.Errorf("only %d of %d deliveries arrived within a minute", got, want)
		}
	}
}

// forever writes an event now and then until it is stopped.
func (d *demo) forever(ctx context.Context) error {
	if err := d.once(ctx); err != nil {
		return err
	}
	d.say("\nContinuing with an event every few seconds. Open the dashboard, or write to the log yourself. Stop with Ctrl-C.\n")
	tick := time.NewTicker(4 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.writeEvent(events.Types()[i%len(events.Types())]); err != nil {
			return err
		}
	}
}
