package format

import (
	"encoding/json"
	"path/filepath"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/dawnsystem/intellidocs-agent/parser"
)

// Whatever is an event becomes, in every format, a message within the service's limits.
func FuzzCards(f *testing.F) {
	for _, pattern := range []string{"../../examples/events/*.json", "testdata/payload/*.json"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			f.Add(readFile(f, path))
		}
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

// A template either cannot be made, or gives valid JSON within its bounds, or an error.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		`{"text":"{{.document.title}}","n":{{.n}}}`, `{{range .l}}{{.a.b}}{{else}}{}{{end}}`, `{{with $x := .l}}{{$x.y | json}}{{end}}`,
		`{{define "a"}}{{.}}{{end}}{{template "a" .l}}`, `{{printf "%d" .n}}`, `"{{(index .l 0).a | default "x" | truncate 3}}"`, `{{break}}`, `{{block "b" .}}1{{end}}`,
	} {
		f.Add(text, `{"l":[{"a":1},2,"\"",null],"n":1.5,"document":{"title":"\"\\"}}`)
	}
	f.Fuzz(func(t *testing.T, text, payload string) {
		r, err := New(Spec{Format: "template", Template: text})
		if err != nil {
			return
		}
		out, _, err := r.Render(Input{EventID: "evt_1", EventType: "x", Body: []byte(payload)})
		if err == nil && (!json.Valid(out) || len(out) > maxRender) {
			t.Errorf("%q with %q gives %q", text, payload, out)
		}
	})
}

func BenchmarkSlack(b *testing.B) {
	in := input(b, "deletion_request_created", readFile(b, "../../examples/events/deletion_request_created.json"))
	for b.Loop() {
		render(b, "slack", in)
	}
}

func BenchmarkTemplate(b *testing.B) {
	r, err := New(Spec{Format: "template", Template: `{"text":"{{.document.title}}","tags":[{{range $i, $t := .document.tags}}{{if $i}},{{end}}"{{$t}}"{{end}}]}`})
	if err != nil {
		b.Fatal(err)
	}
	in := input(b, "suggestion_auto_applied", readFile(b, "../../examples/events/suggestion_auto_applied.json"))
	for b.Loop() {
		if _, _, err := r.Render(in); err != nil {
			b.Fatal(err)
		}
	}
}
