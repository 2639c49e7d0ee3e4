package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// topCommand is what top was asked for.
type topCommand struct {
	*cli
	every durationFlag
	once  bool
}

func newTop(c *cli) *cobra.Command {
	t := &topCommand{cli: c, every: durationFlag(2 * time.Second)}
	cmd := &cobra.Command{
		Use: "top", Short: "Watch webhooks, sources and failures live", Args: cobra.NoArgs,
		Long: "Shows, until Ctrl-C, whether anything is wrong, every webhook with its rate and backlog (failing\n" +
			"webhooks first), the sources, and the last failures. --once prints this once and ends, which is\n" +
			"also what happens when the output is not a terminal.",
		Example: "  intellidocs-agent top\n  intellidocs-agent top --once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.every <= 0 {
				return usagef("--every needs a time such as 2s")
			}
			if t.once || !term.IsTerminal(c.out) {
				return t.print(cmd.Context())
			}
			return t.watch(cmd.Context())
		},
	}
	cmd.Flags().Var(&t.every, "every", "how often to refresh")
	cmd.Flags().BoolVar(&t.once, "once", false, "print it once")
	return cmd
}

// print shows the view once.
func (t *topCommand) print(ctx context.Context) error {
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	v, err := fetchView(ctx, conn)
	if err != nil {
		return err
	}
	width, _ := term.Size(t.out)
	for _, line := range v.lines(cmp.Or(width, 140), 1000, term.Colors(t.out)) {
		fmt.Fprintln(t.out, strings.TrimRight(line, " "))
	}
	return nil
}

// watch draws the view again and again, until ctx ends.
func (t *topCommand) watch(ctx context.Context) error {
	client, err := t.dial(ctx)
	if errors.Is(err, admin.ErrNotRunning) {
		return errors.New("there is nothing to watch while no agent is running; start it: intellidocs-agent run, or look at the state once: intellidocs-agent top --once")
	}
	if err != nil {
		return err
	}
	conn := toAgent(client)
	screen := term.NewScreen(t.out)
	defer screen.Close()
	tick := time.NewTicker(time.Duration(t.every))
	defer tick.Stop()
	for {
		v, err := fetchView(ctx, conn)
		if ctx.Err() != nil {
			return nil
		}
		width, height := term.Size(t.out)
		if err != nil {
			screen.Draw(width, height, []string{term.Cell("The agent does not answer; waiting for it. "+err.Error(), width)})
		} else {
			screen.Draw(width, height, v.lines(width, height, term.Colors(t.out)))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// view is what top shows.
type view struct {
	status admin.Status
	failed []admin.Row
	now    time.Time
}

// lastFailures is how many are shown.
const lastFailures = 5

// fetchView asks for what top shows.
func fetchView(ctx context.Context, conn *connection) (v view, err error) {
	if v.status, err = conn.Status(ctx); err != nil {
		return v, err
	}
	f := admin.Filter{Status: []string{string(queue.Failed), string(queue.Retrying)}, Subjects: true}
	_, err = conn.Deliveries(ctx, f, lastFailures, func(d *admin.Row) error {
		v.failed = append(v.failed, *d)
		return nil
	})
	v.now = time.Now()
	return v, err
}

// lines fits the view into a terminal. What cannot be shown is counted.
func (v *view) lines(width, height int, colors bool) (lines []string) {
	add := func(style term.Style, text string) {
		lines = append(lines, term.Paint(colors, style, term.Cell(text, width)))
	}
	s := &v.status
	if s.Running {
		add(map[admin.Level]term.Style{admin.LevelBad: term.Bad, admin.LevelWarn: term.Warn}[s.Health.Level], s.Health.Text)
		for _, a := range s.Health.Attention[:min(3, len(s.Health.Attention))] {
			add(term.Plain, "  "+strings.TrimSpace(a.Name+" "+a.Text)+" "+a.Hint)
		}
	} else if s.Queue.Engine != "" {
		add(term.Plain, "No agent runs here; this is what the database has.")
		s.Sources = nil
	} else {
		add(term.Warn, "No agent is running: nothing is read or sent. Start it with 'intellidocs-agent run'.")
		s.Sources = nil
	}
	add(term.Faint, fmt.Sprintf("%d waiting, %d failed, %d delivered, %d rejected; %s", s.Counts.Waiting(), s.Counts["failed"], s.Counts["success"], s.Rejected, queueSize(&s.Queue)))
	lines = append(lines, v.agents(width, colors)...)
	add(term.Plain, "")
	below := 2 + len(s.Sources) + 2 + len(v.failed)
	room := max(height-len(lines)-1-below, 3)
	lines = append(lines, v.webhooks(width, room, colors)...)
	if len(s.Sources) > 0 {
		add(term.Plain, "")
		add(term.Strong, fmt.Sprintf("%-11s  %10s  %-10s  %s", "SOURCE", "BEHIND", "LAST", "PATH"))
	}
	for i := range s.Sources {
		src := &s.Sources[i]
		state, style, last := "reading", term.Good, "never"
		switch {
		case src.Elsewhere:
			state, style = "elsewhere", term.Plain
		case !src.Ready:
			state, style = "not read", term.Bad
		case src.Warning != "":
			state, style = "reading", term.Warn
		case src.Reason != "":
			state, style = "waiting", term.Plain
		}
		if src.LastRecord != nil {
			last = term.Ago(*src.LastRecord)
		}
		text := term.Cell(fmt.Sprintf("%10s  %-10s  %s", term.Bytes(src.LagBytes), last, strings.TrimSpace(src.Name+"  "+cmp.Or(src.Reason, src.Warning))), max(width-13, 10))
		lines = append(lines, term.Paint(colors, style, term.Cell(state, 11))+"  "+text)
	}
	if len(v.failed) > 0 {
		add(term.Plain, "")
		add(term.Strong, "LAST FAILURES")
		for i := range v.failed {
			d := &v.failed[i]
			add(term.Plain, fmt.Sprintf("%s  %-9s %s: %s  %s", queue.ShortID(d.ID), string(d.Status), d.Webhook, strings.TrimSpace(cmp.Or(words[d.EventType], d.EventType)+" "+d.Subject), d.ErrorMessage))
		}
	}
	return lines
}

// queueSize is what the queue takes, and where.
func queueSize(q *admin.QueueStatus) string {
	text := term.Bytes(q.Bytes)
	if q.MaxSize > 0 {
		text += " of " + term.Bytes(q.MaxSize)
	}
	if q.Engine != "" {
		return text + " in " + q.Engine
	}
	return text + " on the disk"
}

// agents are those that share the queue.
func (v *view) agents(width int, colors bool) (lines []string) {
	for i := range v.status.Agents {
		a := &v.status.Agents[i]
		style := term.Plain
		if a.State == admin.AgentGone {
			style = term.Warn
		}
		text := fmt.Sprintf("agent %s, %s: %s", a.Name, a.State, cmp.Or(strings.Join(a.Webhooks, ", "), "serves nothing"))
		lines = append(lines, term.Paint(colors, style, term.Cell(text, width)))
	}
	return lines
}

// sickness orders webhooks: those that need somebody first.
func sickness(w *admin.WebhookStatus) int {
	return slices.Index([]dispatch.Condition{dispatch.Healthy, dispatch.Retrying, dispatch.Held, dispatch.Paused}, w.State.State)
}

func (v *view) webhooks(width, room int, colors bool) (lines []string) {
	all := slices.Clone(v.status.Webhooks)
	slices.SortStableFunc(all, func(a, b admin.WebhookStatus) int {
		return cmp.Or(sickness(&b)-sickness(&a), cmp.Compare(b.Counts.Waiting(), a.Counts.Waiting()))
	})
	name := 7
	for i := range all {
		name = max(name, min(len(all[i].Name), 24))
	}
	head := fmt.Sprintf("%s  %s %7s %7s %8s  %-10s %s", term.Cell("STATE", 9), term.Cell("WEBHOOK", name), "PER MIN", "P99", "WAITING", "OLDEST", "ERROR")
	lines = append(lines, term.Paint(colors, term.Strong, term.Cell(head, width)))
	for i := range all {
		w := &all[i]
		if len(lines) >= room && i < len(all)-1 {
			return append(lines, term.Cell(fmt.Sprintf("… and %d more", len(all)-i), width))
		}
		p99, oldest := "", ""
		if w.P99 > 0 {
			p99 = term.Duration(w.P99)
		}
		if w.OldestDue != nil {
			oldest = term.Ago(*w.OldestDue)
			if w.OldestDue.After(v.now) {
				oldest = term.Until(*w.OldestDue)
			}
		}
		why := cmp.Or(w.Reason, w.LastError)
		if w.State.State == dispatch.Held && w.NextProbe.After(v.now) {
			why = "next try " + term.Until(w.NextProbe) + "; " + why
		}
		state := string(w.State.State)
		rest := fmt.Sprintf("%s %7.1f %7s %8d  %-10s %s", term.Cell(w.Name, name), w.PerMinute, p99, w.Counts.Waiting(), oldest, why)
		lines = append(lines, term.Paint(colors, term.StatusStyle(state), term.Cell(state, 9))+"  "+term.Cell(rest, max(width-11, 10)))
	}
	return lines
}
