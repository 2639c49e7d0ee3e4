package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// parked warns of deliveries that wait for webhooks which a configuration does not serve.
// What cannot be looked into says nothing: the configuration is checked, not the state.
func (c *cli) parked(ctx context.Context, plan *agent.Plan) []string {
	conn, err := c.look(ctx, plan)
	if err != nil {
		return nil
	}
	defer conn.Close()
	status, err := conn.Status(ctx)
	if err != nil {
		return nil
	}
	counts := map[string]int64{}
	for _, w := range status.Webhooks {
		counts[w.Name] = w.Counts[string(queue.Pending)] + w.Counts[string(queue.Retrying)]
	}
	return plan.Parked(counts)
}

// look calls the running agent, or opens the state where there is one.
func (c *cli) look(ctx context.Context, plan *agent.Plan) (*connection, error) {
	if client, err := admin.Dial(ctx, plan.Config.State.Path); err == nil {
		return toAgent(client), nil
	}
	if _, err := os.Stat(filepath.Join(plan.Config.State.Path, "queue")); err != nil {
		return nil, err
	}
	return openState(ctx, plan)
}

// unsent says of the webhooks that nothing goes to now why, after n deliveries were queued
// again.
func unsent(ctx context.Context, conn *connection, names []string) string {
	status, err := conn.Status(ctx)
	if err != nil || !conn.running {
		return ""
	}
	var out strings.Builder
	for _, w := range status.Webhooks {
		if len(names) > 0 && !slices.Contains(names, w.Name) || w.Counts[string(queue.Pending)]+w.Counts[string(queue.Retrying)] == 0 {
			continue
		}
		why := ""
		switch {
		case w.Removed:
			why = fmt.Sprintf("it is not in the configuration; give them to another with 'intellidocs-agent move %s NEW', or drop them with 'intellidocs-agent discard --webhook %s'", w.Name, w.Name)
		case w.State.State == "paused":
			why = fmt.Sprintf("it is paused (%s); 'intellidocs-agent resume %s' lets them go", w.State.Reason, w.Name)
		case w.State.State == "held":
			why = fmt.Sprintf("it is held (%s); they go out once it answers", w.State.Reason)
		case w.State.State == "disabled":
			why = "it is disabled in the configuration"
		default:
			continue
		}
		fmt.Fprintf(&out, "Nothing is sent to %s now: %s.\n", w.Name, term.Printable(why))
	}
	return out.String()
}
