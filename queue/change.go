package queue

import "time"

// How much of an attempt is kept.
const (
	maxHistory  = 50
	maxReplays  = 20
	maxHeader   = 2000
	maxHeaders  = 10 // attempts
	maxResponse = 1000
	maxError    = 2000
)

// What can happen to a delivery, the same in every engine.

// Finished reports whether no attempt follows.
func (d *Delivery) Finished() bool { return d.Status == Success || d.Status == Failed }

// Attempted takes in what an attempt came to.
func (d *Delivery) Attempted(o *Outcome) {
	if !o.Free {
		d.Spent++
	}
	a := d.Remember(o)
	d.Status, d.URL = o.Status, o.URL
	d.LastAttemptAt, d.NextAttemptAt, d.CompletedAt = a.At, o.Due, time.Time{}
	d.ResponseCode, d.ResponseBody, d.Error = a.Status, a.Response, a.Error
	if d.Finished() {
		d.NextAttemptAt, d.CompletedAt = time.Time{}, a.At.Add(a.Took)
	}
}

// Remember puts an attempt into the delivery's history, cut to what is kept of it, and changes
// nothing else: where it stands is decided by others.
func (d *Delivery) Remember(o *Outcome) Attempt {
	a := o.Attempt
	a.Header, a.Response, a.Error = clip(a.Header, maxHeader), clip(a.Response, maxResponse), clip(a.Error, maxError)
	d.Attempts = max(d.Attempts, a.N)
	d.History = append(d.History, a)
	d.History = d.History[max(0, len(d.History)-maxHistory):]
	if old := len(d.History) - 1 - maxHeaders; old >= 0 {
		d.History[old].Header = ""
	}
	return a
}

// Requeue makes the delivery due now, for somebody who asked for it.
func (d *Delivery) Requeue(by string, now time.Time) {
	d.Status = Pending
	if d.Attempts > 0 {
		d.Status = Retrying
	}
	if !d.CompletedAt.IsZero() {
		d.Spent = 0
	}
	d.NextAttemptAt, d.CompletedAt = now, time.Time{}
	d.Replays = append(d.Replays, Replay{At: now, By: by})
	d.Replays = d.Replays[max(0, len(d.Replays)-maxReplays):]
}

// Discard gives the delivery up, for somebody who asked for it.
func (d *Delivery) Discard(by string, now time.Time) {
	d.Status, d.NextAttemptAt, d.CompletedAt = Failed, time.Time{}, now
	d.Error = "discarded by " + by
}
