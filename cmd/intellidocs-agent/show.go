package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

func newShow(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show everything about one event, delivery or rejected record", Args: cobra.ExactArgs(1),
		Long: "Shows everything about an event or a delivery: where it was read, its payload, every\n" +
			"attempt with its time, status, latency, response and error, replays, and when it is due next.\n" +
			"An ID may be shortened, as long as no other ID begins the same.",
		Example: "  intellidocs-agent show dlv_0011223300000000000000a100000001\n  intellidocs-agent show evt_5d0c… --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !looksLikeID(args[0], "evt", "dlv", "rej") {
				return usagef("%q is not an ID: an event's begins with evt_, a delivery's with dlv_, a rejected record's with rej_; 'deliveries' shows short ones such as 3f2a1b7.0", args[0])
			}
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			id, kind, err := conn.find(cmd.Context(), args[0], "evt", "dlv", "rej")
			if err != nil {
				return err
			}
			if kind == "rej" {
				r, err := conn.RejectedRecord(cmd.Context(), id)
				return printOne(c.out, r, err, asJSON, func() { showRejected(c.out, r) })
			}
			find := conn.Event
			if kind == "dlv" {
				find = conn.Delivery
			}
			s, err := find(cmd.Context(), id)
			return printOne(c.out, s, err, asJSON, func() { showEvent(c.out, s) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// lookedFor says where to look where there is nothing under an id.
func lookedFor(err error) error {
	if errors.Is(err, admin.ErrNotFound) {
		return fmt.Errorf("%w; it may have expired ([state] retention). List what there is: intellidocs-agent deliveries, or intellidocs-agent rejected", err)
	}
	return err
}

// printOne prints what was found, for people or as JSON.
func printOne(out io.Writer, v any, err error, asJSON bool, show func()) error {
	switch {
	case err != nil:
		return lookedFor(err)
	case asJSON:
		return term.JSON(out, v)
	}
	show()
	return nil
}

// showEvent prints an event, its deliveries and their attempts.
func showEvent(out io.Writer, s admin.EventDetail) {
	p := printer{w: out, colors: term.Colors(out)}
	e := s.Event
	p.title("Event " + e.ID)
	p.field("type", e.Type)
	p.field("read", fmt.Sprintf("%s from %s, offset %d", term.Time(e.ReadAt), e.Path, e.Offset))
	p.field("source", e.Source)
	p.field("trace", e.TraceID)
	if e.Incomplete {
		p.field("note", "the type's main object is missing; the event is delivered as it is")
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, e.Payload, "  ", "  "); err == nil {
		p.field("payload", "")
		fmt.Fprintf(out, "  %s\n", term.ReadableJSON(pretty.Bytes()))
	}
	if len(s.Deliveries) == 0 {
		fmt.Fprintln(out, "\nNo webhook wanted this event.")
	}
	for i := range s.Deliveries {
		p.delivery(&s.Deliveries[i])
	}
}

// showRejected prints a rejected record.
func showRejected(out io.Writer, r admin.RejectedView) {
	p := printer{w: out, colors: term.Colors(out)}
	p.title("Rejected record " + r.ID)
	p.field("reason", r.Reason)
	p.field("read", fmt.Sprintf("%s from %s, offset %d, %d bytes", term.Time(r.At), r.Path, r.Offset, r.Size))
	p.field("source", r.Source)
	p.field("text", "")
	for line := range strings.SplitSeq(r.Text, "\n") {
		fmt.Fprintln(out, "  "+term.Printable(line))
	}
}

// printer writes labelled lines.
type printer struct {
	w      io.Writer
	colors bool
}

func (p printer) title(s string) { fmt.Fprintln(p.w, term.Paint(p.colors, term.Strong, s)) }

func (p printer) field(label, value string) {
	fmt.Fprintf(p.w, "  %-10s %s\n", label, term.Printable(value))
}

func (p printer) delivery(d *admin.Detail) {
	fmt.Fprintln(p.w)
	p.title(fmt.Sprintf("Delivery %s to %s", d.ID, d.Webhook))
	fmt.Fprintf(p.w, "  %-10s %s\n", "status", term.Paint(p.colors, term.StatusStyle(string(d.Status)), string(d.Status)))
	p.field("url", d.WebhookURL)
	p.field("created", term.Time(d.CreatedAt))
	if d.NextAttemptAt != nil {
		p.field("next", fmt.Sprintf("%s (%s)", term.Time(*d.NextAttemptAt), term.Until(*d.NextAttemptAt)))
	}
	if d.CompletedAt != nil {
		p.field("done", term.Time(*d.CompletedAt))
	}
	for _, r := range d.Replays {
		p.field("replayed", fmt.Sprintf("%s by %s", term.Time(r.At), r.By))
	}
	for i := range d.History {
		p.attempt(&d.History[i])
	}
	if d.Status == queue.Failed {
		fmt.Fprintf(p.w, "  Try it again with: intellidocs-agent replay %s\n", d.ID)
	}
}

// outcomes are an attempt's in words. Whether a retry was left, the delivery tells.
var outcomes = map[string]string{"retry": "failed", "dead": "failed for good", "gone": "gone for good"}

func (p printer) attempt(a *queue.Attempt) {
	outcome := term.Paint(p.colors, term.StatusStyle(a.Outcome), cmp.Or(outcomes[a.Outcome], a.Outcome))
	status := "no response"
	if a.Status != 0 {
		status = fmt.Sprintf("HTTP %d", a.Status)
	}
	fmt.Fprintf(p.w, "  attempt %-3d %s  %s, %s in %s", a.N, term.Time(a.At), outcome, status, term.Duration(a.Took))
	if a.Remote != "" {
		fmt.Fprintf(p.w, " from %s", a.Remote)
	}
	fmt.Fprintln(p.w)
	if steps := timings(a); steps != "" {
		fmt.Fprintf(p.w, "              %s\n", steps)
	}
	if a.Error != "" {
		fmt.Fprintf(p.w, "              %s\n", term.Printable(a.Error))
	}
	for line := range strings.Lines(a.Header) {
		fmt.Fprintf(p.w, "              < %s\n", term.Printable(strings.TrimRight(line, "\n")))
	}
	if a.Response != "" {
		fmt.Fprintf(p.w, "              response: %s\n", term.Printable(a.Response))
	}
}

func timings(a *queue.Attempt) string {
	var steps []string
	for _, s := range []struct {
		name string
		at   time.Duration
	}{{"name resolved", a.DNS}, {"connected", a.Connect}, {"TLS", a.TLS}, {"first byte", a.FirstByte}} {
		if s.at > 0 {
			steps = append(steps, fmt.Sprintf("%s after %s", s.name, s.at.Round(10*time.Microsecond)))
		}
	}
	return strings.Join(steps, ", ")
}
