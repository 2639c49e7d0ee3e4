package dispatch

import (
	"cmp"
	"math"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

const (
	// throttleMax bounds how long an endpoint may put deliveries off.
	throttleMax = 24 * time.Hour
	// quotaMax bounds it where it is told with a success, by a header that some servers
	// fill with other things.
	quotaMax = time.Hour
	// throttleLeast is how long it is put off at least, doubling with each refusal in a
	// row up to throttleLeastMax: an endpoint that always says "at once" is not hammered.
	throttleLeast    = 10 * time.Millisecond
	throttleLeastMax = time.Minute
	// throttleStored is from when on it is worth a write, so that a restart does not forget it.
	throttleStored = 10 * time.Second
	// throttleMention is how often it is logged that an endpoint takes no more.
	throttleMention = 10 * time.Minute
	// recently is how old a success may be for a 503 to be taken for "too much".
	recently = 10 * time.Second
)

// throttle is what an endpoint has said of how much it takes: by 429, by 503 with
// Retry-After, and in advance by headers. The zero value knows of no bound. Not for
// concurrent use.
//
// A refusal closes the gate until the moment that was named. Then deliveries go one after
// another until one that was sent after it succeeds. Where no moment was named, it is
// retry_delay, and the pace is learnt as well: else each refusal would cost so much.
type throttle struct {
	until     time.Time // no attempt before
	since     time.Time // when the refusals in a row began
	reason    string
	row       int       // refusals in a row, those that came together counted once
	latest    time.Time // when the latest one came
	mentioned time.Time
	serial    bool // one attempt at a time, until one succeeds
	stored    bool // a restart knows of it

	left   int       // attempts that a quota leaves
	resets time.Time // when it is full again; zero: none is known

	pace pace
}

// is reports whether it bounds the attempts.
func (t *throttle) is() bool {
	return t.serial || !t.until.IsZero() || !t.resets.IsZero() || t.pace.rate > 0
}

// pass forgets what is over.
func (t *throttle) pass(now time.Time) {
	if !t.until.After(now) {
		t.until = time.Time{}
	}
	if !t.resets.After(now) {
		t.resets = time.Time{}
	}
}

// notBefore is the earliest time of the next attempt.
func (t *throttle) notBefore() time.Time {
	at := latest(t.until, t.pace.next)
	if t.left <= 0 {
		at = latest(at, t.resets)
	}
	return at
}

// bound is how many of n attempts may begin at once.
func (t *throttle) bound(n int) int {
	if t.pace.rate > 0 {
		n = min(n, 1)
	}
	if !t.resets.IsZero() {
		n = min(n, max(t.left, 0))
	}
	return n
}

func (t *throttle) began(now time.Time) {
	t.left--
	t.pace.began(now)
}

// told takes in what a response said of a quota, while others are under way that it may
// not have counted.
func (t *throttle) told(q send.Quota, others int, now time.Time) {
	if q.Remaining > maxKnownQuota || !q.Resets.After(now) {
		t.resets = time.Time{}
		return
	}
	t.left, t.resets = q.Remaining-others, earliest(q.Resets, now.Add(quotaMax))
}

// maxKnownQuota is from where on a quota is not worth counting.
const maxKnownQuota = 128

// refused takes in a refusal, and reports until when deliveries wait, and whether that is
// to be logged.
func (t *throttle) refused(now time.Time, r send.Result, retryDelay time.Duration) (mention bool, until time.Time) {
	if t.since.IsZero() {
		t.since = now
	}
	if !t.until.After(now) {
		t.row++
	}
	at := r.RetryAfter
	if at.IsZero() {
		at = now.Add(retryDelay)
		t.pace.refused(r.At, now, retryDelay)
	}
	least := min(throttleLeast<<min(t.row-1, 20), throttleLeastMax)
	at = earliest(latest(at, now.Add(least)), now.Add(throttleMax))
	t.until, t.latest, t.serial = latest(t.until, at), now, true
	t.reason, t.stored = cmp.Or(r.Error, "it asked to wait"), t.stored || t.lasts(now)
	if mention = now.Sub(t.mentioned) >= throttleMention; mention {
		t.mentioned = now
	}
	return mention, t.until
}

// succeeded takes in a success of an attempt that began at a moment, and reports whether it
// ended what a restart would have to know.
func (t *throttle) succeeded(began, now time.Time) (stored bool) {
	t.pace.succeeded(began, now)
	if !t.serial || began.Before(t.latest) {
		return false
	}
	stored = t.stored
	t.until, t.since, t.serial, t.row, t.stored = time.Time{}, time.Time{}, false, 0, false
	return stored
}

// lasts reports whether deliveries wait for so long that a restart must know of it.
func (t *throttle) lasts(now time.Time) bool { return t.until.Sub(now) >= throttleStored }

// How the pace changes. It begins between what most limits are, rises fast up to what was
// refused before and hardly beyond, and is given up where it bounds nothing.
const (
	paceFirst = 8    // attempts a second after the first refusal
	paceLeast = 0.05 // and after any number of them
	paceMost  = 200
	paceCut   = 0.7
	paceRise  = 1.25
	paceBurst = 3 // times a second
	paceCreep = 1.01
	paceNear  = 0.97 // of what was taken before one was refused
	// pacePatience is how long that is kept to, as a multiple of what the refusal cost:
	// trying for more costs little beside it.
	pacePatience = 15
)

// pace is how fast an endpoint was found to take deliveries that does not say so: additive
// increase and multiplicative decrease. The zero value is no bound.
type pace struct {
	rate    float64   // attempts a second; 0: no bound
	good    float64   // a rate that was taken
	ceiling float64   // what to stay below, since more was refused; 0: not known
	cut     time.Time // when the rate was last cut
	from    float64   // what it was then
	keep    time.Time // below the ceiling, until then
	next    time.Time
}

// refused takes in that an attempt which began at a moment was too much, and what that costs.
func (p *pace) refused(began, now time.Time, cost time.Duration) {
	switch {
	case p.rate == 0:
		p.rate, p.ceiling = paceFirst, 0
	case !began.After(p.cut):
		return // it says nothing about the pace since
	case p.good == 0:
		// Not one was taken at this pace: it has not been waited for long enough.
		p.ceiling, p.rate = 0, max(p.rate*paceCut, paceLeast)
	default:
		p.ceiling = paceNear * min(p.good, p.rate)
		p.good, p.rate = 0, max(p.rate*paceCut, paceLeast)
	}
	p.from = p.rate
	p.cut, p.keep = now, now.Add(pacePatience*max(cost, time.Second))
}

// succeeded takes in that an attempt which began at a moment was not too much.
func (p *pace) succeeded(began, now time.Time) {
	if p.rate == 0 || !began.After(p.cut) {
		return
	}
	p.good = p.rate
	switch {
	case p.ceiling == 0:
		p.rate = max(p.rate, min(p.rate*paceRise, p.atMost(now)))
	case p.rate < p.ceiling:
		p.rate = min(p.rate*paceRise, p.ceiling)
	case now.After(p.keep):
		p.rate *= paceCreep
	}
	if p.rate > paceMost {
		*p = pace{}
	}
}

// atMost bounds how fast the pace rises: what a receiver takes of a burst says little of
// what it takes in the long run.
func (p *pace) atMost(now time.Time) float64 {
	return p.from * math.Pow(paceBurst, now.Sub(p.cut).Seconds())
}

func (p *pace) began(now time.Time) {
	if p.rate > 0 {
		p.next = now.Add(time.Duration(float64(time.Second) / p.rate))
	}
}
