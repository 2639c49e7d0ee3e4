package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
)

// TakeOver brings the queue in the state directory into the one that several agents share. No agent may run
// on it. It can be ended at any moment and called again.
func TakeOver(ctx context.Context, plan *Plan, progress func(postgres.Transferred)) (done postgres.Transferred, err error) {
	cfg := plan.Config
	dir := cfg.State.Path
	switch {
	case !cfg.Queue.Shared():
		return done, errors.New(`there is no shared queue to move to: set [queue] engine = "postgres" and its url_file in agent.toml first`)
	case !queue.Exists(dir):
		return done, fmt.Errorf("there is no queue in %s; [state] path must still be the directory that the agent had its queue in", dir)
	}
	from, err := openDirectory(ctx, Options{}, queue.Options{
		Dir: dir, Retention: cfg.State.Retention, DedupWindow: cfg.State.DedupWindow, Logger: plan.log, Moving: true,
	})
	if errors.Is(err, queue.ErrLocked) {
		return done, fmt.Errorf("%w: stop the agent first", err)
	}
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, from.Close(), KeepOwner(dir)) }()
	to, err := postgres.Open(ctx, postgres.Options{
		URL: cfg.Queue.URL.Reveal(), Agent: cfg.Queue.Agent, Replication: cfg.Queue.Replication,
		Retention: cfg.State.Retention, DedupWindow: cfg.State.DedupWindow, Logger: plan.log,
	})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	t := postgres.Transfer{From: from, Dir: dir, Source: sharedNames(cfg), Progress: progress}
	for i := range cfg.Sources {
		t.Sources = append(t.Sources, cfg.Sources[i].Path)
	}
	for i := range cfg.Webhooks {
		t.Webhooks = append(t.Webhooks, cfg.Webhooks[i].Name)
	}
	return to.TakeOver(ctx, t)
}

// sharedNames are what sources are called that were called by their paths alone, also those that are
// configured no longer.
func sharedNames(cfg *config.Config) func(name string) string {
	names := map[string]string{}
	for i := range cfg.Sources {
		names[cfg.Sources[i].Path] = cfg.Sources[i].Name
	}
	return func(name string) string {
		if known, ok := names[name]; ok {
			return known
		}
		if filepath.IsAbs(name) {
			return cfg.Queue.Agent + ":" + name
		}
		return name
	}
}
