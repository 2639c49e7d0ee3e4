package format

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// TypePrefix precedes an event's type in a CloudEvent's.
const TypePrefix = "io.intellidocs.ai."

// cloudEvent has the attributes of a CloudEvent 1.0 in its structured JSON form
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), all but
// its data.
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"` // a URI reference
	Type            string `json:"type"`
	Subject         string `json:"subject,omitempty"`
	DataContentType string `json:"datacontenttype"`
	Time            string `json:"time,omitempty"` // RFC 3339
}

// cloudevent renders an event as a CloudEvent. Its id is the event's, so that a repeat is known
// as one, and its data is the event's bytes as they are stored. The official SDK reads in tests
// what is made here; within the agent its JSON library alone would be half a megabyte.
func cloudevent(in Input) ([]byte, string, error) {
	payload, err := decode(in.Body)
	if err != nil {
		return nil, "", err
	}
	e := cloudEvent{
		SpecVersion: "1.0", ID: in.EventID, Type: TypePrefix + plain.OneLine(in.EventType), DataContentType: jsonType,
		Source:  "urn:intellidocs:" + cmp.Or(slug(payload.get("source").text()), "intellidocs-ai"),
		Subject: subjectOf(payload),
	}
	if t := payload.get("timestamp").time().UTC(); !t.IsZero() {
		e.Time = t.Format(time.RFC3339Nano)
	}
	var b bytes.Buffer
	attributes := json.NewEncoder(&b)
	attributes.SetEscapeHTML(false)
	if err := attributes.Encode(e); err != nil {
		return nil, "", fmt.Errorf("the event cannot be a CloudEvent: %w", err)
	}
	b.Truncate(bytes.LastIndexByte(b.Bytes(), '}'))
	b.WriteString(`,"data":`) // by itself: the encoder would write it anew
	b.Write(in.Body)
	b.WriteByte('}')
	return b.Bytes(), "application/cloudevents+json", nil
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
