package dispatch

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"golang.org/x/time/rate"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// gate says when a webhook's deliveries may be attempted and how many at once, by what its
// endpoint was last seen to do. Each of these closes it:
//
//	lease     another agent serves the webhook
//	pause     somebody's wish, or a 410: until resumed
//	offline   this machine has no network: one attempt now and then, to see
//	breaker   the endpoint is down: one probe at a time, ever more seldom
//	throttle  the endpoint accepts no more for now: until the moment that it named
//
// None of the three last uses up an attempt. After the two last it opens little by little:
// one at a time until one succeeds, then one more for each success. The zero value with a
// configuration is open. Guarded by worker.mu.
type gate struct {
	cfg      Webhook
	active   bool // configured, enabled and not parked
	paused   *pause
	offline  offline
	breaker  breaker
	throttle throttle
	limiter  *rate.Limiter // rate_limit's
	stats    stats
	// hurried are deliveries that are tried before their own due time: their attempts
	// failed by an outage that is over.
	hurried []string
	// What must survive a restart changed, and is not stored yet.
	dirty      bool // of the breaker or the throttle
	pauseDirty bool
	lifted     bool // a pause was, while the webhook was not this agent's: not to be stored before it is

	lease  lease
	stored stored
	// lookAtPause: somebody else has changed the stored pause.
	lookAtPause bool
	wished      time.Time // when somebody last paused or resumed it here
}

// configure takes over a configuration, and returns the pause that it lifts.
func (g *gate) configure(cfg Webhook, now time.Time) (lifted *pause) {
	g.active = cfg.Enabled && !cfg.Parked
	if cfg.Digest != "" && cfg.Digest == g.cfg.Digest && g.cfg.Sender != nil {
		return nil
	}
	if g.limiter == nil || g.cfg.RateLimit != cfg.RateLimit {
		g.limiter = newLimiter(cfg.RateLimit)
	}
	if g.paused.lifts(&cfg) {
		lifted, g.paused = g.paused, nil
		// One agent alone says so at once: a webhook that is disabled is never held.
		mine := g.lease.held || cfg.Loaded.IsZero()
		g.pauseDirty, g.lifted = mine, !mine
	}
	if g.cfg.Digest != cfg.Digest {
		g.throttle = throttle{} // it was another endpoint's
	}
	switch {
	case !g.breaker.open:
	case cfg.BreakerFailures == 0: // nothing may hold it any more
		g.reopen()
		g.dirty = true
	case g.cfg.Digest != cfg.Digest:
		g.breaker.probeAt, g.breaker.delay = now, probeFirst // it may have been fixed
	}
	g.cfg = cfg
	return lifted
}

// restart forgets what the endpoint was seen to do and begins with what the store has, as after
// a restart of the agent. It returns the pause that the configuration lifts.
func (g *gate) restart(known stored, now time.Time) (lifted *pause, err error) {
	cfg := g.cfg
	*g = gate{lease: g.lease, wished: g.wished, stats: stats{inFlight: g.stats.inFlight}}
	err = g.restore(known, now)
	return g.configure(cfg, now), err
}

// letGo ends whatever keeps deliveries back. The breaker lets them go one at a time at first.
func (g *gate) letGo() {
	if g.breaker.open || g.paused != nil {
		g.reopen()
	}
	g.offline, g.throttle, g.paused = offline{}, throttle{}, nil
}

// newLimiter lets through perSecond attempts, evenly: no more at once than a tenth of a
// second's.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
}

// reopen ends an outage: deliveries go again, at first one at a time, those first whose
// attempts it used up.
func (g *gate) reopen() {
	g.hurried = append(g.hurried, g.breaker.burned...)
	g.breaker.close()
}

// plan is what may be attempted now.
type plan struct {
	n  int       // how many
	at time.Time // when to look again; zero: when poked
	// ahead: nothing is wrong, and more may be claimed than attempted.
	ahead bool
	probe
	ordered bool
	probed  map[string]bool
	hurried []string // need not be due
	burned  []string // nor these, where nothing else can be the probe
}

// probe says why an attempt is made although others wait, by which configuration, and under
// which holding.
type probe struct {
	down, offline, throttled bool
	alone                    bool // what comes next depends on its outcome, which must be in the store
	digest                   string
	epoch                    int64
}

// unhindered reports whether nothing bounds the attempts but concurrency.
func (g *gate) unhindered(now time.Time) bool {
	return g.active && g.lease.valid(now) && g.paused == nil && !g.breaker.open && g.breaker.ramp == 0 && !g.offline.is() &&
		!g.throttle.is() && len(g.hurried) == 0 && !g.cfg.Ordered && g.limiter.Limit() == rate.Inf
}

// planned says what may be attempted, with unfinished deliveries claimed of which not all are
// under way any more, and not before a moment.
func (g *gate) planned(now time.Time, unfinished int, notBefore time.Time) plan {
	if !g.active || g.paused != nil || !g.lease.valid(now) {
		return plan{}
	}
	g.throttle.pass(now)
	p := plan{
		ahead: g.unhindered(now), ordered: g.cfg.Ordered, hurried: g.hurried,
		probe: probe{down: g.breaker.open, offline: g.offline.is(), throttled: g.throttle.serial, epoch: g.lease.epoch},
	}
	limit, busy := g.breaker.limit(g.cfg.Concurrency), g.stats.inFlight
	if p.alone = p.ordered || p.offline || p.down || p.throttled; p.alone {
		limit, busy = 1, unfinished
	}
	free := limit - busy
	at := latest(notBefore, g.throttle.notBefore(g.stats.inFlight > 0))
	if p.down {
		at = latest(at, g.breaker.probeAt)
		p.probed, p.burned = maps.Clone(g.breaker.probed), g.breaker.burned
	}
	if p.offline {
		at = latest(at, g.offline.retry)
	}
	if at.After(now) {
		return plan{at: at}
	}
	if perSecond := g.limiter.Limit(); perSecond != rate.Inf && free > 0 {
		tokens := g.limiter.TokensAt(now)
		if tokens < 1 {
			wait := time.Duration((1 - tokens) / float64(perSecond) * float64(time.Second))
			return plan{at: now.Add(max(wait, time.Millisecond))}
		}
		free = min(free, int(tokens))
	}
	p.n = g.throttle.bound(max(free, 0))
	return p
}

// began takes note of an attempt.
func (g *gate) began(p probe, id string, now time.Time) {
	g.limiter.AllowN(now, 1)
	g.throttle.began(now)
	if p.down && g.breaker.open {
		g.breaker.markProbe(id)
	}
	for i, h := range g.hurried {
		if h == id {
			g.hurried = append(g.hurried[:i:i], g.hurried[i+1:]...)
			break
		}
	}
	g.stats.inFlight++
}

// decide says what a result means. jitter is random, 0 to 1.
func (g *gate) decide(p probe, d queue.Delivery, r send.Result, jitter float64) outcome {
	now := time.Now()
	v := outcome{Outcome: queue.Outcome{DeliveryID: d.ID, Epoch: p.epoch, URL: r.URL, Attempt: newAttempt(d, r)}}
	if r.Class != send.Offline && g.offline.is() {
		v.online, v.since = true, g.offline.since
		g.offline = offline{}
	}
	if p.digest == g.cfg.Digest && r.Quota.Known {
		g.throttle.told(r.Quota, g.stats.inFlight-1, now)
	}
	switch r.Class {
	case send.Delivered:
		g.decideDelivered(&v, r, now)
	case send.Throttled:
		g.decideThrottled(&v, p, d, r, now)
		g.stats.attempted(r)
		return v
	case send.Offline:
		v.Attempt.Outcome, v.Status, v.Free, v.Due = outcomeHeld, queue.Retrying, true, cmp.Or(d.NextAttemptAt, now)
		v.offline = g.offline.met(now, p.offline)
		v.silent = p.offline
		return v // nothing is known about the endpoint
	case send.Dead:
		v.Attempt.Outcome, v.Status = outcomeDead, queue.Failed
	case send.Gone:
		v.Attempt.Outcome, v.Status = outcomeGone, queue.Failed
		if g.paused == nil && p.digest == g.cfg.Digest {
			g.paused = &pause{Reason: "the endpoint answered 410 Gone", Since: now, Digest: g.cfg.Digest, Gone: true}
			g.pauseDirty, v.paused = true, true
		}
	default:
		g.decideFailed(&v, p, d, r, jitter, now)
	}
	g.stats.count(now, &v, r)
	return v
}

func (g *gate) decideDelivered(v *outcome, r send.Result, now time.Time) {
	v.Attempt.Outcome, v.Status = outcomeDelivered, queue.Success
	if g.breaker.open {
		v.closed, v.heldSince, g.dirty = true, g.breaker.since, true
		g.reopen()
	} else {
		g.breaker.answered(g.cfg.Concurrency)
	}
	stored, toldSince := g.throttle.succeeded(r.At, now)
	g.dirty = g.dirty || stored
	if !v.closed && !toldSince.IsZero() {
		v.closed, v.heldSince = true, toldSince
	}
}

// decideThrottled: the endpoint said when to come again, or that it was too much. The
// delivery keeps its due time, and so its place among those that wait.
func (g *gate) decideThrottled(v *outcome, p probe, d queue.Delivery, r send.Result, now time.Time) {
	v.Attempt.Outcome, v.Status, v.Free, v.Due = outcomeHeld, queue.Retrying, true, cmp.Or(d.NextAttemptAt, now)
	if p.digest != g.cfg.Digest {
		return // it says nothing about the endpoint there is now
	}
	g.breaker.answered(g.cfg.Concurrency)
	if g.breaker.open && p.down {
		g.breaker.schedule(now)
		g.dirty = true
	} else if !g.breaker.open {
		g.breaker.ramp = 1
	}
	v.throttled, v.until = g.throttle.refused(now, r, g.cfg.RetryDelay)
	v.long, v.heldSince = g.throttle.long(), g.throttle.since
	if g.throttle.lasts(now) {
		g.dirty = true
	}
}

func (g *gate) decideFailed(v *outcome, p probe, d queue.Delivery, r send.Result, jitter float64, now time.Time) {
	held := g.breaker.open
	if p.digest == g.cfg.Digest { // else it says nothing about the endpoint there is now
		if r.Outage {
			v.opened, v.heldSince = g.breaker.failed(d.ID, now, g.cfg.BreakerFailures), now
			if r.Status == 503 && now.Sub(g.stats.lastSuccess) < recently {
				g.throttle.pace.refused(r.At, now, g.cfg.RetryDelay) // some servers say so that it was too much
			}
		} else {
			g.breaker.answered(g.cfg.Concurrency)
		}
		if held && p.down {
			g.breaker.schedule(now)
		}
		g.dirty = g.dirty || v.opened || held && p.down
	}
	spent := d.Spent + 1
	switch {
	case held:
		// Its due time stays, and so its place among those that wait.
		v.Attempt.Outcome, v.Status, v.Free, v.Due = outcomeHeld, queue.Retrying, true, cmp.Or(d.NextAttemptAt, now)
	case spent > g.cfg.MaxRetries:
		v.Attempt.Outcome, v.Status = outcomeRetry, queue.Failed
	default:
		v.Attempt.Outcome, v.Status = outcomeRetry, queue.Retrying
		v.Due = g.cfg.retryAt(now, spent, jitter)
	}
}

// describe fills in the condition, its reason and times.
func (g *gate) describe(s *State, now time.Time) {
	switch b := &g.breaker; {
	case !g.active:
		s.State = Disabled
	case g.paused != nil:
		s.State, s.Reason, s.Since, s.Gone = Paused, g.paused.Reason, g.paused.Since, g.paused.Gone
	case g.offline.is():
		s.State, s.Since, s.NextProbe = Held, g.offline.since, g.offline.retry
		s.Reason = "this machine has no network"
	case b.open:
		s.State, s.Since, s.NextProbe = Held, b.since, latest(b.probeAt, g.throttle.until)
		s.Reason = "the endpoint is down: its last attempt failed"
		if b.failures > 1 {
			s.Reason = fmt.Sprintf("the endpoint is down: its last %d attempts failed", b.failures)
		}
	case g.throttle.until.After(now):
		s.State, s.Since, s.NextProbe = Held, g.throttle.since, g.throttle.until
		s.Reason = "the endpoint accepts no more for now: " + g.throttle.reason
	case g.stats.failures > 0:
		s.State, s.Reason, s.Since = Retrying, g.stats.lastError, g.stats.failingFrom
	default:
		s.State = Healthy
	}
}
