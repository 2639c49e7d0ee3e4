package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
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
	deadline := time.Now().Add(lockPatience)
	for {
		client, err := admin.Dial(ctx, cfg.State.Path)
		if err == nil {
			return &desk{Client: client, running: true, close: func() error { return nil }}, nil
		}
		if errors.Is(err, admin.ErrNotYours) {
			return nil, err
		}
		a, err := open(ctx, cfg, openOptions{log: discard(), level: new(slog.LevelVar), once: true})
		switch {
		case err == nil:
			return &desk{Client: admin.Local(a.server()), close: func() error {
				return errors.Join(a.close(), keepOwner(cfg.State.Path))
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

func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(term.PrintableJSON(b.Bytes()))
	return err
}
