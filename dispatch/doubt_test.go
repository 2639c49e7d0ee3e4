package dispatch

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestFilter_FieldsMayBeCalledLikeFunctions(t *testing.T) {
	var payload map[string]any
	if err := json.Unmarshal([]byte(`{"type":"x","count":3,"date":"2025","len":3,"now":1,"filter":{"a":1},"tags":["a","b"],"document":{"type":"y","count":2}}`), &payload); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]bool{
		`type == "x"`: true, `count > 2`: true, `date == "2025"`: true, `len == 3`: true, `now == 1`: true, `filter.a == 1`: true,
		`type in ["x", "y"]`: true, `len(type) == 1 and count(tags, # == "a") == 1`: true, `document.type == "y" and document.count == 2`: true,
		`tags[0] == "a" and tags[-1] == "b"`: true, `any(tags, .name == "a")`: false, `type.of.nothing == 1`: false, `tags[7] == "a"`: false,
	} {
		f, err := NewFilter(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := f.match(payload, 0); err != nil || got != want {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}

func TestFilter_DoubtsWhatCannotBeMeant(t *testing.T) {
	var samples []map[string]any
	for _, text := range []string{
		`{"event_type":"scan_completed","document":{"id":12,"title":"Report","correspondent":"Acme","tags":["a"]},"scan_summary":{"suggestions_count":2}}`,
		`{"event_type":"deletion_request_created","deletion_request":{"document_count":2,"status":"pending"}}`,
	} {
		var sample map[string]any
		if err := json.Unmarshal([]byte(text), &sample); err != nil {
			t.Fatal(err)
		}
		samples = append(samples, sample)
	}
	for source, want := range map[string]string{
		`document.correspondent == "My Bank"`:                                   "",
		`document.id > 1000 and document.id < 2000`:                             "",
		`document.title contains "Rechnung" and event_type == "scan_completed"`: "",
		`document.title matches "^R[0-9]+"`:                                     "",
		`"urgent" in document.tags`:                                             "",
		`any(document.tags, # == "urgent")`:                                     "",
		`deletion_request.document_count >= 100`:                                "",
		`document.correspondent in ["My Bank", "Your Bank"]`:                    "",
		`not (document.title startsWith "x")`:                                   "",
		`event.document.id == 12`:                                               "none has event",
		`document.custom-field == "x"`:                                          "fails on every sample",
		`document.correspondant == "Acme"`:                                      "none has document.correspondant",
		`document.id == "12"`:                                                   "a number in quotes",
		`document.title == 5`:                                                   "a number in quotes",
		`documents[0].id == 1`:                                                  "none has documents",
	} {
		f, err := NewFilter(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := f.Doubt(samples); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, not %q", source, got, want)
		}
	}
}
