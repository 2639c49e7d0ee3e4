package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Run sets everything in motion:
//
//	sources (tailer) → ingest (parser, routes) → queue → dispatcher → webhooks
//
// Sources hand over batches; ingest commits a batch's events, deliveries and cursor in
// one durable step; the dispatcher sends what is due and records what came of it. Each
// blocks in its own goroutine. Stopping goes down the same way: sources end after their
// commit, the dispatcher lets requests in flight finish within the grace period, the
// admin listeners close, and the queue last.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()

	for _, w := range a.config.current().Warnings {
		a.log.Warn("configuration: " + w.String())
	}
	server, err := a.listen()
	if err != nil {
		return err
	}
	a.telemetry.Start()
	work := newGroup(ctx)
	work.start("queue maintenance", a.queue.Run)
	// Deliveries outlive the sources by their own grace period: see dispatch.Options.
	work.start("dispatcher", a.dispatcher.Run)
	work.start("sources", a.sources.run)
	work.start("configuration watch", a.watch)
	work.start("watchdog", a.notifier.watchdog)
	work.start("announcements", a.announcer.Run)
	work.start("observer", a.newObserver().run)
	work.start("journal", a.journal.run)

	a.notifier.ready(a.summary())
	a.journal.add(queue.LogEntry{Kind: "started", Text: "The agent started, version " + a.version})
	a.log.Info("running", "version", a.version, "config", a.config.path, "state", a.state)
	a.introduce()
	close(a.ready)
	err = a.wait(work)
	a.notifier.stopping()
	a.log.Info("stopping", "reason", context.Cause(work.ctx))
	a.journal.add(queue.LogEntry{Kind: "stopped", Text: "The agent stopped", Bad: err != nil, Detail: cause(err)})

	closing, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err = errors.Join(err, server.Close(closing))
	a.telemetry.Stop(closing)
	return err
}

func cause(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (a *Agent) newObserver() *observer {
	o := &observer{
		queue: a.queue, dispatcher: a.dispatcher, sources: a.sources, config: a.config, announcer: a.announcer, log: a.log,
	}
	if a.disk != nil {
		o.disk = a.disk
	}
	return o
}

// most is how many sources and webhooks are named at the start.
const most = 20

// introduce logs what is read, and where it goes.
func (a *Agent) introduce() {
	cfg := a.config.current()
	if !cfg.Enabled {
		a.log.Info("switched off (enabled = false): nothing is read or sent")
		return
	}
	for _, s := range cfg.Sources[:min(len(cfg.Sources), most)] {
		a.log.Info("reading", "source", s.Path, "type", s.Type)
	}
	for i := range cfg.Webhooks[:min(len(cfg.Webhooks), most)] {
		w := &cfg.Webhooks[i]
		events := "all"
		if len(w.Events) > 0 {
			events = strings.Join(w.Events[:min(len(w.Events), most)], ", ")
		}
		state := "enabled"
		if !w.Enabled {
			state = "disabled"
		}
		a.log.Info("sending", "webhook", w.Name, "state", state, "host", hostOf(w.URL.Reveal()), "events", events)
	}
	if len(cfg.Sources) > most || len(cfg.Webhooks) > most {
		a.log.Info("in all", "sources", len(cfg.Sources), "webhooks", len(cfg.Webhooks))
	}
}

// hostOf is what may be shown of any URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// listen opens the socket and, where configured, the TCP listener before anything
// else starts, so that a taken port fails the start and not the night.
func (a *Agent) listen() (*admin.Server, error) {
	if a.config.current().Admin.Listen != "" {
		var err error
		if a.token, err = stateToken(a.state); err != nil {
			return nil, err
		}
	}
	socket, tcp, err := a.bind()
	if err != nil {
		return nil, err
	}
	server := a.server()
	a.serve(server, socket, tcp)
	if tcp != nil {
		a.log.Info("dashboard ('intellidocs-agent dashboard' prints this address with its token)", "url", a.dashboard)
	}
	return server, nil
}

// bind opens the listeners; there may be no tcp.
func (a *Agent) bind() (socket, tcp net.Listener, err error) {
	if socket, err = admin.ListenSocket(a.state); err != nil {
		return nil, nil, err
	}
	listen := a.config.current().Admin.Listen
	if listen == "" {
		return socket, nil, nil
	}
	if tcp, err = net.Listen("tcp", listen); err != nil {
		return nil, nil, errors.Join(fmt.Errorf(`[admin] listen: %w (choose another address, or "" for none; the socket stays)`, err), socket.Close())
	}
	a.dashboard = admin.PageURL(tcp.Addr())
	return socket, tcp, nil
}

func (a *Agent) serve(server *admin.Server, socket, tcp net.Listener) {
	server.Serve(socket, admin.Access{Socket: true})
	if tcp != nil {
		listen := a.config.current().Admin.Listen
		server.Serve(tcp, admin.Access{Loopback: admin.IsLoopback(listen), Host: listen, Token: a.adminToken})
	}
}

// adminToken is the token that API calls over TCP must show; open: none.
func (a *Agent) adminToken() (token string, open bool) {
	cfg := &a.config.current().Admin
	if cfg.TokenFile != "" {
		return cfg.Token.Reveal(), false
	}
	return a.token, cfg.Open
}

// Dashboard is the dashboard's address with the token, "" where there is no TCP listener.
func (a *Agent) Dashboard() string {
	token, open := a.adminToken()
	if open {
		token = ""
	}
	return admin.WithToken(a.dashboard, token)
}

// Ready is closed once the agent's listeners are open.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Client calls the agent's API in this process, where none is running.
func (a *Agent) Client() *admin.Client { return admin.Local(a.server()) }
