package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Condition is how a webhook is doing.
type Condition string

// The five of them.
const (
	Healthy  Condition = "healthy"
	Retrying Condition = "retrying" // its last attempt failed
	Held     Condition = "held"     // its endpoint, or this machine's network, is down
	Paused   Condition = "paused"   // by a person or a 410, until resumed
	Disabled Condition = "disabled" // by its configuration
)

var conditions = []Condition{Healthy, Retrying, Held, Paused, Disabled}

// State is how one webhook is doing.
type State struct {
	Webhook string    `json:"webhook"`
	Agent   string    `json:"agent,omitempty"` // that serves it, where several share the queue
	State   Condition `json:"state"`
	Reason  string    `json:"reason,omitempty"` // of Retrying, Held and Paused, for people
	Since   time.Time `json:"since,omitzero"`   // of Retrying, Held and Paused
	Gone    bool      `json:"-"`                // of Paused: by a 410
	// NextProbe is when a held webhook is next tried.
	NextProbe time.Time `json:"next_probe,omitzero"`
	InFlight  int       `json:"in_flight"`
	// Failures are the failed attempts since the last that succeeded.
	Failures    int       `json:"consecutive_failures"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // of the last failed attempt
	// PerMinute are the deliveries within the last minute.
	PerMinute float64 `json:"per_minute"`
	// P50 and P99 are over the latest 256 attempts; zero where there was none.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// How repeated failures of one webhook are logged: the first ones each, then their
// number once in a while.
const (
	mentionFirst = 5
	mentionEvery = time.Minute
)

// stats is what one webhook's attempts have come to since the start. Guarded by worker.mu.
type stats struct {
	inFlight    int
	failures    int
	failingFrom time.Time
	lastSuccess time.Time
	lastFailure time.Time
	lastError   string
	unread      backoff

	unreported int // failures not logged each
	reportedAt time.Time

	latencies [256]time.Duration
	attempts  int // of all time; the latest is at (attempts-1) % 256
	recent    recent
}

// attempted takes in an attempt that says nothing about the endpoint's health.
func (t *stats) attempted(r send.Result) {
	t.unread.succeeded()
	t.latencies[t.attempts%len(t.latencies)] = r.Took
	t.attempts++
}

// count takes in an attempt, and says in v how to log it.
func (t *stats) count(now time.Time, v *outcome, r send.Result) {
	t.attempted(r)
	if v.Status == queue.Success {
		t.recent.delivered(now)
		v.recovered, v.failingFrom = t.failures, t.failingFrom
		t.failures, t.unreported, t.lastSuccess = 0, 0, now
		return
	}
	if t.failures++; t.failures == 1 {
		t.failingFrom = now
	}
	t.lastFailure, t.lastError = now, r.Error
	switch {
	case t.failures <= mentionFirst:
		v.mention, t.reportedAt = true, now
	case now.Sub(t.reportedAt) < mentionEvery:
		t.unreported++
	default:
		v.unreported = t.unreported + 1
		t.unreported, t.reportedAt = 0, now
	}
}

// failedBefore takes in that the last attempt before the start failed: a restart heals nothing.
func (t *stats) failedBefore(last queue.Attempt) {
	t.failures, t.failingFrom, t.lastFailure, t.lastError = 1, last.At, last.At, last.Error
}

// recent counts the deliveries of the minute that runs and of the one before.
type recent struct {
	begin       time.Time // of the minute that runs
	now, before int
}

func (r *recent) turn(now time.Time) {
	begin := now.Truncate(time.Minute)
	switch begin.Sub(r.begin) {
	case 0:
		return
	case time.Minute:
		r.before = r.now
	default:
		r.before = 0
	}
	r.begin, r.now = begin, 0
}

func (r *recent) delivered(now time.Time) {
	r.turn(now)
	r.now++
}

// perMinute is the minute that runs, and of the one before the part that a sliding minute covers.
func (r *recent) perMinute(now time.Time) float64 {
	r.turn(now)
	return float64(r.now) + (1-float64(now.Sub(r.begin))/float64(time.Minute))*float64(r.before)
}

// quantiles returns the median and the 99th percentile of the latest attempts.
func (t *stats) quantiles() (p50, p99 time.Duration) {
	n := min(t.attempts, len(t.latencies))
	if n == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(t.latencies[:n]))
	return sorted[(n-1)/2], sorted[(n*99+99)/100-1]
}

// state is how the webhook is doing as this agent knows it, and whether it is this agent's.
func (w *worker) state() (s State, held bool) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.stats
	s = State{
		Webhook: w.name, InFlight: t.inFlight, Failures: t.failures,
		LastSuccess: t.lastSuccess, LastFailure: t.lastFailure, LastError: t.lastError,
		PerMinute: t.recent.perMinute(now),
	}
	w.describe(&s, now)
	s.P50, s.P99 = t.quantiles()
	if w.lease.held {
		s.Agent = w.d.agent
	}
	return s, w.lease.held
}

// agentsPatience is how long to wait for what other agents said.
const agentsPatience = 2 * time.Second

// States tells how every configured webhook is doing, in configuration order. Of one that another
// agent serves it is as that one last said.
func (d *Dispatcher) States() []State {
	workers := d.inOrder()
	states := make([]State, 0, len(workers))
	var agents []queue.Agent
	asked := false
	for _, w := range workers {
		s, held := w.state()
		if !held && s.State != Disabled {
			if !asked {
				ctx, cancel := context.WithTimeout(context.Background(), agentsPatience)
				agents, _ = d.store.Agents(ctx) // else it is as this agent knows it
				cancel()
				asked = true
			}
			s = othersState(w, s, agents)
		}
		states = append(states, s)
	}
	return states
}

// ownStates leaves out the webhooks that other agents tell of.
func (d *Dispatcher) ownStates() []State {
	var states []State
	for _, w := range d.inOrder() {
		if s, held := w.state(); held || d.agent == "" || s.State == Disabled {
			states = append(states, s)
		}
	}
	return states
}
