package template

import (
	"encoding/json"
	"os"
	"testing"
)

// A template either cannot be made, or renders valid JSON within its bounds, or an error.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		`{"text":"{{.document.title}}","n":{{.n}}}`, `{{range .l}}{{.a.b}}{{else}}{}{{end}}`, `{{with $x := .l}}{{$x.y | json}}{{end}}`,
		`{{define "a"}}{{.}}{{end}}{{template "a" .l}}`, `{{printf "%d" .n}}`, `"{{(index .l 0).a | default "x" | truncate 3}}"`, `{{break}}`, `{{block "b" .}}1{{end}}`,
	} {
		f.Add(text, `{"l":[{"a":1},2,"\"",null],"n":1.5,"document":{"title":"\"\\"}}`)
	}
	f.Fuzz(func(t *testing.T, text, payload string) {
		r, err := New(text, "")
		if err != nil {
			return
		}
		out, _, err := r.Render(Event{EventID: "evt_1", EventType: "x", Body: []byte(payload)})
		if err == nil && (!json.Valid(out) || len(out) > maxRender) {
			t.Errorf("%q with %q renders %q", text, payload, out)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	r, err := New(`{"text":"{{.document.title}}","tags":[{{range $i, $t := .document.tags}}{{if $i}},{{end}}"{{$t}}"{{end}}]}`, "")
	if err != nil {
		b.Fatal(err)
	}
	body, err := os.ReadFile("../../../examples/events/suggestion_auto_applied.json")
	if err != nil {
		b.Fatal(err)
	}
	in := Event{EventID: "evt_1", EventType: "suggestion_auto_applied", DeliveryID: "dlv_1", Body: body}
	for b.Loop() {
		if _, _, err := r.Render(in); err != nil {
			b.Fatal(err)
		}
	}
}
