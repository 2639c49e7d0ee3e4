package dispatch

import (
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Outcomes of an attempt, in the audit and in the metrics.
const (
	outcomeDelivered = "delivered"
	outcomeRetry     = "retry" // also where no retry is left
	outcomeDead      = "dead"
	outcomeGone      = "gone"
	outcomeHeld      = "held" // the attempt did not count
)

var outcomes = []string{outcomeDelivered, outcomeRetry, outcomeDead, outcomeGone, outcomeHeld}

// outcome is what an attempt's result means, for the store, the log and the metrics.
type outcome struct {
	queue.Outcome
	silent     bool // not worth recording: an offline machine is still offline
	opened     bool // the webhook is held from now on
	closed     bool // it was held until now
	heldSince  time.Time
	paused     bool
	throttled  bool      // its endpoint takes no more until …, which must be logged
	until      time.Time // with throttled
	long       bool      // with throttled: and people should hear of it
	offline    bool      // the machine is found offline
	online     bool      // it is found online again
	since      time.Time // with online, when the network went
	recovered  int       // failures in a row that this success ends
	mention    bool      // a failure to log by itself
	unreported int       // failures that were not, to be summed up now
	// failingFrom, with recovered, is when they began.
	failingFrom time.Time
}

func newAttempt(d queue.Delivery, r send.Result) queue.Attempt {
	return queue.Attempt{
		N: d.Attempts + 1, At: r.At, Took: r.Took, Status: r.Status, Header: r.Header, Response: r.Response, Error: r.Error,
		Remote: r.Remote, DNS: r.DNS, Connect: r.Connect, TLS: r.TLS, FirstByte: r.FirstByte,
	}
}
