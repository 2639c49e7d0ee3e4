package dispatch

import (
	"math"
	"time"
)

// retryAt says when retry k (1, 2, …) is due: RetryDelay·2^(k-1), at most RetryMaxDelay,
// plus the fraction jitter (0 to 1) of RetryJitter on top.
func (w *Webhook) retryAt(now time.Time, k int, jitter float64) time.Time {
	delay := float64(w.RetryDelay) * math.Pow(2, float64(k-1))
	if w.RetryMaxDelay > 0 {
		delay = min(delay, float64(w.RetryMaxDelay))
	}
	delay += delay * w.RetryJitter * jitter
	// A year's bound keeps the arithmetic of absurd settings within a Duration.
	return now.Add(time.Duration(min(delay, float64(365*24*time.Hour))))
}
