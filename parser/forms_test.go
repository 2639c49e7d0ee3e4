package parser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	want, err := Canonical([]byte(sampleEvent))
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
		ours + `{"a": 1}`:              SkipNoEvent,
		ours + `the event_type is odd`: SkipNoEvent,
		ours:                           SkipNoEvent,
		`{"event":"AI webhook delivered","logger":"paperless.ai_webhooks","level":"info"}`: SkipNoEvent,
		`{"name":"paperless.ai_webhooks","event":null,"message":"x"}`:                      SkipNoEvent,
		"2025-11-14T15:00:00.1Z stderr F nothing of ours":                                  SkipNoEvent,
	} {
		if got := Line([]byte(text), Options{}); got.Verdict != Skip || got.Reason != reason {
			t.Errorf("%s: %+v, want %s", text, got, reason)
		}
	}
}

func TestLine_RejectsWhatIsMeantAsAnEventAndCannotBeRead(t *testing.T) {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	for text, reason := range map[string]string{
		ours + `{"event_type":"x","n":`:                                              "cut off",
		ours + `{"event_type":"x","n":NaN}`:                                          "NaN",
		ours + `{"event_type":"x","n":-Infinity}`:                                    "NaN and Infinity",
		ours + `{"event_type":"x","n":1e999}`:                                        "too large",
		ours + `{"event_type":3}`:                                                    "not a string",
		ours + `{"event_type":""}`:                                                   "empty",
		ours + `{"event_type":null}`:                                                 "not a string",
		ours + "{\"event_type\":\"x\",\"t\":\"\xff\"}":                               "not UTF-8",
		ours + `{"event_type":"x","n":` + strings.Repeat("[", 2000):                  "nested deeper",
		`{"event_type":"x",}`:                                                        "key in double quotes",
		`{"name":"paperless.ai_webhooks","event":{"no":"type"}}`:                     "no event_type",
		`{"name":"paperless.ai_webhooks","payload":"{\"event_type\": \"x\""}`:        "not valid JSON",
		`{"name":"paperless.ai_webhooks","message":"x {\"event_type\": \"x\", \"n"}`: "not valid JSON",
	} {
		got := Line([]byte(text), Options{})
		if got.Verdict != Reject || !strings.Contains(got.Reason, reason) {
			t.Errorf("%.200s: %+v, want %q", text, got, reason)
		}
	}
}

func TestObject_IsAnEventOrRejected(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	got := Object([]byte("{\n  \"event_type\": \"x\"\n}"), Options{RecordTime: at, Now: time.Now()})
	if got.Verdict != Accept || string(got.Event.Body) != `{"event_type": "x", "source": "intellidocs-ai", "timestamp": "2025-01-02T03:04:05Z"}` {
		t.Errorf("%+v %s", got, got.Event.Body)
	}
	for _, text := range []string{`{}`, `3`, `"x"`, `{"a":1}`, `{"event_type":`, `null`, `{"name":"other","message":"x"}`} {
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
		event: "2030-01-01T00:00:00Z",
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
	if at(now, `{"event_type":"x","n":1,"event_id":"7"}`, "s:1") != at(now, `{"event_type":"x","n":2,"event_id":"7"}`, "s:2") {
		t.Error("an event's own event_id does not decide")
	}
	if id := at(now, a, ""); len(id) != 36 || !strings.HasPrefix(id, "evt_") {
		t.Error(id)
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

func TestFragment(t *testing.T) {
	for line, want := range map[string]string{
		`{"log":"abc","stream":"stderr","time":"2025-11-14T15:00:00Z"}`:   "stderr true",
		`{"log":"abc\n","stream":"stdout","time":"2025-11-14T15:00:00Z"}`: "stdout false",
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

func FuzzLine(f *testing.F) {
	f.Add([]byte(sampleEvent))
	f.Add([]byte(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] x {"event_type":"x","a":"\ud800"}`))
	f.Add([]byte("2025-11-14T15:00:00.1Z stdout P {\"event_\n2025-11-14T15:00:00.1Z stdout F type\":\"x\"}"))
	f.Add([]byte(`{"name":"paperless.ai_webhooks","event":"{\"event_type\":\"x\"}"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		Fragment(data)
		for _, res := range []Result{Line(data, Options{}), Object(data, Options{Position: "p"})} {
			switch res.Verdict {
			case Accept:
				again, err := Canonical(res.Event.Body)
				if err != nil || string(again) != string(res.Event.Body) {
					t.Fatalf("not canonical: %s, %v", res.Event.Body, err)
				}
				if len(res.Event.ID) != 36 || res.Event.Type == "" || !json.Valid(res.Event.Body) {
					t.Fatalf("%+v", res)
				}
			case Skip, Reject:
				if res.Reason == "" {
					t.Fatal("no reason")
				}
			default:
				t.Fatal("no verdict")
			}
		}
	})
}

func BenchmarkLine(b *testing.B) {
	for name, line := range map[string]string{
		"skip":  `[2025-11-14 15:00:00,123] [DEBUG] [paperless.consumer] ` + strings.Repeat("x", 2000),
		"event": `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":"scan_completed","document":{"id":1,"title":"` + strings.Repeat("é", 100) + `"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				Line([]byte(line), Options{})
			}
		})
	}
}
