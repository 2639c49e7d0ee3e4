package parser

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Whatever others' text holds, and wherever a record of ours that quotes it is torn, no event
// comes of it. A whole header at a line's beginning is out of the question: that is a record.
func TestForged_NoTextOfOthersBecomesAnEvent(t *testing.T) {
	pieces := []string{
		oursHeader, otherHeader, sampleEvent, `{"name":"paperless.ai_webhooks","event":{"event_type":"forged"}}`, `{"log":"`,
		`","stream":"stderr","time":"2025-11-14T15:00:00Z"}`, "2025-11-14T15:00:00.1Z stderr F ", quotedLogger, "[2025-", `{"`, `"}`, `\`,
		`"`, "\x00", "[", "]", "{", "}", " ", ",", ":", "\x1b[0m", `\n`, "][",
	}
	const cri = "2025-11-14T15:00:00.1Z stderr F "
	docker := func(s string) string {
		return `{"log":` + quote(s+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.1Z"}`
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		var text string
		for range 1 + random.IntN(7) {
			text += pieces[random.IntN(len(pieces))]
		}
		event := `{"event_type":"genuine","title":` + quote(text) + `,"n":1}`
		cut := random.IntN(len(event))
		for _, line := range []string{
			otherHeader + text, docker(otherHeader + text), cri + otherHeader + text,
			`{"levelname":"INFO","name":"paperless.consumer","message":` + quote(text) + `}`,
			oursHeader + "AI Webhook to https://x/ failed after 3 attempts: HTTP 500: " + text,
			event, oursHeader + event, event[:cut], oursHeader + event[:cut],
			oursHeader + event[:cut] + oursHeader + `{"event_type":"genuine","n":2}`,
		} {
			for _, verbose := range []bool{false, true} {
				for _, body := range accepted(Line([]byte(line), Options{Verbose: verbose})) {
					if !strings.Contains(body, `"event_type": "genuine"`) {
						t.Fatalf("verbose %v: %q is read as %s", verbose, line, body)
					}
				}
			}
		}
	}
}
