// Package agent is the program: it builds what agent.toml names, runs it (pipeline.go tells
// how), puts changes of the file in force, and announces what people should hear of.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/otlp"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Agent holds the parts that pipeline.go sets in motion. Commands use the same parts,
// standing still, where no agent runs.
type Agent struct {
	log       *slog.Logger
	state     string
	started   time.Time
	running   bool
	version   string
	dashboard string        // the dashboard's address, "" where there is no TCP listener
	token     string        // the one in the state directory, where the agent runs
	ready     chan struct{} // closed once the listeners are open
	level     *slog.LevelVar
	hangup    <-chan os.Signal // asks for the configuration to be read again

	config     *liveConfig
	queue      store
	disk       ownDisk  // nil: the queue is on no disk of this machine
	lock       *os.File // of the state directory, where no queue in it has one
	dispatcher *dispatch.Dispatcher
	endpoints  endpoints
	ingest     *ingest.Ingest
	sources    *sources
	notifier   *notifier
	announcer  *announcer
	journal    *journal
	telemetry  *otlp.Exporter
	registry   *prometheus.Registry
}

// Options say how an agent is opened.
type Options struct {
	Version string
	// Running: the agent is to run. Else the state is opened only to look into and to
	// change, and another process that has it open is not waited for.
	Running bool
	// Grace is how long requests under way may take once the agent is stopped.
	Grace time.Duration
	// Hangup asks for the configuration to be read again; nil: never.
	Hangup      <-chan os.Signal
	SmallMemory bool // there is little for the pages of files
	// Sizes of the queue's files; zero: the usual.
	Sizes queue.Sizes
}

// Open puts the parts together over the state directory of a configuration.
func Open(ctx context.Context, p *Plan, o Options) (_ *Agent, err error) {
	cfg, log := p.Config, p.log
	if err := checkState(cfg.State.Path); err != nil {
		return nil, err
	}
	a := &Agent{
		log: log, level: p.level, version: o.Version, hangup: o.Hangup, running: o.Running, state: cfg.State.Path, started: time.Now(),
		registry: prometheus.NewRegistry(), ready: make(chan struct{}),
	}
	a.config = newLiveConfig(cfg, a.registry)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(o.Version))
	if err := a.openStore(ctx, cfg, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.queue.Close(), a.unlockState())
		}
	}()
	if o.Running {
		if a.telemetry, err = otlp.New(otlp.Options{Settings: p.telemetry, Version: o.Version, Gatherer: a.registry, Register: a.registry, Logger: log}); err != nil {
			log.Warn("cannot export to OpenTelemetry", "error", err)
		}
	}
	commits := traced{a.queue, a.telemetry}
	a.sources = newSources(a.queue, log)
	a.dispatcher = dispatch.New(dispatch.Options{
		Store: owning{a.queue, a.sources}, Agent: cfg.AgentName(), Grace: o.Grace, SmallMemory: o.SmallMemory,
		Logger: log, Registerer: a.registry,
		Notice: func(n dispatch.Notice) { a.announcer.noticed(n) }, Attempted: a.telemetry.Attempted,
	})
	a.announcer = newAnnouncer(commits, a.dispatcher.RouteOwn, log)
	a.journal = newJournal(a.queue, log)
	a.announcer.journal = a.journal
	a.ingest = ingest.New(ingest.Options{
		Queue: commits, Route: a.dispatcher.Route, Logger: log, Registerer: a.registry,
		Positional: func() bool { return a.config.current().State.DedupWindow == 0 },
		Rejected:   a.announcer.rejected, Missed: a.announcer.missed, Shared: cfg.Queue.Shared(),
	})
	a.sources.ingest = a.ingest
	a.registry.MustRegister(sourceCollector{a.sources})
	a.notifier = &notifier{log: log, alive: a.alive}
	if err := a.apply(p); err != nil {
		return nil, err
	}
	return a, nil
}

// apply puts a plan in force, whole or not at all.
func (a *Agent) apply(p *Plan) error {
	if err := a.dispatcher.Apply(p.webhooks); err != nil {
		return err
	}
	cfg := p.Config
	a.endpoints.use(p.endpoints)
	a.level.Set(levelOf(cfg.Log.Level))
	a.queue.SetLimits(cfg.State.MaxSize, cfg.State.Retention, cfg.State.DedupWindow)
	if cfg.Enabled {
		a.sources.apply(cfg.Sources)
	} else {
		a.sources.apply(nil)
	}
	return nil
}

func (a *Agent) Close() error {
	a.endpoints.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.journal.flush(ctx); err != nil && !errors.Is(err, queue.ErrDisk) {
		a.log.Warn("the last of what happened is missing in the dashboard's log", "error", err)
	}
	return errors.Join(a.queue.Close(), a.unlockState())
}

// alive reports whether the queue answers and its commits end, which a stuck agent's do not.
// A database that is away is no reason to start the agent again.
func (a *Agent) alive(context.Context) error {
	if a.disk == nil {
		return nil
	}
	if err := a.disk.Alive(); err != nil {
		return err
	}
	_, _, err := a.queue.Cursor("")
	return err
}

// stuck is why the process must be started again.
func (a *Agent) stuck() error {
	if a.disk == nil {
		return nil
	}
	return a.disk.Alive()
}

func (a *Agent) summary() string {
	return Summary(a.config.current())
}

// Summary counts what a configuration names.
func Summary(cfg *config.Config) string {
	return term.Count(len(cfg.Sources), "source", "sources") + ", " + term.Count(len(cfg.Webhooks), "webhook", "webhooks")
}

func (a *Agent) server() *admin.Server {
	o := operations{config: a.config, endpoints: &a.endpoints, dispatcher: a.dispatcher, ingest: a.ingest}
	return admin.New(admin.Agent{
		Queue: a.queue, Dispatcher: a.dispatcher, Version: a.version, StartedAt: a.started, Running: a.running, Dashboard: a.dashboard,
		MaxSize: func() int64 { return a.config.current().State.MaxSize },
		Config: func() (bool, admin.ConfigStatus, []admin.Webhook) {
			cfg := a.config.current()
			return cfg.Enabled, a.config.status(), webhookViews(cfg)
		},
		Note: a.journal.add, LogRevision: a.journal.revision.Load,
		Alive: a.stuck, Sources: a.sources.status, Test: o.test, Preview: o.preview, Backfill: o.backfill, Retry: o.retry,
	}, a.registry, a.log)
}

func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "intellidocs_agent", Name: "build_info", Help: "Always 1; the label says which version runs.",
	}, []string{"version"})
	g.WithLabelValues(version).Set(1)
	return g
}

// sourceCollector reads the sources' state when it is asked for.
type sourceCollector struct{ *sources }

var (
	lagDesc       = prometheus.NewDesc("intellidocs_agent_source_lag_bytes", "Bytes on the disk that are not read yet.", []string{"source"}, nil)
	remainingDesc = prometheus.NewDesc("intellidocs_agent_spool_files_remaining", "Files that stay in a spool because they are not read or cannot be removed; /api/v1/status names them.", []string{"source"}, nil)
	readyDesc     = prometheus.NewDesc("intellidocs_agent_source_ready", "1 while the source can be read; /readyz has the reasons.", []string{"source"}, nil)
)

func (c sourceCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagDesc
	ch <- readyDesc
	ch <- remainingDesc
}

func (c sourceCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.status() {
		ready := 0.0
		if s.Ready {
			ready = 1
		}
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(s.LagBytes), s.Name)
		if s.Type == "spool" {
			ch <- prometheus.MustNewConstMetric(remainingDesc, prometheus.GaugeValue, float64(s.Remaining), s.Name)
		}
		ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, s.Name)
	}
}
