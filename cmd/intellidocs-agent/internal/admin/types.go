package admin

import (
	"encoding/json"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Row is a delivery as lists show it. Its field names are IntelliDocs' own, so that
// scripts written for its tables need no change; every field is always present.
type Row struct {
	ID                 string       `json:"id"`
	EventID            string       `json:"event_id"`
	EventType          string       `json:"event_type"`
	Subject            string       `json:"subject,omitempty"` // the document's title and id, "" where the event names none
	Webhook            string       `json:"webhook"`
	WebhookURL         string       `json:"webhook_url"`
	Status             queue.Status `json:"status"`
	Attempts           int          `json:"attempts"`
	CreatedAt          time.Time    `json:"created_at"`
	LastAttemptAt      *time.Time   `json:"last_attempt_at"`
	NextAttemptAt      *time.Time   `json:"next_attempt_at"`
	CompletedAt        *time.Time   `json:"completed_at"`
	ResponseStatusCode *int         `json:"response_status_code"`
	ResponseBody       string       `json:"response_body"`
	ErrorMessage       string       `json:"error_message"`
}

func row(d *queue.Delivery, subject string, urlOf func(webhook string) string) Row {
	r := Row{
		ID: d.ID, EventID: d.EventID, EventType: d.EventType, Subject: subject, Webhook: d.Webhook, WebhookURL: d.URL,
		Status: d.Status, Attempts: d.Attempts, CreatedAt: d.CreatedAt.UTC(),
		LastAttemptAt: moment(d.LastAttemptAt), NextAttemptAt: moment(d.NextAttemptAt), CompletedAt: moment(d.CompletedAt),
		ResponseBody: d.ResponseBody, ErrorMessage: d.Error,
	}
	if r.WebhookURL == "" {
		r.WebhookURL = urlOf(d.Webhook)
	}
	if d.ResponseCode != 0 {
		r.ResponseStatusCode = &d.ResponseCode
	}
	return r
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Page is a part of a list, newest first. Next, where not empty, is the "before" of the
// part that follows; a search may end early with a Next and few rows.
type Page struct {
	Deliveries []Row  `json:"deliveries"`
	Next       string `json:"next,omitempty"`
}

// Detail is one delivery whole.
type Detail struct {
	Row
	Spent   int             `json:"spent"`
	History []queue.Attempt `json:"history"`
	Replays []queue.Replay  `json:"replays"`
}

// EventDetail is everything known of an event.
type EventDetail struct {
	Event      EventView `json:"event"`
	Deliveries []Detail  `json:"deliveries"`
}

// RequestView is an attempt's request as it goes over the wire, secrets masked.
type RequestView struct {
	Attempt int    `json:"attempt"`
	Request string `json:"request"`
}

// EventView is an event with its payload.
type EventView struct {
	queue.Event
	Subject string          `json:"subject,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// EventPage is the latest events, newest first, without their payloads.
type EventPage struct {
	Events []EventView `json:"events"`
}

// RejectedPage is a part of the rejected records, newest first.
type RejectedPage struct {
	Rejected []RejectedView `json:"rejected"`
	Next     string         `json:"next,omitempty"`
}

// RejectedView is a rejected record with its bytes as text; what is not UTF-8 is replaced.
type RejectedView struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Path   string    `json:"path"`
	Stream string    `json:"stream"`
	Offset int64     `json:"offset"`
	Size   int64     `json:"size"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Text   string    `json:"text"`
}

// Status is the agent at a glance.
type Status struct {
	Version   string          `json:"version"`
	StartedAt time.Time       `json:"started_at"`
	Running   bool            `json:"running"`             // false: the state was opened without an agent
	Dashboard string          `json:"dashboard,omitempty"` // its address, without the token; absent where there is no TCP listener
	Enabled   bool            `json:"enabled"`
	Ready     bool            `json:"ready"`
	Reasons   []string        `json:"reasons"`
	Config    ConfigStatus    `json:"config"`
	Queue     QueueStatus     `json:"queue"`
	Sources   []SourceStatus  `json:"sources"`
	Webhooks  []WebhookStatus `json:"webhooks"`
	Agents    []AgentView     `json:"agents,omitempty"` // those that share the queue; absent where it has one alone
	Health    Health          `json:"health"`
	Rejected  int64           `json:"rejected"`
	Counts    Counts          `json:"counts"` // over all webhooks
	// LogRevision changes with what the agent's log has.
	LogRevision uint64 `json:"log_revision"`
}

// ConfigStatus says which configuration is in force.
type ConfigStatus struct {
	Path     string    `json:"path"`
	LoadedAt time.Time `json:"loaded_at"`
	// Error is what is wrong with the file as it is now; the one in force is the last good one.
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// QueueStatus is the state directory's.
type QueueStatus struct {
	Bytes    int64  `json:"bytes"`
	MaxSize  int64  `json:"max_size"`
	DiskFree int64  `json:"disk_free"`
	Full     bool   `json:"full"`
	Reason   string `json:"reason,omitempty"`
	Engine   string `json:"engine,omitempty"` // what keeps a queue that several agents share
	Away     string `json:"away,omitempty"`   // why that cannot be reached
}

// AgentState is whether an agent works.
type AgentState string

// Of the states only AgentGone needs somebody.
const (
	AgentAlive   AgentState = "alive"
	AgentStopped AgentState = "stopped" // as it was told to, at its last sign of life
	AgentGone    AgentState = "gone"    // silent for longer than its lease
)

func stateOf(a *queue.Agent) AgentState {
	switch {
	case a.Live:
		return AgentAlive
	case a.Stopped:
		return AgentStopped
	}
	return AgentGone
}

// AgentView is one of the agents that share the queue.
type AgentView struct {
	Name     string               `json:"name"`
	Version  string               `json:"version"`
	Seen     time.Time            `json:"seen"` // its last sign of life
	State    AgentState           `json:"state"`
	Webhooks []string             `json:"webhooks"` // those it serves
	Sources  []queue.SourceStatus `json:"sources"`
}

// AgentPage is the agents that share the queue, by name.
type AgentPage struct {
	Agents []AgentView `json:"agents"`
}

// ForgetRequest names an agent that is gone for good.
type ForgetRequest struct {
	Name string `json:"name"`
}

// SourceStatus is one source's.
type SourceStatus struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Ready      bool       `json:"ready"`
	Reason     string     `json:"reason,omitempty"`
	Warning    string     `json:"warning,omitempty"`   // what will go wrong as things are
	Elsewhere  bool       `json:"elsewhere,omitempty"` // another of the agents that see it reads it
	LagBytes   int64      `json:"lag_bytes"`
	Files      int        `json:"files"`
	LastRecord *time.Time `json:"last_record"`
	Gaps       int64      `json:"gaps"`
	// Remaining counts the files that stay in a spool, because they are not read or cannot be
	// removed; RemainingWhy names them.
	Remaining    int    `json:"remaining"`
	RemainingWhy string `json:"remaining_why,omitempty"`
	Records      int    `json:"records"`
	Queued       int    `json:"queued"`
	Skipped      int    `json:"skipped"`
	Rejected     int    `json:"rejected"`
}

// WebhookStatus is one webhook's, from the configuration or only known to the queue.
type WebhookStatus struct {
	dispatch.State
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Events    []string   `json:"events"`
	Format    string     `json:"format"`
	Removed   bool       `json:"removed"` // not in the configuration; its deliveries are parked
	Counts    Counts     `json:"counts"`
	OldestDue *time.Time `json:"oldest_due"`
}

// History is what attempts came to over a span of time, for charts.
type History struct {
	Span     string           `json:"span"`  // 1h, 24h or 30d
	Step     int              `json:"step"`  // seconds
	Begin    time.Time        `json:"begin"` // of the first step; the last one runs
	End      time.Time        `json:"end"`
	Webhooks []WebhookHistory `json:"webhooks"`
}

// WebhookHistory is one webhook's, without the steps in which there was no attempt.
type WebhookHistory struct {
	Webhook string `json:"webhook"`
	Steps   []Step `json:"steps"`
}

// Step is what one step's attempts came to, and how long they took. P50 and P95 are estimates.
type Step struct {
	At        time.Time     `json:"at"` // its beginning
	Delivered uint64        `json:"delivered"`
	Failed    uint64        `json:"failed"`   // attempts
	GivenUp   uint64        `json:"given_up"` // of failed those that were their delivery's last
	P50       time.Duration `json:"p50"`
	P95       time.Duration `json:"p95"`
	Slowest   time.Duration `json:"slowest"`
}

// LogPage is a part of what happened to the agent, newest first.
type LogPage struct {
	Entries []queue.LogEntry `json:"entries"`
	Next    string           `json:"next,omitempty"`
}

// Counts are deliveries by status.
type Counts map[string]int64

// Waiting is how many are still to be delivered.
func (c Counts) Waiting() int64 { return c[string(queue.Pending)] + c[string(queue.Retrying)] }

// Readiness is what /readyz answers.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
}

// Count is how many deliveries a filter selects.
type Count struct {
	Count int `json:"count"`
}

// Found are the IDs that somebody may have meant, at most ten.
type Found struct {
	IDs []string `json:"ids"`
}

// PauseRequest says why a webhook is paused; at most 500 bytes.
type PauseRequest struct {
	Reason string `json:"reason,omitempty"`
}

// TestRequest names the sample to send; empty: one that the webhook takes.
type TestRequest struct {
	EventType string `json:"event_type,omitempty"`
	Anyway    bool   `json:"anyway,omitempty"` // also where the webhook's events or filter would drop it
}

// RetryRequest names rejected records to read again; none: all of them.
type RetryRequest struct {
	IDs []string `json:"ids,omitempty"`
}

// Retried says how many rejected records were read again, and how many of them are
// events now.
type Retried struct {
	Tried  int `json:"tried"`
	Queued int `json:"queued"`
}

// Problem is what every failed call answers.
type Problem struct {
	Error string `json:"error"`
}

// Progress is one line of the answer to a replay; the last one has Final.
type Progress struct {
	Done  int    `json:"done"`
	Total int    `json:"total"`
	Final bool   `json:"final,omitempty"`
	Error string `json:"error,omitempty"`
}

// ReplayRequest names deliveries, or events and so all of their deliveries, or a filter.
type ReplayRequest struct {
	IDs    []string `json:"ids,omitempty"`
	Filter *Filter  `json:"filter,omitempty"`
	By     string   `json:"by,omitempty"` // cli or dashboard; else api
}

// MoveRequest names a webhook whose deliveries wait, and the one that gets them.
type MoveRequest struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// DiscardRequest selects waiting deliveries.
type DiscardRequest struct {
	Filter Filter `json:"filter"`
	By     string `json:"by,omitempty"` // cli or dashboard; else api
}

// DiscardRejectedRequest selects rejected records, by their IDs or else by the rest; empty: all.
type DiscardRejectedRequest struct {
	IDs    []string  `json:"ids,omitempty"`
	Source string    `json:"source,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	DryRun bool      `json:"dry_run,omitempty"` // only count
}

// Changed is how many were moved or discarded.
type Changed struct {
	Changed int `json:"changed"`
}

// Filter selects deliveries.
type Filter struct {
	Status    []string  `json:"status,omitempty"`
	Webhook   string    `json:"webhook,omitempty"`
	EventType string    `json:"event_type,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Search    string    `json:"q,omitempty"`
	Before    string    `json:"before,omitempty"`
	Limit     int       `json:"limit,omitempty"`
	// Subjects asks for the rows' subjects, which costs reading each event.
	Subjects bool `json:"-"`
}

// RejectedFilter selects rejected records.
type RejectedFilter struct {
	Source string
	Since  time.Time
	Before string
	Limit  int
	Whole  bool // with their whole text, not only its beginning
}

// TestResult is what a sample event met at a webhook.
type TestResult struct {
	// Dropped is why the webhook's events or filter keep such an event from it.
	Dropped   string        `json:"dropped,omitempty"`
	Webhook   string        `json:"webhook"`
	EventType string        `json:"event_type"`
	Delivered bool          `json:"delivered"`
	Status    int           `json:"status"`
	Error     string        `json:"error,omitempty"`
	Took      time.Duration `json:"took"`
	Remote    string        `json:"remote,omitempty"`
	// Request and Response are as they went over the wire, secrets masked.
	Request  string `json:"request"`
	Response string `json:"response"`
}
