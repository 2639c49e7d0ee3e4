package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
)

// How long to wait before a database that cannot be reached is tried again, doubling to the longest.
const (
	openAgainFirst = 250 * time.Millisecond
	openAgainMax   = 5 * time.Second
)

// lockName is the file that an agent without a queue of its own locks the state directory by.
const lockName = "agent.lock"

// openShared opens the queue that several agents share. An agent that is to run waits for its
// database: meanwhile it is alive and not ready.
func (a *Agent) openShared(ctx context.Context, cfg *config.Config, o Options) (*postgres.Queue, error) {
	if o.Running {
		if err := a.lockState(); err != nil {
			return nil, err
		}
		if queue.Unmoved(a.state) {
			return nil, fmt.Errorf("%s has a queue whose events would wait there for ever: bring it into the database with "+
				"'intellidocs-agent queue move', or move that directory away", a.state)
		}
	}
	open := func() (*postgres.Queue, error) {
		return postgres.Open(ctx, postgres.Options{
			URL: cfg.Queue.URL.Reveal(), Agent: cfg.Queue.Agent, Version: o.Version, Lease: cfg.Queue.Lease, Replication: cfg.Queue.Replication,
			Retention: cfg.State.Retention, DedupWindow: cfg.State.DedupWindow, MaxSize: cfg.State.MaxSize,
			Logger: a.log, Registerer: a.registry, Webhooks: a.config.webhooks, Notify: a.notify,
			Moved: func(source string) { a.sources.moved(source) },
		})
	}
	q, err := open()
	if err == nil || !o.Running || !errors.Is(err, queue.ErrUnavailable) {
		return q, err
	}
	return a.openWhenThere(ctx, err, open)
}

// openWhenThere tries until the database can be reached.
func (a *Agent) openWhenThere(ctx context.Context, err error, open func() (*postgres.Queue, error)) (*postgres.Queue, error) {
	a.log.Warn("waiting for the queue's database: nothing is read or sent before it answers", "error", err)
	var reason atomic.Value
	reason.Store(err.Error())
	waiting := admin.NewWaiting(func() string { return reason.Load().(string) }, a.log)
	socket, tcp, errBind := a.bind()
	if errBind != nil {
		return nil, errBind
	}
	a.serve(waiting, socket, tcp)
	work := newGroup(ctx)
	life := &notifier{log: a.log, alive: func(context.Context) error { return nil }}
	life.ready("waiting for the queue's database")
	work.start("watchdog", life.watchdog)
	var q *postgres.Queue
	for pause := openAgainFirst; ; pause = min(2*pause, openAgainMax) {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			q, err = open()
		}
		if err == nil || ctx.Err() != nil || !errors.Is(err, queue.ErrUnavailable) {
			break
		}
		reason.Store(err.Error())
	}
	work.cancel(nil)
	closing, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = errors.Join(err, work.wait(), waiting.Close(closing))
	if err != nil && q != nil {
		err, q = errors.Join(err, q.Close()), nil
	}
	return q, err
}

// lockState makes the state directory, which holds the socket and the token, this agent's until
// it ends.
func (a *Agent) lockState() error {
	if err := os.MkdirAll(a.state, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(a.state, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%w: an agent runs on it already; stop that one, or give this one a [state] path of its own", queue.ErrLocked), f.Close())
	}
	a.lock = f
	return nil
}

// unlockState lets the state directory go.
func (a *Agent) unlockState() error {
	if a.lock == nil {
		return nil
	}
	return a.lock.Close()
}
