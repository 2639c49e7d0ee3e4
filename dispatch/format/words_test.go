package format

import (
	"os"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What a person wants to know stands in every service's card.
func TestCards_SayWhatHappenedToWhichAndWhatToDo(t *testing.T) {
	for eventType, wanted := range map[string][]string{
		"deletion_request_created": {"asks to delete 2 documents", "Invoice 2023-001 (copy)", "#457", "the same invoice was scanned twice", "Acme Corp", "invoices, 2023", "admin", "Approve or reject"},
		"suggestion_auto_applied":  {"filed “Contract 2025-A”", "contracts, legal", "TechCorp", "without asking", "#789", "correct the document"},
		"scan_completed":           {"“Report Q4 2025”", "3 suggestions applied, 2 left to decide", "custom fields", "Finance Dept", "the 2 open suggestions"},
	} {
		in := input(t, eventType, readFile(t, "../../examples/events/"+eventType+".json"))
		for _, f := range []string{"slack", "discord", "teams"} {
			out := string(render(t, f, in))
			for _, w := range append(wanted, in.EventID) {
				if !strings.Contains(out, w) {
					t.Errorf("%s in %s does not say %q: %s", eventType, f, w, out)
				}
			}
		}
	}
}

func TestDeletion_CountsWhatItDoesNotShow(t *testing.T) {
	in := input(t, "deletion_request_created", readFile(t, "testdata/payload/many.json"))
	for _, f := range []string{"slack", "discord", "teams"} {
		out := string(render(t, f, in))
		if !strings.Contains(out, "delete 40 documents") || !strings.Contains(out, "and 30 more documents") || strings.Contains(out, "Statement 11") {
			t.Errorf("%s: %s", f, out)
		}
	}
}

// A decided request asks for nothing any more.
func TestDeletion_OnlyAPendingRequestAsksForADecision(t *testing.T) {
	for status, asks := range map[string]bool{`"pending"`: true, `null`: true, `"approved"`: false} {
		in := input(t, "", []byte(`{"event_type":"deletion_request_created","deletion_request":{"status":`+status+`}}`))
		if out := string(render(t, "slack", in)); strings.Contains(out, "Approve or reject") != asks {
			t.Errorf("%s: %s", status, out)
		}
	}
}

func TestScan_AsksOnlyWhereSomethingIsOpen(t *testing.T) {
	for summary, wanted := range map[string]string{
		`{"auto_applied_count":0,"suggestions_count":0}`:     "nothing to suggest",
		`{"auto_applied_count":1,"suggestions_count":"0"}`:   "1 suggestion applied, 0 left",
		`{"auto_applied_count":"2","suggestions_count":1.0}`: "Look at the open suggestion in",
		`{"suggestions_count":3}`:                            "Look at the 3 open suggestions in",
	} {
		in := input(t, "", []byte(`{"event_type":"scan_completed","document":{"id":1},"scan_summary":`+summary+`}`))
		out := string(render(t, "slack", in))
		if !strings.Contains(out, wanted) || strings.Contains(out, "Look at") != strings.Contains(wanted, "Look at") {
			t.Errorf("%s: %s", summary, out)
		}
	}
}

func TestSlack_AFileNameIsLeftAsItIs(t *testing.T) {
	if got := plain.Escape("scan_2025_11.pdf", 100, slackEscape); got != "scan_2025_11.pdf" {
		t.Errorf("%q", got)
	}
	if got := plain.Escape("*bold*", 100, slackEscape); strings.HasPrefix(got, "*") || strings.HasSuffix(got, "*") {
		t.Errorf("%q would be bold", got)
	}
}
