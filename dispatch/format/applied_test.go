package format

import "testing"

func TestApplied_EachShape(t *testing.T) {
	for _, c := range []struct {
		applied, has, text string
		now                bool
	}{
		{`[1, 0.85]`, `"ACME"`, "ACME (85 %)", true},
		{`[1, 0.85]`, `null`, "#1 (85 %)", false},
		{`[1, 0.85]`, `{"id": 1, "name": "ACME"}`, "ACME (85 %)", true},
		{`["ACME", 0.85]`, `null`, "ACME, 0.85", false},
		{`[[1, 0.85], [2, 0.7]]`, `["a", "b", "c"]`, "a, b, c (70–85 %)", true},
		{`[[1, 0.85], [2, 0.7]]`, `[]`, "#1 (85 %), #2 (70 %)", false},
		{`[[1, 1], [2, 0]]`, ``, "#1 (100 %), #2 (0 %)", false},
		{`[["invoice", 0.5]]`, ``, "invoice (50 %)", false},
		{`{"id": 5, "name": "ACME"}`, `"ACME"`, "ACME", true},
		{`{"id": 5, "name": "ACME", "confidence": 0.9}`, `"ACME"`, "ACME (90 %)", true},
		{`[{"id": 10, "name": "a"}, {"id": 25, "name": "b"}]`, `["a", "b", "c"]`, "a, b", false},
		{`[{"id": 10, "name": "a"}, {"id": 25, "name": "b"}]`, `["a", "b"]`, "a, b", true},
		{`[4, 1]`, ``, "4, 1", false},
		{`"Invoice"`, `"Invoice"`, "Invoice", true},
		{`[]`, `["a"]`, "", false},
		{`null`, `"x"`, "", false},
		{`{}`, ``, "", false},
		{`[[1, 7]]`, ``, "", false},
		{`[[[[1]]]]`, ``, "", false},
	} {
		if text, now := value(c.applied).appliedTo(value(c.has)); text != c.text || now != c.now {
			t.Errorf("%s of %s: %q %v, want %q %v", c.applied, c.has, text, now, c.text, c.now)
		}
	}
}

func TestScan_NothingIsClaimedThatNobodyKnows(t *testing.T) {
	for body, want := range map[string]string{
		`{"suggestions_count":0,"has_tags_suggestions":true}`:                                                                                                                             "",
		`{"suggestions_count":2,"has_tags_suggestions":true,"has_type_suggestion":false}`:                                                                                                 "tags",
		`{"suggestions_count":2,"has_custom_fields":{},"has_workflow_suggestions":[]}`:                                                                                                    "",
		`{"suggestions_count":2,"has_custom_fields":{"7":["x",0.5]},"has_workflow_suggestions":[[3,0.8]]}`:                                                                                "custom fields, workflows",
		`{"suggestions_count":4,"has_tags_suggestions":true,"has_correspondent_suggestion":true,"has_type_suggestion":true,"has_storage_path_suggestion":true,"has_custom_fields":false}`: "",
	} {
		p, err := decode([]byte(`{"scan_summary":` + body + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range summarise(Input{EventType: "scan_completed"}, p, "", "").facts {
			if f.name == "Suggestions about" {
				got = f.value
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
