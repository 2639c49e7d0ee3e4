package term

import "testing"

func TestReadableJSON_LettersAreReadAndNothingElseChanges(t *testing.T) {
	in := `{"a": "B\u00fcro \u201cM\u00fcller\u201d \ud83d\udcc4 \\u00fc \\\u00fc \u001b[31m \u202e \u0022 \u005c \ud83d \n"}`
	want := `{"a": "Büro “Müller” 📄 \\u00fc \\ü \u001b[31m \u202e \u0022 \u005c \ud83d \n"}`
	if got := string(ReadableJSON([]byte(in))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
