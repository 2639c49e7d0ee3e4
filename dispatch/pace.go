package dispatch

import (
	"math"
	"time"
)

const (
	// paceGuess is what most limits are below, in attempts a second.
	paceGuess = 64
	// paceMost is from where on a pace bounds nothing.
	paceMost = 500
	// paceLeast is the slowest; what takes less still is waited for.
	paceLeast = 0.02
	// paceNear is how near to each other what is taken and what is refused are close enough.
	paceNear = 1.15
	// paceRise is how much more is tried as long as nothing was refused, and paceCreep
	// at first where it is known that little more will be taken.
	paceRise  = 1.4
	paceCreep = 1.1
	// paceToward is how far the pace moves from what is taken to what is refused, on a scale
	// of ratios: a refusal costs more than a pace that is a little slow.
	paceToward = 0.5
	// paceShy is what is left of that where not even a burst was taken.
	paceShy = 0.15
	// paceSteady is the part of a pace by which refusals may slow it: below it, they are too many.
	paceSteady = 0.85
	// paceNudge and pacePatience are how long a pace is kept to, as multiples of what a
	// refusal costs, before more is tried: until it is known what is refused, and after that.
	paceNudge    = 0.8
	pacePatience = 30
	// paceCostMost bounds that cost, and with it how long a pace is kept to.
	paceCostMost = 3 * time.Minute
	// paceBurstMost bounds what is taken for a burst.
	paceBurstMost = 256
)

// pace is how fast an endpoint was found to take deliveries, where it says so by refusals
// alone: not at all, or with a Retry-After that is longer than it need be. The zero value is
// no bound.
//
// It is a search between two bounds. low is what was taken over some time, less the burst
// that the endpoint takes at once (a bucket's tokens, a window's requests), which says nothing
// of the long run. high is a pace that was refused. Each refusal costs as long as it holds the
// webhook, and the search is as careful as that is long.
type pace struct {
	rate float64 // attempts a second; 0: no bound
	low  float64
	high float64 // 0: not known

	burst    int // how many were taken at once before the first refusal
	toward   float64
	gain     float64
	patience float64
	cost     time.Duration // of the latest refusal, or of several in a row

	cut     time.Time // the latest refusal
	refusal bool      // and none was taken since
	run     time.Time // when the first was taken after a refusal, or after a pause
	taken   int       // since then
	latest  time.Time // when the latest was
	step    time.Time // when rate was set
	steps   int       // taken since then

	begun time.Time     // the latest attempt
	heard time.Time     // the latest answer
	trip  time.Duration // how long one takes, about the least
}

// serial reports whether attempts are so seldom that each can wait for the answer to the one
// before.
func (p *pace) serial() bool { return p.rate > 0 && p.rate*p.trip.Seconds() <= 1 }

func (p *pace) spacing() time.Duration { return time.Duration(float64(time.Second) / p.rate) }

// notBefore is the earliest time of the next attempt: some time after the one before began
// and, where it can be, so long after its answer that it does not matter if it arrived late.
// What receivers count is when requests come to them. An answer that does not come is not
// waited for.
func (p *pace) notBefore(underWay bool) time.Time {
	switch {
	case p.rate == 0:
		return time.Time{}
	case !p.serial():
		return p.begun.Add(p.spacing())
	case underWay:
		return p.begun.Add(p.spacing() + 4*p.trip)
	}
	return latest(p.begun.Add(p.spacing()), p.heard.Add(p.spacing()-p.trip))
}

// set makes this the pace. What was taken at another one counts no more.
func (p *pace) set(rate float64, now time.Time) {
	if rate > paceMost {
		*p = pace{run: p.run, taken: p.taken, latest: p.latest, trip: p.trip}
		return
	}
	p.rate, p.step, p.steps = max(rate, paceLeast), now, 0
}

func (p *pace) began(now time.Time) { p.begun = now }

func (p *pace) answered(began, now time.Time) {
	p.heard = now
	if trip := now.Sub(began); p.trip == 0 || trip < p.trip {
		p.trip = trip
	} else {
		p.trip += (trip - p.trip) / 16
	}
}

// refused takes in that an attempt which began at a moment was too much, and what that costs.
func (p *pace) refused(began, now time.Time, cost time.Duration) {
	p.answered(began, now)
	if !p.cut.IsZero() && !began.After(p.cut) {
		return // it says nothing about the pace since
	}
	p.cut = now
	if p.refusal {
		p.cost = min(p.cost+cost, paceCostMost) // it was not waited for long enough
		return
	}
	p.rest(now)
	p.refusal, p.cost = true, min(cost, paceCostMost)
}

// succeeded takes in that an attempt which began at a moment was not too much.
func (p *pace) succeeded(began, now time.Time) {
	p.answered(began, now)
	after := began.After(p.cut)
	if p.refusal && after {
		p.learn(now)
		p.latest = now
		return
	}
	p.rest(now)
	p.taken, p.latest = p.taken+1, now
	if p.rate > 0 && !p.refusal {
		p.steps++
		p.rise(now)
	}
}

// rest begins to count again where there was nothing to send for a while.
func (p *pace) rest(now time.Time) {
	idle := time.Second
	if p.rate > 0 {
		idle = max(idle, 4*p.spacing())
	}
	if !p.refusal && now.Sub(p.latest) > idle {
		p.run, p.taken, p.step, p.steps, p.latest = now, 0, now, 0, now
	}
}

// learn sets the pace after a refusal: the first was taken again. What was taken from the
// first after the refusal before until now, the waiting included, is what the endpoint is
// known to take.
func (p *pace) learn(now time.Time) {
	known := float64(p.taken) / max(now.Sub(p.run), time.Second).Seconds()
	taken := p.taken
	p.refusal, p.run, p.taken = false, now, 1
	switch {
	case taken == 0: // nothing is known
	case p.rate == 0:
		p.burst, p.patience, p.gain = min(taken, paceBurstMost), pacePatience, paceRise
		p.low, p.high = known, 0
		p.set(max(known, math.Sqrt(known*paceGuess)), now)
	case p.rate <= p.low*1.01 && known > paceSteady*p.rate:
		// Refusals are so few that this is about the best: there is always one that comes
		// too close behind another.
		p.low *= 0.98
		p.high = max(p.high, p.low)
		p.set(p.low, now)
	default:
		if p.low = max(p.low, known); p.rate <= p.low*1.01 {
			p.low = known // it was taken for a while alone
		}
		p.high = p.rate
		p.toward = paceToward
		if p.burst > 2 {
			p.toward *= min(1, max(paceShy, (float64(taken)/float64(p.burst)-1)/2))
		}
		p.set(p.between(), now)
	}
}

// between is the pace to try.
func (p *pace) between() float64 {
	switch {
	case p.high == 0:
		return p.gain * p.low
	case p.high < paceNear*p.low:
		return p.low
	}
	return p.low * math.Pow(p.high/p.low, p.toward)
}

// rise tries for more, by what was taken at this pace.
func (p *pace) rise(now time.Time) {
	took := now.Sub(p.step)
	n := p.steps + 1 - p.burst
	if n > 1 {
		p.low = max(p.low, min(p.rate, float64(n)/took.Seconds()))
	}
	busy := p.steps > 1 && float64(p.steps)/took.Seconds() > 0.7*p.rate
	if n > 1 && !busy {
		p.step, p.steps = now, 0 // something else bounded the attempts
	}
	least, next := 1.03, p.between()
	switch found := p.high > 0 && p.high < paceNear*p.rate; {
	case found && busy && now.Sub(p.cut).Seconds() > p.patience*p.cost.Seconds():
		p.patience = min(2*p.patience, max(pacePatience, time.Hour.Seconds()/max(p.cost.Seconds(), 1)))
		p.high, p.gain = 0, paceCreep
		next = p.gain * p.rate
	case found:
	case p.high > 0:
		if busy && took.Seconds() > paceNudge*p.cost.Seconds() {
			next = max(next, p.rate*math.Pow(p.high/p.rate, paceToward))
		}
	default:
		least = paceCreep
		if busy && took.Seconds() > paceNudge*p.cost.Seconds() {
			p.gain = min(paceRise, paceCreep*p.gain)
			next = max(next, p.gain*p.rate)
		}
	}
	if next >= least*p.rate {
		p.set(next, now)
	}
}
