package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// list prints deliveries: as JSON, as a table for programs and wide terminals, or for
// people, where a row fits a narrow terminal and has the error below it.
type list struct {
	out    io.Writer
	json   bool
	table  *term.Table       // nil: for people
	waits  map[string]string // why a webhook's deliveries do not go out when they are due
	widths struct{ webhook, event, whole int }
	header bool // was printed
}

func (d *deliveriesCommand) newList(ctx context.Context, conn *connection, f *admin.Filter) (*list, error) {
	l := &list{out: d.out, json: d.json}
	if d.json {
		return l, nil
	}
	st, err := conn.Status(ctx)
	if err != nil {
		return nil, err
	}
	l.waits = whatWaits(&st)
	width := term.Width(d.out)
	if d.wide || width == 0 {
		l.table = term.NewTable(d.out, "CREATED", "ID", "STATUS", "WEBHOOK", "EVENT", "TRIES", "NEXT / DONE", "RESPONSE")
		return l, nil
	}
	f.Subjects = true
	l.widths.webhook = len("WEBHOOK")
	for i := range st.Webhooks {
		l.widths.webhook = max(l.widths.webhook, min(len(st.Webhooks[i].Name), 16))
	}
	l.widths.whole = width
	l.widths.event = max(width-l.widths.webhook-statusWidth-triesWidth-whenWidth-idWidth-5*2, 10)
	return l, nil
}

const (
	statusWidth = len("retrying")
	triesWidth  = len("TRIES")
	whenWidth   = len("in 23h59m")
	idWidth     = len("3f2a1b7.0")
)

func (l *list) row(d *admin.Row) error {
	switch {
	case l.json:
		return term.JSON(l.out, d)
	case l.table != nil:
		l.table.Row(term.Time(d.CreatedAt), d.ID, l.table.Status(string(d.Status)), d.Webhook, d.EventType, fmt.Sprint(d.Attempts), dueOrDone(d, l.waits[d.Webhook]), response(d))
		return nil
	}
	if !l.header {
		l.line("STATUS", term.Plain, "WEBHOOK", "EVENT", "TRIES", "WHEN", "ID")
		l.header = true
	}
	event := d.EventType
	if word := words[event]; word != "" {
		event = word
	}
	if d.Subject != "" {
		event += " " + d.Subject
	}
	l.line(string(d.Status), term.StatusStyle(string(d.Status)), d.Webhook, event, fmt.Sprint(d.Attempts), when(d, l.waits[d.Webhook]), queue.ShortID(d.ID))
	if d.ErrorMessage != "" {
		text := term.Cell(d.ErrorMessage, l.widths.whole-statusWidth-2)
		fmt.Fprintf(l.out, "%*s  %s\n", statusWidth, "", term.Paint(term.Colors(l.out), term.Faint, strings.TrimRight(text, " ")))
	}
	return nil
}

func (l *list) line(status string, style term.Style, webhook, event, tries, when, id string) {
	fmt.Fprintf(l.out, "%s  %s  %s  %*s  %s  %s\n", term.Paint(term.Colors(l.out), style, term.Cell(status, statusWidth)),
		term.Cell(webhook, l.widths.webhook), term.Cell(event, l.widths.event), triesWidth, tries, term.Cell(when, whenWidth), id)
}

// end prints what a table has gathered.
func (l *list) end() {
	if l.table != nil {
		l.table.Render()
		l.table.Reset()
	}
}

// words say what the known events are in a list.
var words = map[string]string{
	"deletion_request_created": "deletion request", "suggestion_auto_applied": "suggestion", "scan_completed": "scan",
}

// whatWaits says of the webhooks whose deliveries do not go out when they are due, why.
func whatWaits(st *admin.Status) map[string]string {
	waits := map[string]string{}
	for _, w := range st.Webhooks {
		switch state := w.State.State; state {
		case dispatch.Healthy, dispatch.Retrying:
		case dispatch.Held, dispatch.Paused:
			waits[w.Name] = string(state)
		default: // disabled or removed
			waits[w.Name] = "parked"
		}
	}
	return waits
}

// when says when a delivery was finished or is due, or why it is not due.
func when(d *admin.Row, waits string) string {
	switch {
	case d.CompletedAt != nil:
		return term.Ago(*d.CompletedAt)
	case waits != "":
		return waits
	case d.NextAttemptAt != nil:
		return term.Until(*d.NextAttemptAt)
	}
	return term.Ago(d.CreatedAt)
}

func dueOrDone(d *admin.Row, waits string) string {
	switch {
	case d.CompletedAt != nil:
		return term.Time(*d.CompletedAt)
	case waits != "":
		return waits
	case d.NextAttemptAt != nil:
		return "due " + term.Until(*d.NextAttemptAt)
	}
	return ""
}

func response(d *admin.Row) string {
	switch {
	case d.ErrorMessage != "":
		return d.ErrorMessage
	case d.ResponseStatusCode != nil:
		return fmt.Sprint(*d.ResponseStatusCode)
	}
	return ""
}
