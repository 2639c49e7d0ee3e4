package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/agent"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// connection is what commands call: the running agent, reached by its socket, or the
// state itself, opened here where no agent runs. Both speak the same API.
type connection struct {
	*admin.Client
	running bool
	shared  bool // the queue is one that several agents share
	close   func() error
}

// connect finds the state directory in the configuration and calls the agent that runs
// there. Only where none does is the configuration loaded, to open the state here: a
// mistake in it hides a running agent from nobody.
func (c *cli) connect(ctx context.Context) (*connection, error) {
	client, err := c.dial(ctx)
	switch {
	case err == nil:
		return toAgent(client), nil
	case !errors.Is(err, admin.ErrNotRunning):
		return nil, err
	}
	plan, err := c.load(nil)
	if err != nil {
		return nil, err
	}
	return openState(ctx, plan)
}

// dial calls the running agent.
func (c *cli) dial(ctx context.Context) (*admin.Client, error) {
	dir, err := config.StatePath(c.configPath())
	if err != nil {
		return nil, err
	}
	return admin.Dial(ctx, dir)
}

func toAgent(client *admin.Client) *connection {
	return &connection{Client: client, running: true, close: func() error { return nil }}
}

func openState(ctx context.Context, plan *agent.Plan) (*connection, error) {
	dir, deadline := plan.Config.State.Path, time.Now().Add(agent.LockPatience)
	for {
		a, err := agent.Open(ctx, plan, agent.Options{Version: buildVersion()})
		switch {
		case err == nil:
			return &connection{Client: a.Client(), shared: plan.Config.Queue.Shared(), close: func() error { return errors.Join(a.Close(), agent.KeepOwner(dir)) }}, nil
		case !errors.Is(err, queue.ErrLocked):
			return nil, err
		case time.Now().After(deadline) || ctx.Err() != nil:
			return nil, fmt.Errorf("an agent has the state directory %s open but does not answer on its socket: "+
				"if you are not the agent's user, run this as that user or as root (%w)", dir, err)
		}
		// The agent is just starting, or another command has the state open.
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		if client, err := admin.Dial(ctx, dir); err == nil {
			return toAgent(client), nil
		}
	}
}

// ids are how long whole IDs are, by their kind.
var ids = map[string]int{"evt": 36, "dlv": 32, "rej": 20}

// find returns the whole ID of what somebody typed, which may be its beginning or a short
// ID, and its kind. Only these kinds are possible.
func (c *connection) find(ctx context.Context, typed string, kinds ...string) (id, kind string, err error) {
	kind, _, prefixed := strings.Cut(typed, "_")
	if prefixed && slices.Contains(kinds, kind) && len(typed) == ids[kind] {
		return typed, kind, nil
	}
	found, err := c.Find(ctx, typed)
	if err != nil {
		return "", "", err
	}
	found = slices.DeleteFunc(found, func(id string) bool { return !slices.Contains(kinds, id[:3]) })
	switch len(found) {
	case 0:
		return "", "", lookedFor(fmt.Errorf("%w: %s", admin.ErrNotFound, typed))
	case 1:
		return found[0], found[0][:3], nil
	}
	return "", "", fmt.Errorf("several IDs begin with %s, among them %s; type more of the one you mean", typed, strings.Join(found[:2], " and "))
}

// looksLikeID reports whether what somebody typed could be the ID of one of these kinds:
// its beginning, or a short ID.
func looksLikeID(typed string, kinds ...string) bool {
	kind, _, prefixed := strings.Cut(typed, "_")
	return prefixed && slices.Contains(kinds, kind) || slices.Contains(kinds, "dlv") && shortID.MatchString(typed)
}

var shortID = regexp.MustCompile(`^[0-9A-Fa-f]{7}\.[0-9]{1,5}$`)

// Close releases the state.
func (c *connection) Close() error { return c.close() }

// hint says what will become of n waiting deliveries where no agent runs.
func (c *connection) hint(n int) string {
	if c.running || n == 0 {
		return ""
	}
	if c.shared {
		return " They are sent by the agent that serves it."
	}
	return " No agent is running: they are sent once it runs."
}

func (c *cli) configPath() string { return config.Path(c.configFile, config.Environment()) }

// load reads the configuration and builds what it names.
func (c *cli) load(logTo io.Writer) (*agent.Plan, error) {
	plan, err := agent.Load(c.configPath(), logTo)
	if err != nil {
		return nil, fmt.Errorf("configuration:\n%w", err)
	}
	return plan, nil
}
