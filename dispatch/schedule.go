package dispatch

import (
	"math"
	"time"
)

// retryAfterMax bounds how long an endpoint may put a retry off by Retry-After.
const retryAfterMax = 24 * time.Hour

// retryAt says when retry k (1, 2, …) is due: RetryDelay·2^(k-1), at most RetryMaxDelay,
// plus the fraction jitter (0 to 1) of RetryJitter on top. An endpoint's retryAfter puts
// it later, never earlier.
func (w *Webhook) retryAt(now time.Time, k int, jitter float64, retryAfter time.Time) time.Time {
	delay := float64(w.RetryDelay) * math.Pow(2, float64(k-1))
	if w.RetryMaxDelay > 0 {
		delay = min(delay, float64(w.RetryMaxDelay))
	}
	delay += delay * w.RetryJitter * jitter
	// A year's bound keeps the arithmetic of absurd settings within a Duration.
	due := now.Add(time.Duration(min(delay, float64(365*24*time.Hour))))
	if latest := now.Add(retryAfterMax); retryAfter.After(latest) {
		retryAfter = latest
	}
	if retryAfter.After(due) {
		return retryAfter
	}
	return due
}
