// Package events holds a sample of each known AI event: as IntelliDocs documents it, and,
// where its code sends another shape, as that does.
package events

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser"
)

//go:embed *.json as_sent/*.json
var samples embed.FS

// Types are the known event types, in the order of their documentation.
func Types() []string { return parser.KnownTypes() }

// Sample is an event of the type with the given time: one of the kept samples, or,
// for a custom type, a small object of that type.
func Sample(eventType string, at time.Time) (map[string]any, error) {
	if strings.ContainsAny(eventType, `/\`) || eventType == "" {
		return nil, fmt.Errorf("%q is not an event type", eventType)
	}
	event, err := read(eventType + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		event, err = map[string]any{"message": "A sample event; nothing happened in IntelliDocs."}, nil
	}
	if err != nil {
		return nil, err
	}
	return stamped(event, eventType, at), nil
}

// AsSent is an event of a known type in the shape that IntelliDocs' code sends, with the
// given time; ok is false where that is the documented one.
func AsSent(eventType string, at time.Time) (event map[string]any, ok bool) {
	event, err := read("as_sent/" + eventType + ".json")
	if err != nil {
		return nil, false
	}
	return stamped(event, eventType, at), true
}

func read(name string) (event map[string]any, err error) {
	data, err := samples.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &event); err != nil {
		return nil, fmt.Errorf("sample %s: %w", name, err)
	}
	return event, nil
}

func stamped(event map[string]any, eventType string, at time.Time) map[string]any {
	event["event_type"] = eventType
	event["timestamp"] = at.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	event["source"] = "intellidocs-ai"
	return event
}
