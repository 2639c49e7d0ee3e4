package tailer

import (
	"log/slog"
	"sync"
	"time"
)

const notStarted = "not started"

// reporter keeps a log's status and logs each problem once until it changes.
type reporter struct {
	log  *slog.Logger
	path string
	said string // the last problem logged

	mu     sync.Mutex
	status Status
	stuck  string // the handler's problem
}

// Status may be called at any time.
func (r *reporter) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if r.stuck != "" {
		s.Ready, s.Reason = false, r.stuck
	}
	return s
}

// failing notes the handler's error, or with nil its recovery.
func (r *reporter) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = ""
	if err != nil {
		r.stuck = "batch cannot be kept: " + err.Error()
	}
}

// kept notes a batch that the handler has kept.
func (r *reporter) kept(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b.Records) > 0 {
		r.status.LastRecord = time.Now()
	}
	if b.Gap != nil {
		r.status.Gaps++
	}
}

// publish makes the state of the files visible.
func (r *reporter) publish(set *fileset) {
	ready, reason := set.dir.state()
	lag, open := set.lag(), set.open()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Ready, r.status.Reason, r.status.Warning = ready, reason, set.dir.warning
	r.status.LagBytes, r.status.Files = lag, open
}

// complain logs what is wrong, once until it changes.
func (r *reporter) complain(problem string) {
	if problem == r.said {
		return
	}
	source := r.status.Source
	if problem != "" {
		r.log.Warn("log cannot be followed", "source", source, "path", r.path, "reason", problem)
	} else {
		r.log.Info("log is followed again", "source", source, "path", r.path)
	}
	r.said = problem
}
