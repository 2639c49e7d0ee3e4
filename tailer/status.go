package tailer

import (
	"log/slog"
	"sync"
)

const notStarted = "not started"

// reporter keeps a source's status and logs each problem once until it changes.
type reporter struct {
	log  *slog.Logger
	path string
	// fault and again are what is logged of a problem and of its end.
	fault, again string
	said         string // the last problem logged

	mu     sync.Mutex
	status Status
	stuck  string // the handler's problem
}

func newReporter(log *slog.Logger, source, path, fault, again string) reporter {
	return reporter{log: log, path: path, fault: fault, again: again, status: Status{Source: source, Reason: notStarted}}
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

// update changes the status.
func (r *reporter) update(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// complain logs what is wrong, once until it changes.
func (r *reporter) complain(problem string) {
	if problem == r.said {
		return
	}
	source := r.status.Source
	if problem != "" {
		r.log.Warn(r.fault, "source", source, "path", r.path, "reason", problem)
	} else {
		r.log.Info(r.again, "source", source, "path", r.path)
	}
	r.said = problem
}
