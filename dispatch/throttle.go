package dispatch

import (
	"cmp"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

const (
	// throttleMax bounds how long an endpoint may put deliveries off.
	throttleMax = 24 * time.Hour
	// quotaMax bounds it where it is told with a success, by a header that some servers
	// fill with other things.
	quotaMax = time.Hour
	// throttleLeast is how long it is put off at least, and an eighth of the time since it
	// took something, up to throttleLeastMax: an endpoint that always says "at once" is not
	// hammered.
	throttleLeast    = 10 * time.Millisecond
	throttleLeastMax = time.Minute
	// throttleStored is from when on it is worth a write, so that a restart does not forget it.
	throttleStored = 10 * time.Second
	// throttleMention is how often it is logged that an endpoint takes no more.
	throttleMention = 10 * time.Minute
	// throttleTold is how long it puts deliveries off for people to hear of it: ten minutes,
	// which many name, and of which a moment is over by then.
	throttleTold = 10*time.Minute - 5*time.Second
	// recently is how old a success may be for a 503 to be taken for "too much".
	recently = 10 * time.Second
)

// throttle is what an endpoint has said of how much it takes: by 429, by 503 with
// Retry-After, and in advance by headers. The zero value knows of no bound. Not for
// concurrent use.
//
// A refusal closes the gate until the moment that was named. Then deliveries go one after
// another until one that was sent after it succeeds. Where no moment was named, it is
// retry_delay. The pace is learnt as well: else each refusal would cost so much.
type throttle struct {
	until     time.Time // no attempt before
	since     time.Time // when the refusals in a row began
	reason    string
	latest    time.Time // when the latest one came
	mentioned time.Time // when it was last logged
	logged    time.Time // and until when it was to wait by that
	serial    bool      // one attempt at a time, until one succeeds
	stored    bool      // a restart knows of it
	announced bool      // people have heard of it

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

// notBefore is the earliest time of the next attempt, with others under way or not.
func (t *throttle) notBefore(underWay bool) time.Time {
	at := latest(t.until, t.pace.notBefore(underWay))
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
	at := r.RetryAfter
	if at.IsZero() {
		at = now.Add(retryDelay)
	}
	least := min(max(throttleLeast, now.Sub(t.since)/8), throttleLeastMax)
	at = earliest(latest(at, now.Add(least)), now.Add(throttleMax))
	t.pace.refused(r.At, now, at.Sub(now))
	t.until, t.latest, t.serial = latest(t.until, at), now, true
	t.reason, t.stored = cmp.Or(r.Error, "it asked to wait"), t.stored || t.lasts(now)
	// One that is much longer than what was logged is news, too.
	if mention = now.Sub(t.mentioned) >= throttleMention || t.until.Sub(t.logged) >= throttleTold; mention {
		t.mentioned, t.logged = now, t.until
		t.announced = t.announced || t.long()
	}
	return mention, t.until
}

// succeeded takes in a success of an attempt that began at a moment, and reports whether it
// ended what a restart would have to know, and since when it lasted if people have heard of it.
func (t *throttle) succeeded(began, now time.Time) (stored bool, toldSince time.Time) {
	t.pace.succeeded(began, now)
	if !t.serial || began.Before(t.latest) {
		return false, time.Time{}
	}
	if t.announced {
		toldSince = t.since
	}
	stored = t.stored
	t.until, t.since, t.serial, t.stored, t.announced = time.Time{}, time.Time{}, false, false, false
	return stored, toldSince
}

// long reports whether deliveries will have waited for so long that people should hear of it,
// by one refusal or by many.
func (t *throttle) long() bool { return t.until.Sub(t.since) >= throttleTold }

// lasts reports whether deliveries wait for so long that a restart must know of it.
func (t *throttle) lasts(now time.Time) bool { return t.until.Sub(now) >= throttleStored }
