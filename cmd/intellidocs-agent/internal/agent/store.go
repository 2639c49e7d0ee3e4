package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// store is the queue, whichever engine keeps it.
type store interface {
	admin.Queue
	dispatch.Store
	ingest.Committer
	announcements
	cursors
	logBook
	SetLimits(maxSize int64, retention, dedupWindow time.Duration)
	// Run keeps it in order until ctx ends.
	Run(ctx context.Context) error
	Close() error
}

// cursors are where the reading of sources continues.
type cursors interface {
	Cursor(source string) (cursor []byte, gen int64, err error)
}

// logBook keeps what happens to the agent.
type logBook interface {
	AppendLog(ctx context.Context, entries ...*queue.LogEntry) error
}

// ownDisk is what a queue in a directory of this machine knows of its disk. Where the disk has
// failed the process must end; one that others keep only goes away for a while.
type ownDisk interface {
	Alive() error
	Failed() <-chan struct{}
	lastFailure
}

// lastFailure is how the disk ended an earlier process.
type lastFailure interface {
	LastFailure() (queue.Failure, bool)
	ForgetFailure() error
}

// LockPatience is how long to wait for a state directory that another process has open:
// a command that looks into it, or an agent that is about to end.
const LockPatience = 10 * time.Second

// openStore opens the queue by the configured engine.
func (a *Agent) openStore(ctx context.Context, cfg *config.Config, o Options) error {
	if cfg.Queue.Shared() {
		q, err := a.openShared(ctx, cfg, o)
		if err != nil {
			return errors.Join(err, a.unlockState())
		}
		a.queue = q
		return nil
	}
	q, err := openDirectory(ctx, o, queue.Options{
		Dir: cfg.State.Path, MaxSize: cfg.State.MaxSize, Retention: cfg.State.Retention, DedupWindow: cfg.State.DedupWindow,
		Logger: a.log, Registerer: a.registry, Notify: a.notify, Webhooks: a.config.webhooks, SmallMemory: o.SmallMemory, Sizes: o.Sizes,
	})
	if err != nil {
		return err
	}
	a.queue, a.disk = q, q
	return nil
}

// notify is what the queue says is due.
func (a *Agent) notify(webhooks []string) { a.dispatcher.Notify(webhooks) }

// openDirectory opens the queue in the state directory.
func openDirectory(ctx context.Context, o Options, dir queue.Options) (*queue.Queue, error) {
	patience := LockPatience
	if !o.Running {
		patience = 0
	}
	q, err := openWhenFree(ctx, patience, dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: this user may not write there; run it as the directory's owner, or choose another [state] path", err)
	case errors.Is(err, queue.ErrLocked) && o.Running:
		return nil, fmt.Errorf("%w: an agent runs on it already; stop that one, or give this one a [state] path of its own", err)
	case err != nil:
		return nil, err
	}
	return q, nil
}

func openWhenFree(ctx context.Context, patience time.Duration, o queue.Options) (*queue.Queue, error) {
	deadline := time.Now().Add(patience)
	for {
		q, err := queue.Open(ctx, o)
		if !errors.Is(err, queue.ErrLocked) || time.Now().After(deadline) {
			return q, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
