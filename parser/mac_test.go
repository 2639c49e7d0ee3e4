package parser

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func macOf(key, canonical string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(canonical))
	return hex.EncodeToString(h.Sum(nil))
}

func TestMAC_OnlyTheProducersEventsAreTaken(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	canonical := `{"event_type": "scan_completed", "n": [1.5, 1e+30, 100000000000000000000], "title": "B\u00fcro"}`
	good := macOf(key, canonical)
	with := func(mac string) string { return strings.Replace(canonical, `"n"`, `"mac": `+mac+`, "n"`, 1) }
	for what, tt := range map[string]struct {
		line string
		want Verdict
		say  string
	}{
		"the producer's":       {with(`"` + good + `"`), Accept, ""},
		"in other order":       {`{"mac":"` + good + `","title":"B\u00fcro","n":[1.5,1e30,100000000000000000000],"event_type":"scan_completed"}`, Accept, ""},
		"in capitals":          {with(`"` + strings.ToUpper(good) + `"`), Accept, ""},
		"none":                 {canonical, Reject, "has no MAC"},
		"of another key":       {with(`"` + macOf("another", canonical) + `"`), Reject, "is not one of this source's key"},
		"of another payload":   {with(`"` + macOf(key, canonical+" ") + `"`), Reject, "is not one of this source's key"},
		"cut off":              {with(`"` + good[:32] + `"`), Reject, "is not one of this source's key"},
		"empty":                {with(`""`), Reject, "is not one of this source's key"},
		"no hexadecimal":       {with(`"` + strings.Repeat("z", 64) + `"`), Reject, "is not one of this source's key"},
		"null":                 {with(`null`), Reject, "not a string"},
		"a number":             {with(`7`), Reject, "not a string"},
		"in the inner payload": {strings.Replace(canonical, `"n": [`, `"n": [{"mac": "`+good+`"}, `, 1), Reject, "has no MAC"},
	} {
		for form, line := range map[string]string{
			"plain":   tt.line,
			"record":  `{"name":"paperless.ai_webhooks","event":` + tt.line + `}`,
			"verbose": "[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] " + tt.line,
		} {
			r := Line([]byte(line), Options{Key: []byte(key)})
			if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.say) {
				t.Errorf("%s, %s: %v %q", what, form, r.Verdict, r.Reason)
			}
			if r.Verdict == Accept && strings.Contains(string(r.Event.Body), "mac") {
				t.Errorf("%s, %s: the MAC is sent on: %s", what, form, r.Event.Body)
			}
			if strings.Contains(r.Reason, key) {
				t.Errorf("%s: the key is shown", what)
			}
		}
	}
	// With and without one it is the same event.
	a, b := Line([]byte(with(`"`+good+`"`)), Options{Key: []byte(key)}), Line([]byte(canonical), Options{})
	if a.Event.ID != b.Event.ID {
		t.Errorf("%s and %s", a.Event.ID, b.Event.ID)
	}
}

// TestMAC_OfPython has Python make the MACs, as IntelliDocs' side does.
func TestMAC_OfPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	const script = `
import hashlib, hmac, json
for payload in ({"a": 1}, {"title": "B\u00fcro \U0001f4c4\n\x7f\u2028", "n": [1.5, 10**30, 1e16, 1e22, 1e-7, -0.0, 0.1 + 0.2, True, None]}, {"\ud83d": "\udcc4", "": {}, "z": [[]], "\u00e9": 5e-324}):
    event = dict(payload, event_type="scan_completed", timestamp="2025-11-14T15:00:00+00:00", source="intellidocs-ai")
    event["mac"] = hmac.new(b"s3cret-s3cret-s3cret", json.dumps(event, allow_nan=False, sort_keys=True).encode("ascii"), hashlib.sha256).hexdigest()
    print(json.dumps(event, allow_nan=False))
`
	out, err := exec.Command(python, "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		r := Line([]byte(line), Options{Key: []byte("s3cret-s3cret-s3cret")})
		if r.Verdict != Accept {
			t.Errorf("%s: %v", line, r.Reason)
		}
		if !json.Valid(r.Event.Body) {
			t.Errorf("%q", r.Event.Body)
		}
	}
}
