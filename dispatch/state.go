package dispatch

import (
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
	// Minutes are the last hour's, oldest first, all 60 of them.
	Minutes []Minute `json:"minutes"`
}

// Minute counts what happened within one minute.
type Minute struct {
	At        time.Time `json:"at"` // its beginning
	Delivered int       `json:"delivered"`
	Failed    int       `json:"failed"` // attempts
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
	minutes   [60]Minute
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
	minute := t.minute(now)
	if v.Status == queue.Success {
		minute.Delivered++
		v.recovered, v.failingFrom = t.failures, t.failingFrom
		t.failures, t.unreported, t.lastSuccess = 0, 0, now
		return
	}
	minute.Failed++
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

// minute is the counter of now's minute, begun again where it still held another one.
func (t *stats) minute(now time.Time) *Minute {
	begin := now.Truncate(time.Minute)
	m := &t.minutes[int(begin.Unix()/60%int64(len(t.minutes)))]
	if !m.At.Equal(begin) {
		*m = Minute{At: begin}
	}
	return m
}

// lastHour returns the 60 minutes up to now.
func (t *stats) lastHour(now time.Time) []Minute {
	minutes := make([]Minute, len(t.minutes))
	for i := range minutes {
		begin := now.Truncate(time.Minute).Add(time.Duration(i-len(minutes)+1) * time.Minute)
		minutes[i] = Minute{At: begin}
		if m := t.minutes[int(begin.Unix()/60%int64(len(t.minutes)))]; m.At.Equal(begin) {
			minutes[i] = m
		}
	}
	return minutes
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

func (w *worker) state() State {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.stats
	s := State{
		Webhook: w.name, InFlight: t.inFlight, Failures: t.failures,
		LastSuccess: t.lastSuccess, LastFailure: t.lastFailure, LastError: t.lastError,
		Minutes: t.lastHour(now),
	}
	w.describe(&s, now)
	s.P50, s.P99 = t.quantiles()
	// The minute that runs, and of the one before the part that a sliding minute covers.
	last, before := s.Minutes[len(s.Minutes)-1], s.Minutes[len(s.Minutes)-2]
	part := 1 - float64(now.Sub(last.At))/float64(time.Minute)
	s.PerMinute = float64(last.Delivered) + part*float64(before.Delivered)
	return s
}
