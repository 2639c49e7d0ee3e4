package agent

import (
	"time"
)

// failurePatience is how long the rest may take to end once the disk has failed.
const failurePatience = 2 * time.Second

// wait returns when all work has ended, or soon after the queue's disk failed: what reads
// the queue may then never return.
func (a *Agent) wait(work *group) error {
	if a.disk == nil {
		return work.wait()
	}
	ended := make(chan error, 1)
	go func() { ended <- work.wait() }()
	select {
	case err := <-ended:
		return err
	case <-a.disk.Failed():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(failurePatience):
		return a.disk.Alive()
	}
}
