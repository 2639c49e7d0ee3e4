package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A queue may be shared by several agents (package postgres): each webhook is then served by
// one of them at a time, and each source's cursor is moved by one reader. What follows is how
// they tell an agent. A queue in Badger has one agent, which serves everything for ever.
var (
	// ErrMoved: the source's cursor is not where the reader's batch continues. It must read on
	// from the stored one.
	ErrMoved = errors.New("the source's position was moved by another reader")
	// ErrNotOwner is what every *NotOwner is.
	ErrNotOwner = errors.New("another agent serves the webhook")
	// ErrUnavailable: the queue cannot be reached for now. Nothing is known of what was asked for.
	ErrUnavailable = errors.New("the queue's database cannot be reached")
)

// NotOwner says that this agent no longer serves webhooks, and must begin nothing more for
// them. What it was returned for is done as far as it may be.
type NotOwner struct{ Webhooks []string }

func (e *NotOwner) Error() string {
	return ErrNotOwner.Error() + ": " + strings.Join(e.Webhooks, ", ")
}

// Is makes it an ErrNotOwner.
func (e *NotOwner) Is(target error) bool { return target == ErrNotOwner }

// Holding is a webhook that this agent serves.
type Holding struct {
	Webhook string
	Epoch   int64 // of this holding: higher with each agent that takes the webhook; never 0
	// Until is when it ends unless it is extended: no request may begin after it. It has a
	// monotonic reading, from before the store was asked. Zero: never.
	Until time.Time
	State []byte // what SetState kept when the holding began
	// Pause is what SetPause kept. Another one than before means that somebody has changed it;
	// what is in force now is for Queue.Pause to say.
	Pause []byte
}

// Served is a webhook that an agent is configured to serve.
type Served struct {
	Webhook string
	Timeout time.Duration // of one request: it may be under way for as long after Holding.Until
}

// Server is an agent's side of Own: what it is configured to serve, and what it does about
// what it is given. Its functions may be called from any goroutine and do not block.
type Server struct {
	Webhooks func() []Served
	Changed  <-chan struct{} // receives when Webhooks has changed
	// Hold is told all that the agent serves: at each change, and at each extension. Of what is
	// no longer in the list nothing more may begin.
	Hold func([]Holding)
	// Busy reports whether requests to the webhook are under way, or their outcomes not durable
	// yet. What is given up is given to others once it is not.
	Busy func(webhook string) bool
	// Status is what others are shown of this agent; see Agents.
	Status func() AgentStatus
}

// Agent is one of those that share the queue.
type Agent struct {
	Name     string
	Version  string
	Seen     time.Time // its last sign of life, by this machine's clock
	Live     bool      // that was recent enough for it to keep what it serves
	Stopped  bool      // it has ended as it was told to; Seen is when
	Webhooks []string  // those it serves
	Status   AgentStatus
}

// AgentStatus is what an agent tells the others about itself.
type AgentStatus struct {
	Sources []SourceStatus `json:"sources,omitempty"`
	// Webhooks is how those that it serves are doing, by name, in the words of the dispatcher.
	Webhooks map[string]json.RawMessage `json:"webhooks,omitempty"`
}

// SourceStatus is how the reading of a source goes.
type SourceStatus struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"` // why it is not
	LagBytes int64  `json:"lag_bytes"`
}

// badgerEpoch is that of every holding: there is no other agent.
const badgerEpoch = 1

// Own tells which webhooks this agent serves, at once and at each change, until ctx ends: all.
func (q *Queue) Own(ctx context.Context, s Server) error {
	for {
		var all []Holding
		for _, w := range s.Webhooks() {
			state, err := q.State(w.Webhook)
			pause, err2 := q.Pause(w.Webhook)
			if err = errors.Join(err, err2); err != nil && !errors.Is(err, ErrDamaged) { // as if there were none
				return err
			}
			all = append(all, Holding{Webhook: w.Webhook, Epoch: badgerEpoch, State: state, Pause: pause})
		}
		s.Hold(all)
		select {
		case <-ctx.Done():
			return nil
		case <-s.Changed:
		}
	}
}

// Agents are those that share the queue with others: none.
func (q *Queue) Agents(context.Context) ([]Agent, error) { return nil, nil }

// ForgetAgent forgets an agent that shares the queue: there is none.
func (q *Queue) ForgetAgent(_ context.Context, name string) error {
	return fmt.Errorf("agent %s: %w: no other agent shares this queue", name, ErrNotFound)
}
