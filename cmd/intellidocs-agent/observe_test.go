package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// observed runs an agent that has seen a bit of everything, and gives a client of its socket.
func observed(t *testing.T) (*rig, func(path string) (int, string)) {
	t.Helper()
	_, failing := newRecorder(t, receiver.Options{Status: 500})
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"failing\"\nurl = %q\nsecret = %q\nmax_retries = 0\n", failing, testSecret))
	r.start()
	r.append(eventLine(1), eventLine(2), eventLine(1), "no event", `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type": `)
	r.until("every delivery to end", 30*time.Second, func() bool { return len(r.rows("--status", "success,failed")) == 4 })
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "state", "agent.sock"))
	}}}
	return r, func(path string) (int, string) {
		resp, err := client.Get("http://agent" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

func TestMetrics_TheDocumentedOnesAreThereAndClean(t *testing.T) {
	r, get := observed(t)
	_, text := get("/metrics")
	for _, want := range []string{
		`events_ingested_total{event_type="chaos",source="` + r.log + `"} 3`, `records_skipped_total{reason="no_event",source="` + r.log + `"} 1`,
		`records_rejected_total{source="` + r.log + `"} 1`, `events_deduplicated_total 1`,
		`delivery_attempts_total{outcome="delivered",webhook="main"} 2`, `deliveries_finished_total{status="failed",webhook="failing"} 2`,
		`delivery_duration_seconds_bucket{webhook="main",`, `event_to_delivery_seconds_bucket{webhook="main",`,
		`queue_deliveries{status="success",webhook="main"} 2`, `queue_oldest_due_seconds{webhook="main"} 0`, `queue_bytes `,
		`source_lag_bytes{source="` + r.log + `"} 0`, `webhook_state{state="healthy",webhook="main"} 1`,
		`config_reloads_total{result="success"} 0`, `build_info{version="`,
	} {
		if !strings.Contains(text, "intellidocs_agent_"+want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	used := map[string]string{}
	for _, file := range []string{"prometheus/alerts.yml", "grafana/dashboard.json"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`intellidocs_agent_[a-z_]+`).FindAllString(string(data), -1) {
			used[name] = file
		}
	}
	for name, file := range used {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		// Of gaps there is no series before the first one.
		if !strings.Contains(text, "# TYPE "+base+" ") && name != "intellidocs_agent_source_gaps_total" {
			t.Errorf("examples/%s uses %s, which the agent does not have", file, name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool (apt-get install prometheus)")
	}
	for _, args := range [][]string{{"check", "metrics"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir, cmd.Stdin = filepath.Join("..", "..", "examples", "prometheus"), strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// schema is as much of OpenAPI's as the description uses.
type schema struct {
	Ref        string             `yaml:"$ref"`
	Type       string             `yaml:"type"`
	Nullable   bool               `yaml:"nullable"`
	Required   []string           `yaml:"required"`
	Properties map[string]*schema `yaml:"properties"`
	Items      *schema            `yaml:"items"`
}

type openapi struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct {
				Schema *schema `yaml:"schema"`
			} `yaml:"content"`
		} `yaml:"responses"`
	} `yaml:"paths"`
	Components struct {
		Schemas map[string]*schema `yaml:"schemas"`
	} `yaml:"components"`
}

// check compares a value with its schema: types, what is required, and nothing undescribed.
func (o *openapi) check(t *testing.T, at string, s *schema, v any) {
	t.Helper()
	if s.Ref != "" {
		s = o.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	kind := map[string]string{"string": "string", "bool": "boolean", "float64": "number", "map[string]interface {}": "object", "[]interface {}": "array"}[fmt.Sprintf("%T", v)]
	switch {
	case s == nil:
		t.Errorf("%s refers to nothing", at)
		return
	case v == nil && s.Nullable:
		return
	case kind != s.Type && (kind != "number" || s.Type != "integer"):
		t.Errorf("%s is %T, described as %s", at, v, s.Type)
		return
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			o.check(t, fmt.Sprintf("%s[%d]", at, i), s.Items, item)
		}
	case map[string]any:
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				t.Errorf("%s lacks %s", at, key)
			}
		}
		for key, item := range v {
			if p := s.Properties[key]; p != nil {
				o.check(t, at+"."+key, p, item)
			} else if s.Properties != nil {
				t.Errorf("%s.%s is not described", at, key)
			}
		}
	}
}

func TestAPI_IsWhatItsDescriptionSays(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var o openapi
	if err := yaml.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{"get /healthz": true, "get /readyz": true, "get /metrics": true}
	source, err := os.ReadFile(filepath.Join("internal", "admin", "api.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"(GET|POST) (/api/v1/[^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		served[strings.ToLower(m[1])+" "+m[2]] = true
	}
	for path, methods := range o.Paths {
		for method := range methods {
			if !served[method+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
			delete(served, method+" "+path)
		}
	}
	for route := range served {
		t.Errorf("%s is served and not described", route)
	}

	r, get := observed(t)
	row := r.rows("--webhook", "failing")[0]
	_, rejected := get("/api/v1/rejected")
	var page struct{ Rejected []struct{ ID string } }
	if err := json.Unmarshal([]byte(rejected), &page); err != nil || len(page.Rejected) != 1 {
		t.Fatal(err, rejected)
	}
	for path, as := range map[string]string{
		"/api/v1/status": "", "/api/v1/deliveries?limit=2": "/api/v1/deliveries", "/api/v1/count?status=failed": "/api/v1/count", "/api/v1/events": "", "/readyz": "",
		"/api/v1/deliveries/" + row.ID: "/api/v1/deliveries/{id}", "/api/v1/events/" + row.EventID: "/api/v1/events/{id}",
		"/api/v1/rejected": "", "/api/v1/rejected/" + page.Rejected[0].ID: "/api/v1/rejected/{id}",
	} {
		if as == "" {
			as = path
		}
		code, body := get(path)
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || code != 200 {
			t.Fatalf("%s: %d %v", path, code, err)
		}
		s := o.Paths[as]["get"].Responses["200"].Content["application/json"].Schema
		if s == nil {
			t.Fatalf("%s has no schema", as)
		}
		o.check(t, as, s, v)
	}
	for path, want := range map[string]int{
		"/api/v1/deliveries?stauts=failed": 400, "/api/v1/deliveries?status=odd": 400, "/api/v1/deliveries?limit=0": 400, "/api/v1/deliveries?since=x": 400,
		"/api/v1/deliveries/dlv_x": 404, "/api/v1/events/evt_x": 404, "/api/v1/rejected/rej_x": 404, "/api/v1/nothing": 404,
	} {
		code, body := get(path)
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
			continue
		}
		o.check(t, path, o.Components.Schemas["Problem"], v)
	}
}

func TestHealthcheck_TellsReadyFromAlive(t *testing.T) {
	r := newRig(t, "")
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--live"}} {
		if out, err := r.run(args...); err == nil || !strings.Contains(out, "no agent is running") {
			t.Errorf("%v without an agent: %v\n%s", args, err, out)
		}
	}
	r.start()
	r.until("readiness", 30*time.Second, func() bool { out, err := r.run("healthcheck"); return err == nil && out == "ready\n" })
	r.kill(syscall.SIGTERM)
	if err := os.MkdirAll(r.log, 0o700); err != nil { // a log that is a directory cannot be read
		t.Fatal(err)
	}
	r.start()
	r.until("life", 30*time.Second, func() bool { out, err := r.run("healthcheck", "--live"); return err == nil && out == "alive\n" })
	if out, err := r.run("healthcheck"); err == nil || !strings.Contains(out, "not ready: source "+r.log) {
		t.Errorf("%v\n%s", err, out)
	}
}
