package agent

import (
	"time"
)

// announceFailure tells people what ended the process before this one, where that was the
// disk. It is forgotten once the event is queued, and told again until then.
func (a *Agent) announceFailure() {
	f, failed := a.queue.LastFailure()
	if !failed {
		return
	}
	a.log.Warn("the agent had ended because the disk failed; it works again, and nothing that was acknowledged is lost", "at", f.At, "cause", f.Cause)
	a.announcer.Announce(announcement{
		kind:    "disk_failed",
		title:   "The agent was restarted: its disk had failed",
		message: f.Cause,
		bad:     true,
		fields:  map[string]any{"reason": f.Cause, "since": f.At.UTC().Format(time.RFC3339), "directory": a.state},
		queued: func() {
			if err := a.queue.ForgetFailure(); err != nil {
				a.log.Warn("people are told again at the next start that the disk had failed", "error", err)
			}
		},
	})
}

// failurePatience is how long the rest may take to end once the disk has failed.
const failurePatience = 2 * time.Second

// wait returns when all work has ended, or soon after the queue's disk failed: what reads
// the queue may then never return.
func (a *Agent) wait(work *group) error {
	ended := make(chan error, 1)
	go func() { ended <- work.wait() }()
	select {
	case err := <-ended:
		return err
	case <-a.queue.Failed():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(failurePatience):
		return a.queue.Alive()
	}
}
