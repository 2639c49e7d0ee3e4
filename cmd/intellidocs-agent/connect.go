package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// desk is where commands see and mend things: the running agent, reached by its
// socket, or the state itself, opened here where no agent runs. Both speak the same API.
type desk struct {
	*admin.Client
	running bool
	close   func() error
}

func (c *cli) desk(ctx context.Context) (*desk, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		// The agent may well run, on the last good configuration, and be what somebody is
		// looking into.
		if client, ok := c.dialBroken(ctx); ok {
			return &desk{Client: client, running: true, close: func() error { return nil }}, nil
		}
		return nil, err
	}
	deadline := time.Now().Add(agent.LockPatience)
	for {
		client, err := admin.Dial(ctx, cfg.State.Path)
		if err == nil {
			return &desk{Client: client, running: true, close: func() error { return nil }}, nil
		}
		if errors.Is(err, admin.ErrNotYours) {
			return nil, err
		}
		a, err := agent.Open(ctx, cfg, agent.Options{Version: buildVersion()})
		switch {
		case err == nil:
			return &desk{Client: a.Client(), close: func() error {
				return errors.Join(a.Close(), agent.KeepOwner(cfg.State.Path))
			}}, nil
		case !errors.Is(err, queue.ErrLocked):
			return nil, err
		case time.Now().After(deadline) || ctx.Err() != nil:
			return nil, fmt.Errorf("an agent has the state directory %s open but does not answer on its socket: "+
				"if you are another user than the agent's, run this as the agent's user or as root (%w)", cfg.State.Path, err)
		}
		// The agent is just starting, or another command is looking.
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Close lets the state go.
func (d *desk) Close() error { return d.close() }

// hint says what is to become of n waiting deliveries where no agent runs.
func (d *desk) hint(n int) string {
	if d.running || n == 0 {
		return ""
	}
	return " No agent is running: they go out once it is."
}

// dialBroken reaches a running agent whose configuration file has errors by now.
func (c *cli) dialBroken(ctx context.Context) (*admin.Client, bool) {
	state, err := config.StatePath(config.Path(c.configFile, config.Environment()))
	if err != nil {
		return nil, false
	}
	client, err := admin.Dial(ctx, state)
	return client, err == nil
}

func (c *cli) loadConfig() (*config.Config, error) {
	cfg, err := agent.LoadConfig(config.Path(c.configFile, config.Environment()))
	if err != nil {
		return nil, fmt.Errorf("configuration:\n%w", err)
	}
	return cfg, nil
}
