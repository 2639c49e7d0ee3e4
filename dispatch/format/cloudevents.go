package format

import (
	"encoding/json"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// TypePrefix precedes an event's type in a CloudEvent's.
const TypePrefix = "io.intellidocs.ai."

// cloudevent is CloudEvents 1.0 in structured JSON
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md);
// the SDK checks that it is a valid one. Its data is the event as it is stored.
func cloudevent(in Input) ([]byte, string, error) {
	payload, err := decode(in.Body)
	if err != nil {
		return nil, "", err
	}
	e := cloudevents.New(cloudevents.CloudEventsVersionV1)
	e.SetID(in.EventID)
	e.SetType(TypePrefix + in.EventType)
	e.SetSource("urn:intellidocs:" + first(slug(str(payload["source"])), "intellidocs-ai"))
	if t, err := time.Parse(time.RFC3339Nano, str(payload["timestamp"])); err == nil {
		e.SetTime(t)
	}
	if err := e.SetData(jsonType, json.RawMessage(in.Body)); err != nil {
		return nil, "", err
	}
	if err := e.Validate(); err != nil {
		return nil, "", err
	}
	out, err := e.MarshalJSON()
	return out, cloudevents.ApplicationCloudEventsJSON, err
}

// slug keeps of a text what a URN can hold.
func slug(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s) && len(out) < 64; i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			out = append(out, c)
		}
	}
	return string(out)
}
