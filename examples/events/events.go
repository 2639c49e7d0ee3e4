// Package events holds a sample of each known AI event, as IntelliDocs builds it.
package events

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser"
)

//go:embed *.json
var samples embed.FS

// Types are the known event types, in the order of their documentation.
func Types() []string { return parser.KnownTypes() }

// Sample is an event of the type with the given time: one of the kept samples, or,
// for a custom type, a small object of that type.
func Sample(eventType string, at time.Time) (map[string]any, error) {
	event := map[string]any{"message": "A sample event; nothing happened in IntelliDocs."}
	if strings.ContainsAny(eventType, `/\`) || eventType == "" {
		return nil, fmt.Errorf("%q is not an event type", eventType)
	}
	if data, err := samples.ReadFile(eventType + ".json"); err == nil {
		event = nil
		if err := json.Unmarshal(data, &event); err != nil {
			return nil, fmt.Errorf("sample of %s: %w", eventType, err)
		}
	}
	event["event_type"] = eventType
	event["timestamp"] = at.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	event["source"] = "intellidocs-ai"
	return event, nil
}
