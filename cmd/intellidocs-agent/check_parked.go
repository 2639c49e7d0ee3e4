package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
)

// parked warns of deliveries that wait for webhooks which a configuration does not serve.
// What cannot be looked into says nothing: the configuration is checked, not the state.
func parked(ctx context.Context, plan *agent.Plan) []string {
	conn, err := openIfThere(ctx, plan)
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
		counts[w.Name] = w.Counts.Waiting()
	}
	return plan.Parked(counts)
}

// openIfThere calls the running agent, or opens the state where there is one.
func openIfThere(ctx context.Context, plan *agent.Plan) (*connection, error) {
	if client, err := admin.Dial(ctx, plan.Config.State.Path); err == nil {
		return toAgent(client), nil
	}
	if plan.Config.Queue.Shared() {
		return nil, admin.ErrNotRunning // opening the database would make its tables
	}
	if _, err := os.Stat(filepath.Join(plan.Config.State.Path, "queue")); err != nil {
		return nil, err
	}
	return openState(ctx, plan)
}
