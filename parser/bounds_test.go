package parser

import (
	"encoding/json"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

const mib = 1 << 20

// hostile are lines of a mebibyte made to cost much.
func hostile() map[string]string {
	const ours = `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `
	fill := func(begin, part, end string) string {
		return begin + strings.Repeat(part, (mib-len(begin)-len(end))/len(part)) + end
	}
	event := `{"event_type":"x","a":`
	return map[string]string{
		"arrays":         fill(event+"[0", ",[]", "]}"),
		"objects":        fill(event+"[0", ",{}", "]}"),
		"small objects":  fill(event+"[0", `,{"a":0}`, "]}"),
		"one key":        fill(event+`{"b":0`, `,"a":0`, "}}"),
		"unsorted":       strings.Repeat(`{"b":`, pyjson.MaxDepth-2) + fill(`"`, "x", `"`) + strings.Repeat(`,"a":0}`, pyjson.MaxDepth-3) + `,"event_type":"x"}`,
		"escapes":        fill(event+`"`, "é", `"}`),
		"braces":         fill(ours+`"event_type"`, "{", ""),
		"openings":       fill(ours+`"event_type"`, `{"`, ""),
		"openings, keys": fill(ours+`"event_type" x`, `{"a":{"`, ""),
		"broken objects": fill(ours+`"event_type" x`, `{"a":x`, ""),
		"whole objects":  fill(ours+`"event_type" x`, `{"a":1}`, ""),
		"deep":           fill(ours+`"event_type"`, `{"a":`, ""),
		"names":          fill(ours, `event_typ`, ""),
		"escaped names":  fill(`{"name":"`, `\u005f`, `"}`),
		"brackets":       fill("", "[", ""),
		"pieces":         fill("", "2025-11-14T15:00:00.1Z stderr P {\n", ""),
	}
}

// The whole agent has 64 MiB; no line of a mebibyte may take the most of it, nor be read
// over and over. What is allocated in all is a bound for both.
func TestLine_HostileLinesStayBounded(t *testing.T) {
	all := hostile()
	for _, name := range race.Part(slices.Sorted(maps.Keys(all)), 4) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Line([]byte(all[name]), Options{})
		runtime.ReadMemStats(&after)
		got := (after.TotalAlloc - before.TotalAlloc) / mib
		t.Logf("%s: %d MiB", name, got)
		if got > 56 {
			t.Errorf("%s: %d MiB allocated for a line of one", name, got)
		}
	}
}

func TestLine_SkippingAllocatesNothing(t *testing.T) {
	for name, line := range skipped() {
		data := []byte(line)
		if n := testing.AllocsPerRun(100, func() { Line(data, Options{}); Fragment(data) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func skipped() map[string]string {
	words := strings.Repeat("Some_words of a log, as (they) are: 12 ", 52)
	docker := func(s string) string {
		b, err := json.Marshal(s + "\n")
		if err != nil {
			panic(err)
		}
		return `{"log":` + string(b) + `,"stream":"stderr","time":"2025-11-14T15:00:00.123Z"}`
	}
	verbose := `[2025-11-14 15:00:00,123] [DEBUG] [paperless.consumer] ` + words
	record := `{"asctime":"2025-11-14 15:00:00,123","levelname":"DEBUG","name":"paperless.consumer","message":"` + words + `"}`
	return map[string]string{
		"verbose": verbose, "docker verbose": docker(verbose), "cri verbose": "2025-11-14T15:00:00.1Z stderr F " + verbose,
		"record": record, "docker record": docker(record), "text": "  " + words,
		"delivery": `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] AI Webhook sent successfully to https://x/ for scan_completed (attempt 1)`,
		"piece":    `{"log":"` + words + `","stream":"stdout","time":"2025-11-14T15:00:00.123Z"}`,
	}
}

var wellFormedID = regexp.MustCompile(`^evt_[0-9a-f]{32}$`)

func FuzzLine(f *testing.F) {
	f.Add([]byte(sampleEvent))
	f.Add([]byte(`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] x {"event_type":"x","a":"\ud800"}`))
	f.Add([]byte("2025-11-14T15:00:00.1Z stdout P {\"event_\n2025-11-14T15:00:00.1Z stdout F type\":\"x\"}"))
	f.Add([]byte(`{"name":"paperless.ai_webhooks","event":"{\"event_type\":\"x\"}"}`))
	f.Add([]byte(`{"log":"{\"event_type\":\"x\"}\n","stream":"stderr","time":"2025-11-14T15:00:00Z"}`))
	f.Add([]byte(`{"name":"paperless.ai_webhooks","payload":{"event_type":"x","n":NaN},"message":"{\"event_type\":\"x\",\"n\":1e5}"}`))
	f.Add([]byte(`{"event_type":"x","timestamp":null,"source":null,"event_id":1E5,"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		Fragment(data)
		for _, res := range []Result{Line(data, Options{}), Object(data, Options{Position: "p"})} {
			switch res.Verdict {
			case Accept:
				again, err := pyjson.Canonical(res.Event.Body)
				if err != nil || string(again) != string(res.Event.Body) {
					t.Fatalf("not canonical: %s, %v", res.Event.Body, err)
				}
				if !wellFormedID.MatchString(res.Event.ID) || res.Event.Type == "" || !utf8.ValidString(res.Event.Type) || !json.Valid(res.Event.Body) {
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

func BenchmarkSkip(b *testing.B) {
	for name, line := range skipped() {
		benchmarkLine(b, name, line)
	}
}

func BenchmarkEvent(b *testing.B) {
	event := `{"event_type":"scan_completed","timestamp":"2025-11-14T15:00:00.123456+00:00","source":"intellidocs-ai","document":{"id":1,"title":"` +
		strings.Repeat("é", 100) + `","created":"2025-11-14","correspondent":null},"scan_summary":{"auto_applied_count":1,"suggestions_count":2}}`
	benchmarkLine(b, "bare", event)
	benchmarkLine(b, "verbose", `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] `+event)
	benchmarkLine(b, "record", `{"asctime":"2025-11-14 15:00:00,123","levelname":"INFO","name":"paperless.ai_webhooks","message":"x","event":`+event+`}`)
}

func benchmarkLine(b *testing.B, name, line string) {
	data := []byte(line)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			Line(data, Options{})
		}
	})
}
