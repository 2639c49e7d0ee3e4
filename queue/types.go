package queue

import (
	"strings"
	"time"
)

// Status is where a delivery stands.
type Status string

// The four of them: pending → retrying → success | failed.
const (
	Pending  Status = "pending"  // not tried yet
	Retrying Status = "retrying" // tried, and due again
	Success  Status = "success"
	Failed   Status = "failed" // given up; can be replayed
)

// Event is an AI event as it was read.
type Event struct {
	ID         string    `json:"id"`         // evt_ and 32 hex digits
	Type       string    `json:"event_type"` // of a long one the beginning
	Source     string    `json:"source"`     // the source's name, "ingest" or "test"
	Path       string    `json:"path"`
	Stream     string    `json:"stream,omitempty"`
	Offset     int64     `json:"offset"`
	ReadAt     time.Time `json:"read_at"`
	TraceID    string    `json:"trace_id"` // 32 hex digits, one W3C trace per event
	Incomplete bool      `json:"incomplete,omitempty"`
	Body       []byte    `json:"-"` // canonical bytes, sent as stored
}

// TraceOf is the trace of the event with an ID.
func TraceOf(id string) string { return strings.TrimPrefix(id, "evt_") }

// NewEvent is an event on its way into the queue, with the webhooks that want it.
type NewEvent struct {
	Event
	Webhooks []string
	// PayloadID is set where the ID is one that the event's producer chose. Where that ID is
	// known with another payload, the event is queued under this one.
	PayloadID string
}

// Rejected is a record that was meant as an event and cannot be read as one.
// Source, Stream and Offset identify it: committing it again changes nothing.
type Rejected struct {
	ID     string    `json:"id"` // rej_…, set by the queue
	Source string    `json:"source"`
	Path   string    `json:"path"`
	Stream string    `json:"stream"`
	Offset int64     `json:"offset"`
	Size   int64     `json:"size"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Data   []byte    `json:"data"` // the first 64 KiB
}

// Batch is what one Commit makes durable, whole or not at all.
type Batch struct {
	Source string
	Cursor []byte // nil leaves the source's cursor where it is
	// Gen is the cursor's generation that the batch continues from, as Queue.Cursor or the last
	// Commit told it. Where the stored one is another, nothing is committed: ErrMoved. It is not
	// looked at without a Cursor.
	Gen int64
	// Backfill: an event is a duplicate however long ago it was queued, as long as the
	// queue remembers it; not only within the dedup window.
	Backfill bool
	Events   []NewEvent
	Rejected []Rejected

	unfinished bool // more of it follows, with a cursor
}

// Committed is what became of a batch's events.
type Committed struct {
	Queued     []string // IDs of the events that are new
	Duplicates int      // events already queued within the dedup window
	// Conflicts are the IDs that were known with another payload; their events are queued
	// under their PayloadID.
	Conflicts  []string
	Deliveries int
	Gen        int64 // the cursor's generation from now on

	again bool // the latest event was left by an unfinished batch
}

// Attempt is one try of a delivery, for the audit.
type Attempt struct {
	N        int           `json:"n"` // 1, 2, …: X-IntelliDocs-Attempt
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took"`
	Status   int           `json:"status,omitempty"`   // HTTP status, 0 where there was no response
	Header   string        `json:"header,omitempty"`   // the response's status line and headers; of the latest 10 attempts
	Response string        `json:"response,omitempty"` // the first 1,000 characters
	Error    string        `json:"error,omitempty"`
	Outcome  string        `json:"outcome"` // delivered, retry, dead, gone, held
	Remote   string        `json:"remote,omitempty"`
	// Timings are how long after At each step was done; absent where it was not reached.
	DNS       time.Duration `json:"dns,omitempty"`
	Connect   time.Duration `json:"connect,omitempty"`
	TLS       time.Duration `json:"tls,omitempty"`
	FirstByte time.Duration `json:"first_byte,omitempty"`
}

// Replay is a delivery queued again by a person.
type Replay struct {
	At time.Time `json:"at"`
	By string    `json:"by"` // cli, dashboard, api
}

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID        string `json:"id"` // dlv_…
	EventID   string `json:"event_id"`
	EventType string `json:"event_type"`
	Webhook   string `json:"webhook"`
	Status    Status `json:"status"`
	// URL is where the last attempt went, without credentials or secret path parts.
	URL string `json:"webhook_url"`
	// Attempts counts all of them; Spent those since the delivery was queued or last
	// replayed, which is what max_retries is about.
	Attempts      int       `json:"attempts"`
	Spent         int       `json:"spent"`
	CreatedAt     time.Time `json:"created_at"`
	LastAttemptAt time.Time `json:"last_attempt_at,omitzero"`
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"` // zero once finished
	CompletedAt   time.Time `json:"completed_at,omitzero"`
	ResponseCode  int       `json:"response_status_code,omitempty"`
	ResponseBody  string    `json:"response_body,omitempty"`
	Error         string    `json:"error_message,omitempty"`
	History       []Attempt `json:"history,omitempty"` // the latest 50, oldest first
	Replays       []Replay  `json:"replays,omitempty"` // the latest 20
	Size          int       `json:"-"`                 // about what the event's body takes; of what Due and Head return only
}

// Outcome is what an attempt changes; Record applies it.
type Outcome struct {
	DeliveryID string
	Epoch      int64 // of the Holding under which the attempt began
	Attempt    Attempt
	URL        string // redacted
	Status     Status
	// Due is when to try again; zero with Success and Failed.
	Due time.Time
	// Free: the attempt does not count (a breaker's probe, this machine's network down).
	Free bool
}
