package dispatch

import "time"

// How long after a webhook is held the first probe goes out, doubling to the longest: a
// receiver that is back is met again within as long as it was away.
const (
	probeFirst = time.Second
	probeMax   = 10 * time.Minute
)

// How soon to look again whether this machine has a network, doubling to the longest.
const (
	offlineFirst = time.Second
	offlineMax   = 30 * time.Second
)

// probedMax bounds how many deliveries a held webhook remembers as probed.
const probedMax = 64

// burnedMax bounds how many deliveries are remembered whose attempts an outage used up.
const burnedMax = 256

// breaker holds a webhook whose endpoint is down: no attempts are used up, one probe at
// a time goes out. The zero value is closed. Not for concurrent use.
type breaker struct {
	failures int  // outage failures in a row
	open     bool // held
	since    time.Time
	delay    time.Duration // to the probe after the next
	probeAt  time.Time
	// probed are the deliveries that were probes during this outage: each probe takes
	// another one, so that a single event its receiver chokes on cannot hold the rest.
	probed map[string]bool
	// burned are the deliveries whose attempts failed in this row before it opened. They
	// are tried with the first success, and not by their own backoff.
	burned []string
	// ramp is how many attempts may be under way at once after an outage, 0: no bound.
	// One more for each answer, which doubles it with every round trip.
	ramp int
}

// failed counts an outage failure and reports whether it opened the breaker.
func (b *breaker) failed(id string, now time.Time, threshold int) bool {
	b.failures++
	if !b.open && threshold > 0 {
		b.burned = append(b.burned[max(0, len(b.burned)+1-burnedMax):], id)
	}
	if b.ramp > 0 {
		b.ramp = 1
	}
	if b.open || threshold == 0 || b.failures < threshold {
		return false
	}
	*b = breaker{failures: b.failures, open: true, since: now, delay: probeFirst, probed: map[string]bool{}, burned: b.burned}
	b.schedule(now)
	return true
}

// schedule sets the next probe and doubles the delay to the one after it.
func (b *breaker) schedule(now time.Time) {
	b.probeAt = now.Add(b.delay)
	b.delay = min(2*b.delay, probeMax)
}

// answered ends a row of outage failures: the endpoint is there, whatever it said.
// A breaker that is open stays so.
func (b *breaker) answered(concurrency int) {
	if b.open {
		return
	}
	b.failures, b.burned = 0, nil
	if b.ramp > 0 {
		b.ramp++
	}
	if b.ramp > concurrency {
		b.ramp = 0
	}
}

// close lets deliveries go again, at first one at a time.
func (b *breaker) close() { *b = breaker{ramp: 1} }

// markProbe remembers the delivery as probed.
func (b *breaker) markProbe(id string) {
	if len(b.probed) >= probedMax {
		clear(b.probed)
	}
	b.probed[id] = true
}

// limit bounds how many attempts may be under way at once.
func (b *breaker) limit(concurrency int) int {
	switch {
	case b.open:
		return 1
	case b.ramp > 0:
		return min(b.ramp, concurrency)
	}
	return concurrency
}

// offline is the absence of a network on this machine, as one webhook meets it.
// The zero value is online. Not for concurrent use.
type offline struct {
	since time.Time // zero: online
	delay time.Duration
	retry time.Time
}

func (o *offline) is() bool { return !o.since.IsZero() }

// met reports whether it is news. probe: the attempt was the one made to see whether it
// is over, unlike those that were under way when it began.
func (o *offline) met(now time.Time, probe bool) bool {
	news := !o.is()
	switch {
	case news:
		o.since, o.delay = now, offlineFirst
	case !probe:
		return false
	}
	o.retry = now.Add(o.delay)
	o.delay = min(2*o.delay, offlineMax)
	return news
}
