// Package send makes one HTTP attempt for one webhook and says what came of it.
// When to try again, and whether to, is decided elsewhere.
package send

import "time"

// Class is what an attempt means for the delivery.
type Class uint8

const (
	// Delivered: a 2xx within the timeout.
	Delivered Class = iota + 1
	// Retry: it failed and may succeed later.
	Retry
	// Dead: it failed and will fail again (a target that is not allowed, a render that is not valid).
	Dead
	// Gone: 410; the delivery has failed and its webhook should be paused.
	Gone
	// Throttled: 429, or 503 with Retry-After; the endpoint is there and takes no more for
	// now. RetryAfter says until when, where it did.
	Throttled
	// Offline: this machine has no network; nothing is known about the endpoint.
	Offline
	// Stopped: the caller's context ended before the exchange did. Not an attempt.
	Stopped
)

// Result is one attempt, for deciding and for the audit.
type Result struct {
	Class Class
	// Outage: the failure counts for the breaker (connection error, time-out, 5xx).
	Outage bool
	// Status is the HTTP status, 0 where there was no response.
	Status int
	// Header is the status line and the headers of the response, at most 2,000 characters, valid
	// UTF-8, with the values masked of those that may let somebody in.
	Header string
	// Response is the first 1,000 characters of the response, valid UTF-8.
	Response string
	// Error is a sentence for people; empty with Delivered.
	Error string
	// RetryAfter is, with Throttled, the earliest time at which the endpoint asked to be tried
	// again, zero where it did not.
	RetryAfter time.Time
	// Quota is what the endpoint said, with any status, of how much it takes.
	Quota Quota
	// URL is where it went, without credentials or secret path parts.
	URL string
	// Remote is the address dialled.
	Remote string
	At     time.Time
	Took   time.Duration
	// How long after At each step was done; zero where it was not reached.
	DNS, Connect, TLS, FirstByte time.Duration
}

// Message is one delivery's attempt.
type Message struct {
	DeliveryID string
	EventID    string // the webhook-id
	EventType  string
	Attempt    int
	TraceID    string
	Body       []byte // canonical bytes
}

// Quota is how much an endpoint still takes, and when it takes as much again as it ever does.
type Quota struct {
	Known     bool
	Remaining int
	Resets    time.Time
}
