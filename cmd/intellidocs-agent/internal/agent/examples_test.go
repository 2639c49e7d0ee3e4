package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/dispatch/format"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
)

// formatExamples are the webhooks of examples/formats/README.md, each loaded as a
// configuration of its own.
func formatExamples(t *testing.T) map[string]*Plan {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../../examples/formats")); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*Plan{}
	for _, m := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		file := filepath.Join(dir, "agent.toml")
		text := "[state]\npath = \"state\"\n\n[[source]]\ntype = \"log\"\npath = \"paperless.log\"\n\n" + m[1]
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		plan, err := Load(file, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, m[1])
		}
		if len(plan.webhooks) != 1 {
			t.Fatalf("%d webhooks in\n%s", len(plan.webhooks), m[1])
		}
		out[plan.webhooks[0].Name] = plan
	}
	return out
}

// wanted are the members that a service needs in a message, and how long each may be.
var wanted = map[string]map[string]int{
	"slack":    {"text": 40_000},
	"discord":  {},
	"teams":    {"type": 100},
	"events":   {"specversion": 10, "id": 100, "source": 1000, "type": 1000},
	"ntfy":     {"topic": 64, "title": 250, "message": 4096},
	"gotify":   {"title": 250, "message": 10_000},
	"telegram": {"chat_id": 100, "text": 4096},
	"matrix":   {"text": 20_000},
	"chat":     {"text": 4500},
	"own":      {"text": 200},
	"home":     {"id": 100, "title": 250, "message": 10_000},
}

func TestExamples_EveryFormatLoadsAndRendersEverySample(t *testing.T) {
	examples := formatExamples(t)
	if len(examples) != len(wanted) {
		t.Errorf("%d examples, want %d", len(examples), len(wanted))
	}
	for name, plan := range examples {
		b := builder{cfg: plan.Config, w: &plan.Config.Webhooks[0], wrong: func(key string, err error) { t.Fatalf("%s: %s: %v", name, key, err) }}
		_, to, err := format.Address(b.w.Format, b.w.URL.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		render := b.render(to)
		for what, in := range exampleInputs(t) {
			out, _, err := render(in)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			checkMessage(t, name+", "+what, out, wanted[name])
		}
	}
}

func checkMessage(t *testing.T, what string, out []byte, members map[string]int) {
	t.Helper()
	var message map[string]any
	if err := json.Unmarshal(out, &message); err != nil {
		t.Errorf("%s: %v\n%s", what, err, out)
		return
	}
	if strings.Contains(string(out), "<no value>") || strings.Contains(string(out), "%!") {
		t.Errorf("%s: a value is missing: %s", what, out)
	}
	for member, most := range members {
		text, ok := message[member].(string)
		if n := len(utf16.Encode([]rune(text))); !ok || n == 0 || n > most {
			t.Errorf("%s: %s has %d characters, allowed are 1 to %d: %s", what, member, n, most, out[:min(len(out), 500)])
		}
	}
}

// exampleInputs are the samples, a custom event, and events with everything missing or
// much too long.
func exampleInputs(t *testing.T) map[string]send.Message {
	t.Helper()
	out := map[string]send.Message{}
	add := func(what, eventType string, event map[string]any) {
		body, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		out[what] = send.Message{EventID: "evt_0123456789abcdef0123456789abcdef", EventType: eventType, DeliveryID: "dlv_1", Body: body}
	}
	long := strings.Repeat("long \"text\"\n\\ ", 4000)
	for _, eventType := range append(events.Types(), "invoice_overdue") {
		event, err := events.Sample(eventType, time.Date(2025, 11, 14, 15, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		add(eventType, eventType, event)
		add(eventType+" and nothing else", eventType, map[string]any{"event_type": eventType})
		add(eventType+", much too long", eventType, map[string]any{
			"event_type": eventType, "message": long,
			"document": map[string]any{"title": long}, "deletion_request": map[string]any{"ai_reason": long, "document_count": long},
		})
		add(eventType+" of other types", eventType, map[string]any{
			"event_type": eventType, "message": []any{1}, "document": []any{}, "deletion_request": "none", "scan_summary": 7,
		})
	}
	return out
}

// What the reader of agent.toml takes is what can be rendered.
func TestFormats_AreTheSameInBothPlaces(t *testing.T) {
	if !slices.Equal(config.Formats, format.Names) {
		t.Errorf("%q can be configured and %q rendered", config.Formats, format.Names)
	}
}

func TestExamples_TheChartsConfigurationsLoad(t *testing.T) {
	for _, name := range []string{"intellidocs-agent/values.yaml", "values-example.yaml"} {
		text, err := os.ReadFile("../../../../examples/helm/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var values struct{ Config string }
		if err := yaml.Unmarshal(text, &values); err != nil || values.Config == "" {
			t.Fatalf("%s: %v", name, err)
		}
		dir := t.TempDir()
		for _, secret := range []string{"admin_token", "webhook_secret"} {
			if err := os.WriteFile(filepath.Join(dir, secret), []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, "agent.toml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(values.Config, "/run/secrets/", dir+"/")), 0o600); err != nil {
			t.Fatal(err)
		}
		plan, err := Load(file, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cfg := plan.Config; cfg.State.Path != "/var/lib/intellidocs-agent/state" || cfg.Admin.Listen != "0.0.0.0:9723" {
			t.Errorf("%s: the volumes and probes stand on %s and %s", name, cfg.State.Path, cfg.Admin.Listen)
		}
	}
}
