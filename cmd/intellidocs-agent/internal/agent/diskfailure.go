package agent

import (
	"time"
)

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
