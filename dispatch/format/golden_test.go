package format

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/dawnsystem/intellidocs-agent/parser"
)

var update = flag.Bool("update", false, "write the golden files again")

var formats = []string{"slack", "discord", "teams", "mattermost", "ntfy", "gotify", "telegram", "matrix", "cloudevents"}

func input(t testing.TB, eventType string, payload []byte) Input {
	t.Helper()
	r := parser.Object(payload, parser.Options{Now: time.Date(2025, 11, 14, 15, 0, 0, 0, time.UTC)})
	if r.Verdict != parser.Accept {
		t.Fatalf("%s is no event: %s", eventType, r.Reason)
	}
	return Input{EventID: r.Event.ID, EventType: r.Event.Type, DeliveryID: "dlv_1", Body: r.Event.Body}
}

func render(t testing.TB, format string, in Input) []byte {
	t.Helper()
	return renderAs(t, Spec{Format: format, To: to[format]}, in)
}

// linked renders it with links to the documents.
func linked(t testing.TB, format string, in Input) []byte {
	t.Helper()
	return renderAs(t, Spec{Format: format, Link: base, To: to[format]}, in)
}

func renderAs(t testing.TB, spec Spec, in Input) []byte {
	t.Helper()
	r, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := r.Render(in)
	if err != nil {
		t.Fatalf("%s: %v", spec.Format, err)
	}
	return out
}

// samples are the files of the events under examples/events, and of those in testdata that show
// what they do not.
func samples(t testing.TB) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"../../examples/events/*.json", "../../examples/events/as_sent/*.json", "testdata/payload/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no payloads (%v)", pattern, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// The golden files are indented, so that a change of one shows as one.
func TestGolden_EachTypeInEachFormat(t *testing.T) {
	for _, path := range samples(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if dir := filepath.Base(filepath.Dir(path)); dir == "as_sent" {
			name = dir + "_" + name
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range formats {
			t.Run(name+"/"+f, func(t *testing.T) {
				out := render(t, f, input(t, name, data))
				if check := checks[f]; check != nil {
					check(t, out)
				}
				var got bytes.Buffer
				if err := json.Indent(&got, out, "", "  "); err != nil {
					t.Fatal(err)
				}
				got.WriteByte('\n')
				golden := filepath.Join("testdata", name+"."+f+".json")
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s differs (go test -run Golden -update writes it again); got\n%s", golden, got.Bytes())
				}
			})
		}
	}
}

func TestRender_TheSameEventGivesTheSameBytes(t *testing.T) {
	in := input(t, "x", []byte(`{"event_type":"x","b":{"z":1,"y":[1,2],"name":"n"},"a":"1","c":true,"d":2.5,"applied_suggestions":{"k":{"name":"v"},"j":"w"}}`))
	for _, f := range append([]string{"json"}, formats...) {
		want := render(t, f, in)
		for range 20 {
			if got := render(t, f, in); !bytes.Equal(got, want) {
				t.Fatalf("%s: %s, then %s", f, want, got)
			}
		}
	}
}

func TestJSON_IsTheEventAsStored(t *testing.T) {
	in := input(t, "x", []byte(`{"event_type":"x","n":1.10,"s":"ü"}`))
	for _, f := range []string{"", "json"} {
		r, err := New(Spec{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		out, contentType, err := r.Render(in)
		if err != nil || !bytes.Equal(out, in.Body) || contentType != "application/json" {
			t.Errorf("%q: %s, %s, %v", f, out, contentType, err)
		}
	}
}

// The SDK that reads it back is the one that receivers use.
func TestCloudEvents_TheSDKReadsBackWhatWasStored(t *testing.T) {
	in := input(t, "scan_completed", []byte(`{"event_type":"scan_completed","timestamp":"2025-11-14T15:00:00.123456+00:00","document":{"id":7,"title":"<ü> \u2028 \ud83d\ude00"},"big":123456789012345678901234567890}`))
	r, err := New(Spec{Format: "cloudevents"})
	if err != nil {
		t.Fatal(err)
	}
	out, contentType, err := r.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "application/cloudevents+json" {
		t.Errorf("content type %s", contentType)
	}
	var e cloudevents.Event
	if err := json.Unmarshal(out, &e); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID() != in.EventID || e.Type() != "io.intellidocs.ai.scan_completed" || e.Source() != "urn:intellidocs:intellidocs-ai" ||
		e.Subject() != "document/7" || e.DataContentType() != "application/json" || e.Time().Format("2006-01-02T15:04:05.000000Z07:00") != "2025-11-14T15:00:00.123456Z" {
		t.Errorf("read back:\n%s", e)
	}
	if !bytes.Contains(out, in.Body) {
		t.Errorf("the event's bytes are not in it as stored:\n%s\n%s", in.Body, out)
	}
}

func TestCloudEvents_OddAttributesStillMakeAValidEvent(t *testing.T) {
	for _, payload := range []string{
		`{"event_type":"a\nb \u202e","timestamp":"yesterday","source":"\u0000 ://%zz","document":{"id":{"x":1}}}`,
		`{"event_type":"x","timestamp":5,"source":{"a":1},"document":[]}`,
		`{"event_type":"x","source":"` + strings.Repeat("é", 5000) + `","document":{"id":"` + strings.Repeat("9", 5000) + `"}}`,
	} {
		out := render(t, "cloudevents", input(t, "x", []byte(payload)))
		var e cloudevents.Event
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}
