package queue

import (
	"bytes"
	"strings"
	"testing"
)

func TestSearch_FindsAPayloadsTextAsPeopleReadIt(t *testing.T) {
	payload := []byte(`{"document": {"id": 7, "title": "\u00dcbersicht \u201eStra\u00dfe\u201c \"Q4\" \ud83d\udcc4 C:\\scans \u0391\u03a3 \u0130stanbul\n\tx\u007f \ud83d\u00c4b"}, "n": [1.5]}`)
	for text, want := range map[string]bool{
		"übersicht": true, "ÜBERSICHT": true, "Straße": true, "„straße“": true, `"q4"`: true, "📄": true, "📄 c:": true, `c:\scans`: true,
		"ας": true, "ασ": true, // both small sigmas are the capital's
		"İstanbul": true, "äb": true, "stanbul\n\tX\x7f": true,
		`"id": 7`: true, `\u00dc`: true, "n\": [1.5]": true,
		"ubersicht": false, "strase": false, "📃": false, `q4x`: false, "n\": [1x5]": false, "(": false,
	} {
		if got := NewSearch(text).InPayload(payload); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if !NewSearch("").InPayload(payload) || !NewSearch("").In("any") {
		t.Error("the empty text is not found")
	}
	if !NewSearch("ZUGRIFF").In("Zugriff verweigert") || NewSearch("Zugriff!").In("Zugriff verweigert") {
		t.Error("a text of ours is not searched in either case")
	}
}

// However much a text and a payload repeat, a look at each byte must do: what is longer than
// that would take minutes here.
func TestSearch_TakesNoLongerForWhatNearlyMatchesEverywhere(t *testing.T) {
	payload := bytes.Repeat([]byte(`\u00e4`), 150_000)
	if NewSearch(strings.Repeat("ä", 2500) + "x").InPayload(payload) {
		t.Error("what is not there is found")
	}
	for _, cut := range []string{`\`, `\u`, `\u12`, `\ud83d`, `\ud83d\`, `\ud83d\u00`, `\u12zz`, "\xff\\\xff"} {
		if NewSearch("ä").InPayload([]byte(cut)) {
			t.Errorf("%q has it", cut)
		}
	}
}
