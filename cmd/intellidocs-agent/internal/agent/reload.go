package agent

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// liveConfig is the configuration in force, and what is wrong with the file since.
type liveConfig struct {
	path    string
	reloads *prometheus.CounterVec

	mu     sync.Mutex
	cfg    *config.Config
	loaded time.Time
	err    string
	// wanted are the files that a configuration with errors names.
	wanted config.Files
}

func newLiveConfig(cfg *config.Config, reg prometheus.Registerer) *liveConfig {
	l := &liveConfig{
		path: cfg.Path, cfg: cfg, loaded: time.Now(),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "intellidocs_agent", Name: "config_reloads_total", Help: "Times the configuration was read again.",
		}, []string{"result"}),
	}
	l.reloads.WithLabelValues("success")
	l.reloads.WithLabelValues("failure")
	reg.MustRegister(l.reloads)
	return l
}

func (l *liveConfig) current() *config.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}

// webhooks are the names of those in force.
func (l *liveConfig) webhooks() []string {
	var names []string
	for _, w := range l.current().Webhooks {
		names = append(names, w.Name)
	}
	return names
}

// files are what the configuration in force, and one that will be, were made from.
func (l *liveConfig) files() config.Files {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := maps.Clone(l.cfg.Files)
	maps.Copy(all, l.wanted)
	return all
}

func (l *liveConfig) status() admin.ConfigStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := admin.ConfigStatus{Path: l.path, LoadedAt: l.loaded.UTC(), Error: l.err}
	for _, w := range l.cfg.Warnings {
		st.Warnings = append(st.Warnings, w.String())
	}
	return st
}

// watch reads the configuration again when it, or a file it names, changes, and on SIGHUP.
func (a *Agent) watch(ctx context.Context) error {
	return config.Watch(ctx, a.config.files, a.hangup, a.reload)
}

// reload reads the file and puts it in force; a file with errors changes nothing.
func (a *Agent) reload(why string) {
	a.notifier.reloading()
	defer func() { a.notifier.ready(a.summary()) }()
	l := a.config
	cfg, err := config.Load(l.path, config.Environment())
	var plan *Plan
	var later []string
	if cfg != nil {
		later = needRestart(l.current(), cfg)
		cfg.KeepQueue(&l.current().Queue)
		plan, err = compile(cfg, err, a.log, a.level, a.endpoints.all())
	}
	if err == nil && cfg.Idle() && !l.current().Idle() {
		// A file that is written in place is empty for a moment, and valid.
		err = errors.New("there is no [[source]] and no [[webhook]] in it; is it still being written? To stop everything, write enabled = false")
	}
	if err == nil {
		err = a.apply(plan)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.reloads.WithLabelValues("failure").Inc()
		// An editor that saves twice, or a person who sends SIGHUP again, need not be told twice.
		if l.err != err.Error() {
			a.journal.add(queue.LogEntry{Kind: "config_failed", Bad: true, Text: "The new configuration has errors; the previous one stays in force", Detail: err.Error()})
			a.log.Error("the new configuration has errors and is ignored; the previous one stays in force", "why", why, "config", l.path, "error", err)
		}
		l.err, l.wanted = err.Error(), config.Dependencies(l.path, config.Environment())
		return
	}
	for _, key := range later {
		a.log.Warn("this change takes effect at the next start", "key", key)
	}
	l.cfg, l.loaded, l.err, l.wanted = cfg, time.Now(), "", nil
	l.reloads.WithLabelValues("success").Inc()
	for _, w := range cfg.Warnings {
		a.log.Warn("configuration: " + w.String())
	}
	a.reportParked(plan)
	a.journal.add(queue.LogEntry{Kind: "config_loaded", Text: "The configuration was loaded again: " + Summary(cfg), Detail: why})
	a.log.Info("configuration reloaded", "why", why, "config", l.path, "sources", len(cfg.Sources), "webhooks", len(cfg.Webhooks))
}

// needRestart names the changed keys that are read at the start only.
func needRestart(old, now *config.Config) []string {
	var keys []string
	for key, changed := range map[string]bool{
		"[queue]":        !old.Queue.Same(&now.Queue),
		"[state] path":   old.State.Path != now.State.Path,
		"[admin] listen": old.Admin.Listen != now.Admin.Listen,
		"[log] format":   old.Log.Format != now.Log.Format,
	} {
		if changed {
			keys = append(keys, key)
		}
	}
	return keys
}

// reportParked logs what waits for webhooks that are gone or disabled.
func (a *Agent) reportParked(p *Plan) {
	waiting := map[string]int64{}
	for name, counts := range a.queue.Counts() {
		waiting[name] = counts[queue.Pending] + counts[queue.Retrying]
	}
	for _, text := range p.Parked(waiting) {
		a.log.Warn(text)
	}
}
