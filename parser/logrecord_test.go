package parser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

const sampleEvent = `{"event_type":"custom","n":1,"timestamp":"2025-11-14T15:00:00Z","source":"s"}`

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestLine_EveryFormInEveryWrapping(t *testing.T) {
	forms := map[string]string{
		"event":                  sampleEvent,
		"event with spaces":      "  " + sampleEvent + " \r",
		"event with BOM":         "\xef\xbb\xbf" + sampleEvent,
		"record, event":          `{"asctime":"2025-11-14 15:00:00,123","levelname":"INFO","name":"paperless.ai_webhooks","message":"x","event":` + sampleEvent + `}`,
		"record, payload":        `{"logger":"paperless.ai_webhooks","payload":` + sampleEvent + `}`,
		"record, ai_event":       `{"logger_name":"paperless.ai_webhooks","ai_event":` + sampleEvent + `}`,
		"record, event as text":  `{"name":"paperless.ai_webhooks","event":` + quote(sampleEvent) + `}`,
		"record, message":        `{"name":"paperless.ai_webhooks","message":` + quote(sampleEvent) + `}`,
		"record, msg object":     `{"name":"paperless.ai_webhooks","msg":` + sampleEvent + `}`,
		"record, words, message": `{"name":"paperless.ai_webhooks","message":` + quote("AI event: "+sampleEvent) + `}`,
		"verbose":                `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] ` + sampleEvent,
		"verbose, words":         `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] AI event {curly} {"a":1} ` + sampleEvent,
		"verbose, words after":   `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] ` + sampleEvent + ` (queued)`,
	}
	wrappings := map[string]func(string) string{
		"plain": func(s string) string { return s },
		"docker": func(s string) string {
			return `{"log":` + quote(s+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.123Z"}`
		},
		"docker in pieces": func(s string) string {
			return `{"log":` + quote(s[:20]) + `,"stream":"stderr","time":"2025-11-14T15:00:00.123Z"}` + "\n" +
				`{"log":` + quote(s[20:]+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.124Z"}`
		},
		"cri": func(s string) string { return "2025-11-14T15:00:00.123456789Z stderr F " + s },
		"cri in pieces": func(s string) string {
			return "2025-11-14T15:00:00.1Z stdout P " + s[:20] + "\n2025-11-14T15:00:00.1Z stdout P " + s[20:40] + "\n2025-11-14T15:00:00.2+01:00 stdout F " + s[40:]
		},
	}
	want, err := pyjson.Canonical([]byte(sampleEvent))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for form, text := range forms {
		for wrapping, wrap := range wrappings {
			if strings.Contains(wrapping, "docker") && strings.Contains(form, "BOM") {
				continue // JSON text has no BOM within
			}
			got := Line([]byte(wrap(text)), Options{Now: time.Now()})
			if got.Verdict != Accept || string(got.Event.Body) != string(want) || got.Event.Type != "custom" {
				t.Errorf("%s, %s: %+v %s", form, wrapping, got, got.Event.Body)
			}
			ids[got.Event.ID] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("one event has %d ids", len(ids))
	}
}

func TestLine_SkipsWhatIsNotMeantAsAnEvent(t *testing.T) {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	for text, reason := range map[string]string{
		"":      SkipBlank,
		" \t\r": SkipBlank,
		`[2025-11-14 15:00:00,123] [INFO] [paperless.consumer] Consuming`:                                       SkipOtherLogger,
		`[2025-11-14 15:00:00,123] [INFO] [paperless.consumer] ` + sampleEvent:                                  SkipOtherLogger,
		`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks.child] ` + sampleEvent:                         SkipOtherLogger,
		`{"name":"paperless.consumer","event":` + sampleEvent + `}`:                                             SkipOtherLogger,
		`{"logger":"paperless.tasks","message":"event_type"}`:                                                   SkipOtherLogger,
		"Traceback (most recent call last):":                                                                    SkipNoEvent,
		`  File "x.py", line 1, in event_type`:                                                                  SkipNoEvent,
		`{"some":"object"}`:                                                                                     SkipNoEvent,
		`{"broken": `:                                                                                           SkipNoEvent,
		ours + `AI Webhook sent successfully to https://x/ for scan_completed (attempt 1)`:                      SkipNoEvent,
		ours + `AI Webhook to https://x/ failed after 3 attempts: HTTP 500: {"event_type": "scan_completed", "`: SkipNoEvent,
		ours + `AI Webhook to https://x/ failed with status 500, retrying in 60s (attempt 1/3)`:                 SkipNoEvent,
		ours + `No webhook URLs configured for event type: scan_completed`:                                      SkipNoEvent,
		ours + `done {"a": 1}`:                                                                                  SkipNoEvent,
		ours + `the event_type is odd`:                                                                          SkipNoEvent,
		ours:                                                                                                    SkipNoEvent,
		`{"event":"AI webhook delivered","logger":"paperless.ai_webhooks","level":"info"}`:                      SkipNoEvent,
		`{"name":"paperless.ai_webhooks","event":null,"message":"x"}`:                                           SkipNoEvent,
		"2025-11-14T15:00:00.1Z stderr F nothing of ours":                                                       SkipNoEvent,
		ours + `AI Webhook to https://x/ failed after 3 attempts: HTTP 500: {"received": ` + sampleEvent + `}`:  SkipNoEvent,
		ours + `AI Webhook to https://x/ failed after 3 attempts: HTTP 500: ` + sampleEvent:                     SkipNoEvent,
		ours + `Queued AI webhook scan_completed to https://x/{id}`:                                             SkipNoEvent,
		ours + `AI Webhook blocked: port 81 not permitted for https://x:81/`:                                    SkipNoEvent,
		ours + `Asked {"request": ` + sampleEvent + `} again`:                                                   SkipNoEvent,
		ours + `Known: {"event_types": ["a"]`:                                                                   SkipNoEvent,
		`{"levelname":"INFO","name":"paperless.ai_webhooks","message":` + quote("AI Webhook to https://x/ failed after 3 attempts: HTTP 500: "+sampleEvent) + `}`: SkipNoEvent,
		`{"levelname":"INFO","name":"paperless.tasks","message":"x","event_type":"task_done"}`:                                                                    SkipOtherLogger,
		`{"name":"paperless.tasks","message":"x","event":` + sampleEvent + `,"cut off`:                                                                            SkipOtherLogger,
		`{"levelname": "INFO", "name": "paperless.tasks", "message": "done"}`:                                                                                     SkipOtherLogger,
		`{"event": "done", "logger": "paperless.tasks"}`:                                                                                                          SkipOtherLogger,
		`{"log":"[2025-11-14 15:00:00,123] [INFO] [paperless.tasks] done\n","stream":"stdout","time":"2025-11-14T15:00:00Z"}`:                                     SkipOtherLogger,
		`{"log":"{\"name\": \"paperless.tasks\", \"message\": \"done\"}\n","stream":"stdout","time":"2025-11-14T15:00:00Z"}`:                                      SkipOtherLogger,
		`{"log":"\n","stream":"stdout","time":"2025-11-14T15:00:00Z"}`:                                                                                            SkipBlank,
		`2025-11-14T15:00:00.1Z stderr F `: SkipBlank,
		`2025-11-14T15:00:00.1Z stderr F [2025-11-14 15:00:00,123] [INFO] [paperless.tasks] done`: SkipOtherLogger,
		`    "event_type": "scan_completed",`:                                                     SkipNoEvent,
		`ValueError: bad payload ` + sampleEvent:                                                  SkipNoEvent,
		`[1, 2]`:                                                                                  SkipNoEvent,
	} {
		if got := Line([]byte(text), Options{}); got.Verdict != Skip || got.Reason != reason {
			t.Errorf("%s: %+v, want %s", text, got, reason)
		}
	}
}

func TestLine_RejectsWhatIsMeantAsAnEventAndCannotBeRead(t *testing.T) {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	for text, reason := range map[string]string{
		ours + `{"event_type":"x","n":`:                                                                             "cut off",
		ours + `{"event_type":"x","n":NaN}`:                                                                         "NaN",
		ours + `{"event_type":"x","n":-Infinity}`:                                                                   "NaN and Infinity",
		ours + `{"event_type":"x","n":1e999}`:                                                                       "too large",
		ours + `{"event_type":3}`:                                                                                   "not a string",
		ours + `{"event_type":""}`:                                                                                  "empty",
		ours + `{"event_type":null}`:                                                                                "not a string",
		ours + "{\"event_type\":\"x\",\"t\":\"\xff\"}":                                                              "not UTF-8",
		ours + `{"event_type":"x","n":` + strings.Repeat("[", 2000):                                                 "nested deeper",
		`{"event_type":"x",}`:                                                                                       "key in double quotes",
		ours + `{"deletion_request": {"id": 1, "documents": [`:                                                      "cut off",
		ours + `{"deletion_request": {"id": 1}, "source": "intellidocs-ai"}`:                                        "no event_type",
		ours + `{"document": {"id": 1}}`:                                                                            "no event_type",
		`{"name":"paperless.ai_webhooks","event":"{\"no\": \"type\"}"}`:                                             "under event: the event has no event_type",
		ours + `{'event_type': 'scan_completed', 'document': None}`:                                                 "json.dumps",
		`{'event_type': 'scan_completed', 'document': None}`:                                                        "json.dumps",
		ours + `sent: "{\"event_type\": 1`:                                                                          "not valid JSON",
		ours + `first ` + sampleEvent + ` then ` + sampleEvent:                                                      "more than one event",
		"[" + sampleEvent + "]":                                                                                     "array",
		`{"name":"paperless.ai_webhooks","payload":[` + sampleEvent + `]}`:                                          "under payload: it is an array",
		`{"name":"paperless.ai_webhooks","payload":{"event_type":["x"]}}`:                                           "under payload: event_type is not a string but an array",
		`{"name":"paperless.ai_webhooks","payload":{"event_type":"x","n":NaN}}`:                                     "at byte 65: NaN",
		`{"name":"paperless.ai_webhooks","event":{"a":1`:                                                            "cut off",
		`{"log":` + quote(ours+`{"event_type":"x","a":`+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00Z"}`: "not valid JSON",
		`2025-11-14T15:00:00.1Z stderr P ` + ours + `{"event_type":"x","a":`:                                        "cut off",
		`{"name":"paperless.ai_webhooks","event":{"no":"type"}}`:                                                    "no event_type",
		`{"name":"paperless.ai_webhooks","payload":"{\"event_type\": \"x\""}`:                                       "not valid JSON",
		`{"name":"paperless.ai_webhooks","message":"x {\"event_type\": \"x\", \"n"}`:                                "not valid JSON",
	} {
		got := Line([]byte(text), Options{})
		if got.Verdict != Reject || !strings.Contains(got.Reason, reason) {
			t.Errorf("%.200s: %+v, want %q", text, got, reason)
		}
	}
}

// What is wrong elsewhere in a record does not keep its event back.
func TestLine_UnusualEventsAreAccepted(t *testing.T) {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	for text, typ := range map[string]string{
		`{"event_type":"x","name":"Bob","message":"hello"}`:                                                      "x",
		`{"event_type":"x","name":"disk","level":"high"}`:                                                        "x",
		`{"event_type":"x","logger":"a","event":{"event_type":"y"}}`:                                             "x",
		`{"event_type":"x"} trailing words`:                                                                      "x",
		`{"event_type":"a","event_type":"x"}`:                                                                    "x",
		`{"\u0065vent_type":"x"}`:                                                                                "x",
		`{"event_type":"x","log":"y","stream":"z","time":"never"}`:                                               "x",
		`{"log":"y","stream":"z","event_type":"x"}`:                                                              "x",
		`{"name":"paperless.ai_webhooks","created":NaN,"event":{"event_type":"x"}}`:                              "x",
		"{\"name\":\"paperless.ai_webhooks\",\"pathname\":\"\xff\",\"event\":{\"event_type\":\"x\"}}":            "x",
		`{"name":"paperless.ai_webhooks","payload":{"some":"thing"},"event":{"event_type":"x"}}`:                 "x",
		`{"name":"paperless.ai_webhooks","payload":{"some":"thing"},"msg":"{\"event_type\": \"x\"}"}`:            "x",
		`{"name":"paperless.ai_webhooks","message":"AI event","levelname":"INFO","event_type":"x"}`:              "x",
		`{"name":"worker","logger":"paperless.ai_webhooks","event":{"event_type":"x"}}`:                          "x",
		ours + `a { b {c} {"d": e} {"event_type":"x"}`:                                                           "x",
		ours + `{0} {"event_type":"x"}`:                                                                          "x",
		ours + "not \xff UTF-8 {\"event_type\":\"x\"}":                                                           "x",
		ours + `{"event_type":"\ud800"}`:                                                                         "\uFFFD\uFFFD\uFFFD"[:3],
		`[today] [NOTICE] [paperless.ai_webhooks] {"event_type":"x"}`:                                            "x",
		`[2025-11-14 15:00:00,123] [INFO    ] [paperless.ai_webhooks] {"event_type":"x"}`:                        "x",
		`{"stream": "stderr", "log": "{\"event_type\":\"x\"}\n", "time": "2025-11-14T15:00:00Z"}`:                "x",
		`{"log":"{\"event_type\":\"x\"}\n","stream":"stderr","attrs":{"tag":"t"},"time":"2025-11-14T15:00:00Z"}`: "x",
	} {
		if got := Line([]byte(text), Options{}); got.Verdict != Accept || got.Event.Type != typ {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// A part of an event that cannot be read is no event by itself.
func TestLine_NoEventIsInvented(t *testing.T) {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	for _, text := range []string{
		`{"event_type":"x","inner":{"event_type":"y"},"n":NaN}`,
		`{"event_type":"x","inner":{"event_type":"y"},`,
		`{"event_type":"x","list":[{"event_type":"y"},`,
		`{"inner":{"event_type":"y"},"event_type":"x","n":1e999}`,
		`{"inner":{"event_type":"y"},`,
		`{"event_type":3,"inner":{"event_type":"y"}}`,
	} {
		for _, line := range []string{text, ours + text, ours + "words " + text, `{"name":"paperless.ai_webhooks","event":` + quote(text) + `}`} {
			if got := Line([]byte(line), Options{}); got.Verdict != Reject {
				t.Errorf("%s: %+v %s", line, got, got.Event.Body)
			}
		}
	}
}

// A container runtime cuts where its buffer ends, be it within a name.
func TestLine_PiecesMayBeCutAnywhere(t *testing.T) {
	for _, text := range []string{
		sampleEvent,
		`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] AI event ` + sampleEvent,
		`{"name":"paperless.ai_webhooks","event":` + quote(sampleEvent) + `}`,
	} {
		want := Line([]byte(text), Options{})
		for i := range text {
			for _, pieces := range []string{
				`{"log":` + quote(text[:i]) + `,"stream":"stderr","time":"2025-11-14T15:00:00Z"}` + "\n" + `{"log":` + quote(text[i:]+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:01Z"}`,
				`{"stream": "stderr", "log": ` + quote(text[:i]) + `}` + "\n" + `{"stream": "stderr", "log": ` + quote(text[i:]+"\n") + `}`,
				"2025-11-14T15:00:00.1Z stdout P " + text[:i] + "\n2025-11-14T15:00:00.1Z stdout F " + text[i:],
			} {
				got := Line([]byte(pieces), Options{})
				if got.Verdict != Accept || got.Event.ID != want.Event.ID || string(got.Event.Body) != string(want.Event.Body) {
					t.Fatalf("%s: %+v", pieces, got)
				}
				for j, line := range strings.Split(pieces, "\n") {
					if key, more := Fragment([]byte(line)); more != (j == 0) || key == "" {
						t.Fatalf("%s: %q %v", line, key, more)
					}
				}
			}
		}
	}
}

func TestObject_IsAnEventOrRejected(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	got := Object([]byte("{\n  \"event_type\": \"x\"\n}"), Options{RecordTime: at, Now: time.Now()})
	if got.Verdict != Accept || string(got.Event.Body) != `{"event_type": "x", "source": "intellidocs-ai", "timestamp": "2025-01-02T03:04:05Z"}` {
		t.Errorf("%+v %s", got, got.Event.Body)
	}
	for _, text := range []string{
		`{"name":"paperless.ai_webhooks","event":{"event_type":"x"}}`, `{"name":"other","levelname":"INFO","message":"m","event_type":"x"}`, "\xef\xbb\xbf{\"event_type\":\"x\"}\n",
	} {
		if got := Object([]byte(text), Options{}); got.Verdict != Accept || got.Event.Type != "x" {
			t.Errorf("%s: %+v", text, got)
		}
	}
	for _, text := range []string{
		`{}`, `3`, `"x"`, `{"a":1}`, `{"event_type":`, `null`, `{"name":"other","message":"x"}`, ``, "\n", `[{"event_type":"x"}]`, `{"event_type":"x"}{"event_type":"y"}`,
		`{"name":"paperless.ai_webhooks","message":"x"}`, `{"event_type":"x","n":NaN}`,
	} {
		if got := Object([]byte(text), Options{}); got.Verdict != Reject || got.Reason == "" {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestEvent_TimestampAndSourceAreFilledWhereMissing(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.FixedZone("x", 3600)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	const event = `{"event_type":"x"}`
	for text, want := range map[string]string{
		`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] ` + event:                              "2025-11-14T14:00:00.123Z",
		`{"asctime":"2025-11-14 15:00:00,123","name":"paperless.ai_webhooks","event":` + event + `}`:     "2025-11-14T14:00:00.123Z",
		`{"timestamp":"2025-11-14T15:00:00+02:00","name":"paperless.ai_webhooks","event":` + event + `}`: "2025-11-14T13:00:00Z",
		`{"created":1763132400.5,"name":"paperless.ai_webhooks","event":` + event + `}`:                  "2025-11-14T15:00:00.5Z",
		`2025-11-14T15:00:00.1Z stderr F ` + event:                                                       "2025-11-14T15:00:00.1Z",
		`{"ts":1763132400123,"logger":"paperless.ai_webhooks","event":` + event + `}`:                    "2025-11-14T15:00:00.123Z",
		`{"time":"2025-11-14 15:00:00.5+0100","logger":"paperless.ai_webhooks","event":` + event + `}`:   "2025-11-14T14:00:00.5Z",
		`{"asctime":"2025-11-14 15:00:00,123 UTC","name":"paperless.ai_webhooks","event":` + event + `}`: "2025-11-14T15:00:00.123Z",
		`{"time":"soon","created":1763132400,"logger":"paperless.ai_webhooks","event":` + event + `}`:    "2025-11-14T15:00:00Z",
		`{"log":` + quote(event+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00.123456789Z"}`:    "2025-11-14T15:00:00.123456789Z",
		`2025-11-14T15:00:09Z stderr F [2025-11-14 15:00:00.5] [INFO] [paperless.ai_webhooks] ` + event:  "2025-11-14T14:00:00.5Z",
		event:                                 "2030-01-01T00:00:00Z",
		`{"event_type":"x","timestamp":null}`: "2030-01-01T00:00:00Z",
		`{"event_type":"x","source":null,"zz":"a"}`: "2030-01-01T00:00:00Z",
	} {
		got := Line([]byte(text), Options{Now: now})
		var body map[string]any
		if got.Verdict != Accept || json.Unmarshal(got.Event.Body, &body) != nil || body["timestamp"] != want || body["source"] != Source {
			t.Errorf("%s: %+v %s, want %s", text, got, got.Event.Body, want)
		}
	}
	kept := Line([]byte(sampleEvent), Options{Now: now})
	if !strings.Contains(string(kept.Event.Body), `"source": "s"`) || !strings.Contains(string(kept.Event.Body), "15:00:00Z") {
		t.Errorf("%s", kept.Event.Body)
	}
}

func TestID_TheSameReadTwiceIsTheSame(t *testing.T) {
	at := func(now time.Time, text, position string) string {
		res := Line([]byte(text), Options{Now: now, Position: position})
		if res.Verdict != Accept {
			t.Fatal(res)
		}
		return res.Event.ID
	}
	now := time.Now()
	const a, b = `{"event_type":"x","n":1}`, `{"n":  1, "event_type":"x"}`
	if at(now, a, "") != at(now.Add(time.Hour), b, "") {
		t.Error("the time of reading, or the order of keys, changes the id")
	}
	if at(now, a, "") == at(now, `{"event_type":"x","n":2}`, "") {
		t.Error("two events have one id")
	}
	if at(now, a, "s:1") == at(now, a, "s:2") {
		t.Error("by position, two places have one id")
	}
	if at(now, `{"event_type":"x","n":1,"event_id":"7"}`, "") != at(now, `{"event_type":"x","n":2,"event_id":"7"}`, "") {
		t.Error("an event's own event_id does not decide")
	}
	if at(now, `{"event_type":"x","event_id":"7"}`, "s:1") == at(now, `{"event_type":"x","event_id":"7"}`, "s:2") {
		t.Error("by position, two places have one id where the event has an event_id")
	}
	if at(now, `{"event_type":"x","event_id":""}`, "") == at(now, `{"event_type":"x","event_id":"","n":1}`, "") {
		t.Error("an empty event_id counts as one")
	}
	if id := at(now, a, ""); len(id) != 36 || !strings.HasPrefix(id, "evt_") {
		t.Error(id)
	}
}

// The queue remembers ids: an upgrade that changed them would send events again.
func TestID_StaysWhatItWas(t *testing.T) {
	for text, want := range map[string]string{
		sampleEvent:                           "evt_df769e2f5db2e28e43fb013e1f92cc90",
		`{"event_type":"x","event_id":"7"}`:   "evt_dfd33dbb5e543b76b7e29681d2c066e4",
		`{"event_type":"x","event_id":7}`:     "evt_dfd33dbb5e543b76b7e29681d2c066e4",
		`{"event_type":"x","event_id":7.0}`:   "evt_ebf8334280726b324a070dde00cfe5af",
		`{"event_type":"x","event_id":"é😀"}`:  "evt_1aecdff1bc8156d5c6084c0e1d4ab726",
		`{"event_type":"x","event_id":false}`: "evt_bf06aa0cabf30b8ff34d251e0b22a5de",
	} {
		if got := Line([]byte(text), Options{}); got.Event.ID != want {
			t.Errorf("%s: %s, want %s", text, got.Event.ID, want)
		}
	}
	if got := Line([]byte(sampleEvent), Options{Position: "s:1"}); got.Event.ID != "evt_4951877c9366c650c71450d9eafe6f3e" {
		t.Errorf("by position: %s", got.Event.ID)
	}
}

func TestEvent_KnownTypesWithoutTheirObjectAreIncomplete(t *testing.T) {
	for text, want := range map[string]bool{
		`{"event_type":"scan_completed"}`:                                 true,
		`{"event_type":"scan_completed","document":null}`:                 true,
		`{"event_type":"scan_completed","document":{}}`:                   false,
		`{"event_type":"suggestion_auto_applied","document":3}`:           true,
		`{"event_type":"deletion_request_created","deletion_request":{}}`: false,
		`{"event_type":"deletion_request_created","document":{}}`:         true,
		`{"event_type":"something_else"}`:                                 false,
	} {
		if got := Line([]byte(text), Options{}); got.Verdict != Accept || got.Event.Incomplete != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
	files, err := filepath.Glob("../examples/events/*.json")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := Object(data, Options{}); got.Verdict != Accept || got.Event.Incomplete || got.Event.Type+".json" != filepath.Base(f) {
			t.Errorf("%s: %+v", f, got)
		}
	}
}

// Docker writes no newline after the last words of a container that ended without one, and
// the next one continues in the same file.
func TestLine_WhatAContainerEndedWithHidesNothing(t *testing.T) {
	docker := func(s string) string {
		return `{"log":` + quote(s) + `,"stream":"stderr","time":"2025-11-14T15:00:00Z"}`
	}
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	if key, more := Fragment([]byte(docker(ours + sampleEvent))); key == "" || more {
		t.Error("a whole event waits for more")
	}
	for _, last := range []string{"Killed", `{"event_type": "sca`} {
		got := Line([]byte(docker(last)+"\n"+docker("more")+"\n"+docker(ours+sampleEvent+"\n")), Options{})
		if last != "Killed" && got.Verdict == Reject && len(got.Glued) == 1 {
			got = got.Glued[0] // behind the torn one, which is rejected
		}
		if got.Verdict != Accept || got.Event.ID != Line([]byte(sampleEvent), Options{}).Event.ID {
			t.Errorf("%s: %+v", last, got)
		}
	}
	if got := Line([]byte(docker("Killed")+"\n"+docker(ours+`{"event_type": }`+"\n")), Options{}); got.Verdict != Reject {
		t.Errorf("%+v", got)
	}
	if got := Line([]byte(docker(`{"event_type": "sca`)+"\n"+docker("words\n")), Options{}); got.Verdict != Reject {
		t.Errorf("%+v", got)
	}
}

func TestFragment(t *testing.T) {
	for line, want := range map[string]string{
		`{"log":"abc","stream":"stderr","time":"2025-11-14T15:00:00Z"}`:   "stderr true",
		`{"log":"abc\n","stream":"stdout","time":"2025-11-14T15:00:00Z"}`: "stdout false",
		`{"log": "abc", "stream": "stderr", "time": "x"}`:                 "stderr true",
		`{"stream": "stdout", "log": "abc\n"}`:                            "stdout false",
		`2025-11-14T15:00:00.1Z stderr P abc`:                             "stderr true",
		`2025-11-14T15:00:00.1Z stderr P:x abc`:                           "stderr true",
		`2025-11-14T15:00:00.1Z stderr F abc`:                             "stderr false",
		`2025-11-14T15:00:00.1Z elsewhere P abc`:                          " false",
		`[2025-11-14 15:00:00,123] [INFO] [x] P`:                          " false",
		sampleEvent:                                                       " false",
		"":                                                                " false",
	} {
		key, more := Fragment([]byte(line))
		if got := fmt.Sprint(key, " ", more); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// An event_id says which event it is, and PayloadID whether it is that one.
func TestID_AnEventIDKnowsItsPayload(t *testing.T) {
	payload := func(text string) string { return Line([]byte(text), Options{Now: time.Now()}).Event.PayloadID }
	const event = `{"event_type":"x","event_id":"7","n":1}`
	if a := payload(event); a == "" || a != payload(oursHeader+event) || a == payload(`{"event_type":"x","event_id":"7","n":2}`) || a == payload(`{"event_type":"x","event_id":7,"n":1}`) {
		t.Error("the payload is not what tells them apart, or the time of its record is")
	}
	if payload(sampleEvent) != "" || payload(`{"event_type":"x","event_id":""}`) != "" {
		t.Error("an event without an event_id has no other name")
	}
}
