package nearest

import "testing"

func TestWord(t *testing.T) {
	words := []string{"pending", "retrying", "success", "failed", "slack-ai", "a"}
	for word, want := range map[string]string{
		"faild": "failed", "Failed": "failed", "sucess": "success", "slak_ai": "slack-ai", "retryin": "retrying", "odd": "", "": "", "b": "",
	} {
		if got := Word(word, words); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
