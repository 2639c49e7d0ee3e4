package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestValue_IsNotPrintedByAnyVerbNorFromUnexportedFields(t *testing.T) {
	type holder struct {
		Text Value[string]
		text Value[string]
		key  Value[[]byte]
	}
	h := holder{Of("hunter2"), Of("hunter2"), Of([]byte("hunter2"))}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		fmt.Fprintf(&out, verb, h)
		fmt.Fprintf(&out, verb, &h)
		fmt.Fprintf(&out, verb, h.text)
		fmt.Fprintf(&out, verb, h.key)
		fmt.Fprintf(&out, verb, []any{h.key, &h.key})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "text", h.text, "key", h.key, "holder", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "text", h.text, "key", h.key, "holder", h)
	if err := json.NewEncoder(&out).Encode(h); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"hunter2", "104 117 110", "68756e", "68756E", "aHVudGVyMg"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q leaks: %s", leak, out.String())
		}
	}
	if h.text.Reveal() != "hunter2" || string(h.key.Reveal()) != "hunter2" {
		t.Error("what is revealed is not what was kept")
	}
}

func TestValue_TheZeroValueHoldsNothing(t *testing.T) {
	var v Value[[]byte]
	if v.Set() || len(v.Reveal()) != 0 || Of("").Set() || !Of("x").Set() {
		t.Error("Set does not say whether there is a secret")
	}
}
