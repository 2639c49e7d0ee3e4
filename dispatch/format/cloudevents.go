package format

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// TypePrefix precedes an event's type in a CloudEvent's.
const TypePrefix = "io.intellidocs.ai."

// cloudevent is CloudEvents 1.0 in structured JSON
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md);
// the SDK checks that it is a valid one. Its id is the event's, so that a repeat is known
// as one, and its data is the event's bytes as they are stored.
func cloudevent(in Input) ([]byte, string, error) {
	payload, err := decode(in.Body)
	if err != nil {
		return nil, "", err
	}
	e := cloudevents.New(cloudevents.CloudEventsVersionV1)
	e.SetID(in.EventID)
	e.SetType(TypePrefix + plain.OneLine(in.EventType))
	e.SetSource("urn:intellidocs:" + cmp.Or(slug(payload.get("source").text()), "intellidocs-ai"))
	if subject := subjectOf(payload); subject != "" {
		e.SetSubject(subject)
	}
	if t := payload.get("timestamp").time(); !t.IsZero() {
		e.SetTime(t)
	}
	e.SetDataContentType(jsonType)
	e.DataEncoded = in.Body // SetData would write it again, or in base64
	if err := e.Validate(); err != nil {
		return nil, "", fmt.Errorf("the event cannot be a valid CloudEvent: %w", err)
	}
	var b bytes.Buffer
	if err := cloudevents.WriteJson(&e, &b); err != nil {
		return nil, "", fmt.Errorf("the event cannot be a valid CloudEvent: %w", err)
	}
	return b.Bytes(), cloudevents.ApplicationCloudEventsJSON, nil
}

// subjectOf is what the event is about, such as "document/12", for receivers that filter
// by it without reading the data.
func subjectOf(payload object) string {
	for _, key := range []string{"deletion_request", "document"} {
		if id := slug(payload.get(key).asObject().get("id").text()); id != "" {
			return key + "/" + id
		}
	}
	return ""
}

// slug keeps of a text what a URN can hold.
func slug(s string) string {
	out := make([]byte, 0, 64)
	for i := 0; i < len(s) && len(out) < 64; i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			out = append(out, c)
		}
	}
	return string(out)
}
