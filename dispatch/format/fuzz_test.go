package format

import (
	"encoding/json"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/dawnsystem/intellidocs-agent/parser"
)

// Whatever is an event becomes, in every format, a message within the service's limits.
func FuzzCards(f *testing.F) {
	for _, path := range samples(f) {
		f.Add(readFile(f, path))
	}
	f.Add([]byte(`{"event_type":"scan_completed","document":{"id":[[[]]]},"scan_summary":{"suggestions_count":1e999}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := parser.Object(data, parser.Options{})
		if r.Verdict != parser.Accept {
			return
		}
		in := Input{EventID: r.Event.ID, EventType: r.Event.Type, Body: r.Event.Body}
		for _, eventType := range []string{in.EventType, "deletion_request_created", "suggestion_auto_applied", "scan_completed"} {
			in.EventType = eventType
			checkCard(t, in)
		}
		in.EventType = r.Event.Type
		var e cloudevents.Event
		if out := render(t, "cloudevents", in); json.Unmarshal(out, &e) != nil || e.Validate() != nil {
			t.Errorf("no CloudEvent: %s", out)
		}
	})
}

func BenchmarkSlack(b *testing.B) {
	in := input(b, "deletion_request_created", readFile(b, "../../examples/events/deletion_request_created.json"))
	for b.Loop() {
		render(b, "slack", in)
	}
}
