package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifier tells systemd how the service is (sd_notify(3)). Without systemd, that is
// without $NOTIFY_SOCKET, it does nothing.
type notifier struct {
	log *slog.Logger
	// alive reports whether the agent still does its work; no watchdog ping goes out while not.
	alive func(context.Context) error
}

func (n *notifier) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot tell systemd the service's state", "error", err)
	}
}

func (n *notifier) ready(summary string) { n.tell(daemon.SdNotifyReady + "\nSTATUS=" + summary) }
func (n *notifier) stopping()            { n.tell(daemon.SdNotifyStopping) }

// reloading must carry the monotonic time for Type=notify-reload, see sd_notify(3).
func (n *notifier) reloading() {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		n.tell(daemon.SdNotifyReloading)
		return
	}
	n.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, ts.Nano()/1000))
}

// watchdog pings at half the interval that systemd asks for, as long as the agent is alive.
func (n *notifier) watchdog(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("$WATCHDOG_USEC: %w", err)
	}
	if interval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, interval/2)
		if err := n.alive(probe); err == nil {
			n.tell(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			n.log.Error("the agent does not answer its own health check; systemd will restart it if that lasts", "error", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
