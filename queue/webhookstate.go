package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// What is known about a webhook is one record: a JSON object of which the dispatcher knows the
// members. "paused" is what anybody may change; the others are its server's alone.
const pausedMember = "paused"

// State is what SetState kept about a webhook, nil for none.
func (s *store) State(webhook string) ([]byte, error) {
	record, err := s.webhookRecord(webhook)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(record, &members) != nil || members[pausedMember] == nil {
		return record, nil
	}
	delete(members, pausedMember)
	if len(members) == 0 {
		return nil, nil
	}
	return encodeMembers(members), nil
}

// Pause is what SetPause kept about a webhook, nil for none.
func (s *store) Pause(webhook string) ([]byte, error) {
	record, err := s.webhookRecord(webhook)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(record, &members) != nil { // State returns it, for somebody to complain about
		return nil, nil
	}
	return members[pausedMember], nil
}

// Memo is what SetMemo kept under a name, nil for none.
func (s *store) Memo(name string) ([]byte, error) { return s.webhookRecord(name) }

func (s *store) webhookRecord(name string) ([]byte, error) {
	return s.read(stateKey(name), "the state of webhook "+name)
}

// SetState keeps what the webhook's server must know after a restart: a JSON object. The epoch
// is that of its Holding. One of 0 stands for somebody who serves nothing, and is refused, with
// a *NotOwner, while an agent serves the webhook; here none is refused.
func (q *Queue) SetState(ctx context.Context, webhook string, _ int64, state []byte) error {
	var members map[string]json.RawMessage
	if len(state) > 0 {
		if err := json.Unmarshal(state, &members); err != nil {
			return fmt.Errorf("the state of webhook %s: %w; please report this", webhook, err)
		}
	}
	return q.changeWebhook(ctx, webhook, func(old map[string]json.RawMessage) map[string]json.RawMessage {
		kept := map[string]json.RawMessage{}
		for name, value := range members {
			kept[name] = value
		}
		delete(kept, pausedMember)
		if pause, ok := old[pausedMember]; ok {
			kept[pausedMember] = pause
		}
		return kept
	})
}

// SetPause keeps why the webhook's deliveries are held back, as JSON, for whoever serves it; nil
// for not at all. Any agent may.
func (q *Queue) SetPause(ctx context.Context, webhook string, pause []byte) error {
	return q.changeWebhook(ctx, webhook, func(members map[string]json.RawMessage) map[string]json.RawMessage {
		if pause == nil {
			delete(members, pausedMember)
		} else {
			members[pausedMember] = pause
		}
		return members
	})
}

// changeWebhook rewrites a webhook's record. One that cannot be read counts as empty.
func (q *Queue) changeWebhook(ctx context.Context, webhook string, change func(members map[string]json.RawMessage) map[string]json.RawMessage) error {
	return q.writer.submit(ctx, cost{1, 512}, func(w *writeTxn) error {
		members := map[string]json.RawMessage{}
		record, err := get(w.txn, stateKey(webhook), "the state of webhook "+webhook)
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err == nil && json.Unmarshal(record, &members) != nil || members == nil {
			members = map[string]json.RawMessage{}
		}
		return w.set(stateKey(webhook), seal(encodeMembers(change(members))))
	})
}

func encodeMembers(members map[string]json.RawMessage) []byte {
	record, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("queue: encode a webhook's state: %v", err)) // its members were decoded
	}
	return record
}

// SetMemo keeps what this agent must know about itself after a restart; nil forgets it. No
// webhook may have the name.
func (q *Queue) SetMemo(ctx context.Context, name string, memo []byte) error {
	return q.writer.submit(ctx, cost{1, 512}, func(w *writeTxn) error {
		if memo == nil {
			return w.delete(stateKey(name))
		}
		return w.set(stateKey(name), seal(memo))
	})
}
