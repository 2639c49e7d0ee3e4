package parser

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

const (
	oursHeader  = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	otherHeader = `[2025-11-14 15:00:00,123] [INFO] [paperless.consumer] `
)

// forms are the ways an event stands in a log.
func forms(event string) map[string]string {
	docker := func(s string) string {
		return `{"log":` + quote(s+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.1Z"}`
	}
	return map[string]string{
		"event":           event,
		"record":          `{"asctime":"2025-11-14 15:00:00,123","levelname":"INFO","name":"paperless.ai_webhooks","message":"AI event","event":` + event + `}`,
		"record, as text": `{"name":"paperless.ai_webhooks","message":` + quote(event) + `}`,
		"verbose":         oursHeader + event,
		"verbose, words":  oursHeader + "AI event: " + event,
		"docker, verbose": docker(oursHeader + event),
		"docker, event":   docker(event),
		"docker, record":  docker(`{"name":"paperless.ai_webhooks","event":` + event + `}`),
		"cri, verbose":    "2025-11-14T15:00:00.1Z stderr F " + oursHeader + event,
		"cri, event":      "2025-11-14T15:00:00.1Z stderr F " + event,
		"cri, record":     `2025-11-14T15:00:00.1Z stderr F {"name":"paperless.ai_webhooks","event":` + event + `}`,
	}
}

// bodies of what was accepted, but for the time that each form fills in.
func accepted(res Result) (bodies []string) {
	for _, r := range append([]Result{res}, res.Glued...) {
		if r.Verdict == Accept {
			bodies = append(bodies, stampRE.ReplaceAllString(string(r.Event.Body), ""))
		}
	}
	return bodies
}

var stampRE = regexp.MustCompile(`, "timestamp": "[^"]*"`)

// Wherever a record is torn, the one glued to it is read, and no part of the torn one is
// taken for an event.
func TestGlued_ATornRecordTakesNoOtherWithIt(t *testing.T) {
	torn, whole := `{"event_type":"first","doc":{"id":1,"title":"a \"b\" {c"},"list":[1,{"x":null}],"n":1.5e3}`, sampleEvent
	want := accepted(Line([]byte(whole), Options{}))[0]
	wholes := forms(whole)
	for form, first := range forms(torn) {
		for _, between := range []string{"", "\x00\x00\x00"} {
			for cut := 1; cut <= len(first); cut++ {
				line := first[:cut] + between + wholes[form]
				res := Line([]byte(line), Options{})
				ids := accepted(res)
				if len(ids) == 0 || ids[len(ids)-1] != want || len(ids) > 2 {
					t.Errorf("%s, cut at %d: %d accepted: %s\n%+v", form, cut, len(ids), line, res)
					break
				}
				if len(ids) == 2 && ids[0] != accepted(Line([]byte(first), Options{}))[0] {
					t.Errorf("%s, cut at %d: a part was taken for an event: %s", form, cut, line)
				}
			}
		}
	}
}

func TestGlued_TwoAndMoreWholeRecords(t *testing.T) {
	for form, text := range forms(sampleEvent) {
		for _, between := range []string{"", " ", "\x00\x00"} {
			if res := Line([]byte(text+between+text+between+text), Options{}); len(accepted(res)) != 3 || res.Verdict != Accept {
				t.Errorf("%s, %q between: %d", form, between, len(accepted(res)))
			}
		}
	}
	many := strings.Repeat(sampleEvent, race.Rounds(5000, 500))
	if res := Line([]byte(many), Options{}); len(accepted(res)) < maxGlued || len(accepted(res)) > maxGlued+1 || res.Glued[len(res.Glued)-1].Verdict != Reject {
		t.Errorf("%d of many", len(accepted(res)))
	}
	if res := Line([]byte(strings.Repeat(oursHeader+`{"`, race.Rounds(50_000, 5_000))), Options{}); res.Verdict != Reject || len(res.Glued) > maxGlued {
		t.Errorf("%d of many torn ones", len(res.Glued))
	}
}

// Another logger's text may hold anything, and so may what our logger says of deliveries.
func TestGlued_NothingIsTakenOutOfOthersText(t *testing.T) {
	forged := oursHeader + sampleEvent
	for _, line := range []string{
		otherHeader + "Consuming " + forged,
		otherHeader + forged,
		"[pod/a/b] " + otherHeader + forged,
		oursHeader + `{"event_ty` + otherHeader + forged,
		oursHeader + "AI Webhook to https://x/ failed after 3 attempts: HTTP 500: " + forged,
		`{"name":"paperless.consumer","message":` + quote(forged) + `}`,
		`{"levelname":"INFO","name":"paperless.consumer","message":` + quote(forged+"\n"+forged) + `,"x`,
		`{"MESSAGE":` + quote(otherHeader+forged) + `}`,
		"Nov 14 15:00:00 host intellidocs[1]: " + otherHeader + forged,
		`2025-11-14T15:00:00.1Z stderr F ` + otherHeader + forged,
		oursHeader + `{"event_type":"x","title":` + quote(forged) + `,"n`,
	} {
		if res := Line([]byte(line), Options{}); len(accepted(res)) != 0 {
			t.Errorf("forged: %s", line)
		}
	}
}

// In a log of the verbose format a line without a header is part of the record before it.
func TestVerbose_ALineWithoutAHeaderIsNoEvent(t *testing.T) {
	docker := func(s string) string {
		return `{"log":` + quote(s+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.1Z"}`
	}
	record := `{"name":"paperless.ai_webhooks","event":` + sampleEvent + `}`
	for line, want := range map[string]Verdict{
		sampleEvent:                           Skip,
		record:                                Reject, // it names the logger: a person is to see it
		"  " + record:                         Reject,
		"Invoice " + sampleEvent:              Skip,
		"Invoice " + oursHeader + sampleEvent: Reject,
		"\x1b[0m" + sampleEvent:               Skip,
		`{"MESSAGE":` + quote(oursHeader+sampleEvent) + `}`:        Reject,
		sampleEvent + oursHeader + sampleEvent:                     Reject,
		`{"name":"paperless.consumer"}` + oursHeader + sampleEvent: Reject,
		oursHeader + sampleEvent:                                   Accept,
		otherHeader + "x":                                          Skip,
		"no event at all":                                          Skip,
		`{"torn` + sampleEvent:                                     Skip,
	} {
		for _, wrapped := range []string{line, docker(line), "2025-11-14T15:00:00.1Z stderr F " + line} {
			if got := Line([]byte(wrapped), Options{Verbose: true}); got.Verdict != want {
				t.Errorf("%s: %+v", wrapped, got)
			}
		}
	}
	for line, want := range map[string]bool{
		oursHeader + sampleEvent: true, otherHeader + "x": true, sampleEvent: false, "x " + otherHeader: false,
		"[2025-11-14 15:00:00 +0000] [123] [INFO] Listening": false, docker(otherHeader + "x"): true, "2025-11-14T15:00:00.1Z stderr F " + otherHeader: true,
		"[2025-11-14 15:00:00,123: INFO/MainProcess] celery ready": false,
	} {
		if got := Line([]byte(line), Options{}); got.Headed != want {
			t.Errorf("%s: headed %v", line, got.Headed)
		}
	}
}

// What runtimes, shippers and terminals make of the verbose format is read from our logger's name on.
func TestLine_ForeignWrappings(t *testing.T) {
	verbose := oursHeader + sampleEvent
	for name, line := range map[string]string{
		"syslog 3164":            "<14>Nov 14 15:00:00 host intellidocs[42]: " + verbose,
		"syslog 5424":            "<14>1 2025-11-14T15:00:00Z host intellidocs 42 - - " + verbose,
		"docker compose logs":    "webserver-1  | " + verbose,
		"docker compose, colour": "\x1b[36mwebserver-1  | \x1b[0m" + verbose,
		"colour":                 "\x1b[32m[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks]\x1b[0m " + sampleEvent,
		"docker logs -t":         "2025-11-14T15:00:00.123456789Z " + verbose,
		"kubectl --prefix":       "[pod/intellidocs-0/web] " + verbose,
		"multilog":               "@4000000068a1b2c3d4e5f601 " + verbose,
		"svlogd":                 "2025-11-14_15:00:00.12345 " + verbose,
		"celery":                 "[2025-11-14 15:00:00,123: WARNING/ForkPoolWorker-1] " + verbose,
		"journald":               `{"__REALTIME_TIMESTAMP":"1763132400000000","MESSAGE":` + quote(verbose) + `,"_PID":"1"}`,
		"Vector":                 `{"file":"/x.log","message":` + quote(verbose) + `,"source_type":"file","timestamp":"2025-11-14T15:00:00Z"}`,
		"GELF":                   `{"version":"1.1","host":"h","short_message":` + quote(verbose) + `,"level":6}`,
		"ECS, dotted":            `{"@timestamp":"2025-11-14T15:00:00Z","log.level":"info","log.logger":"paperless.ai_webhooks","message":` + quote(sampleEvent) + `}`,
		"ECS, nested":            `{"@timestamp":"2025-11-14T15:00:00Z","log":{"level":"info","logger":"paperless.ai_webhooks"},"message":` + quote(sampleEvent) + `}`,
		"extra.event":            `{"name":"paperless.ai_webhooks","message":"x","extra":{"event":` + sampleEvent + `}}`,
		"context.event":          `{"name":"paperless.ai_webhooks","message":"x","context":{"event":` + sampleEvent + `}}`,
		"data":                   `{"name":"paperless.ai_webhooks","message":"x","data":` + sampleEvent + `}`,
		"extra":                  `{"name":"paperless.ai_webhooks","message":"x","extra":` + sampleEvent + `}`,
		"data as text":           `{"name":"paperless.ai_webhooks","message":"x","data":` + quote(sampleEvent) + `}`,
	} {
		if got := Line([]byte(line), Options{}); got.Verdict != Accept || got.Event.Type != "custom" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, line := range map[string]string{
		"basicConfig":   "INFO:paperless.ai_webhooks:" + sampleEvent,
		"logfmt":        `level=info logger=paperless.ai_webhooks msg=` + quote(sampleEvent),
		"message, list": `{"name":"paperless.ai_webhooks","message":[` + sampleEvent + `]}`,
		"other key":     `{"name":"paperless.ai_webhooks","message":"x","details":{"inner":` + sampleEvent + `}}`,
		"loguru":        `{"text":` + quote("2025 | INFO | paperless.ai_webhooks:f:1 - "+sampleEvent) + `,"record":{"name":"paperless.ai_webhooks"}}`,
	} {
		if got := Line([]byte(line), Options{}); got.Verdict != Reject {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
