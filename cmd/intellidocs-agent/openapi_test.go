package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// openapi is as much of OpenAPI as the description uses; anything else in it is a slip.
type openapi struct {
	OpenAPI, Info, Security any
	Paths                   map[string]map[string]operation
	Components              struct {
		SecuritySchemes any `yaml:"securitySchemes"`
		Schemas         map[string]*schema
	}
}

type operation struct {
	Summary, Description string
	Parameters           []struct {
		Name, In, Description string
		Required              bool
		Schema                *schema
	}
	RequestBody struct {
		Required bool
		Content  content
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Description string
		Content     content
	}
}

// content is a body by its type.
type content map[string]struct{ Schema *schema }

type schema struct {
	Ref               string `yaml:"$ref"`
	Type, Description string
	Nullable          bool
	Required          []string
	Properties        map[string]*schema
	Items             *schema
	Default           any
	Minimum, Maximum  int
}

func readOpenAPI(t *testing.T) *openapi {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "examples", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var o openapi
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return &o
}

// checkText is check of a text that must be JSON.
func (o *openapi) checkText(t *testing.T, at string, s *schema, text string) {
	t.Helper()
	var v any
	switch err := json.Unmarshal([]byte(text), &v); {
	case err != nil:
		t.Errorf("%s: %v: %s", at, err, text)
	case s == nil:
		t.Errorf("%s has no schema", at)
	default:
		o.check(t, at, s, v)
	}
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

func TestAPI_IsDescribedWhole(t *testing.T) {
	o := readOpenAPI(t)
	served := map[string]bool{"get /healthz": true, "get /readyz": true, "get /metrics": true}
	source, err := os.ReadFile(filepath.Join("internal", "admin", "handlers.go"))
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
}

func TestAPI_AnswersAsDescribed(t *testing.T) {
	o := readOpenAPI(t)
	r, call := observed(t)
	row := r.rows("--webhook", "failing")[0]
	_, rejected := call("/api/v1/rejected")
	var page struct{ Rejected []struct{ ID string } }
	if err := json.Unmarshal([]byte(rejected), &page); err != nil || len(page.Rejected) != 1 {
		t.Fatal(err, rejected)
	}
	for path, as := range map[string]string{
		"/api/v1/status": "", "/api/v1/deliveries?limit=2&subjects=true": "/api/v1/deliveries", "/api/v1/count?status=failed": "/api/v1/count", "/api/v1/events": "", "/api/v1/agents": "", "/api/v1/log": "", "/api/v1/log?limit=1&before=3": "/api/v1/log", "/api/v1/history": "", "/api/v1/history?span=30d&webhook=failing": "/api/v1/history", "/readyz": "", "/healthz": "",
		"/api/v1/deliveries/" + row.ID: "/api/v1/deliveries/{id}", "/api/v1/deliveries/" + row.ID + "/request?attempt=2": "/api/v1/deliveries/{id}/request", "/api/v1/events/" + row.EventID: "/api/v1/events/{id}",
		"/api/v1/rejected": "", "/api/v1/rejected/" + page.Rejected[0].ID: "/api/v1/rejected/{id}",
	} {
		if as == "" {
			as = path
		}
		code, body := call(path)
		if code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
		o.checkText(t, as, o.Paths[as]["get"].Responses["200"].Content["application/json"].Schema, body)
	}
	for path, want := range map[string]int{
		"/api/v1/deliveries?stauts=failed": 400, "/api/v1/deliveries?status=odd": 400, "/api/v1/deliveries?limit=0": 400, "/api/v1/deliveries?since=x": 400,
		"/api/v1/history?span=2h": 400, "/api/v1/history?webhook=nobody": 404, "/api/v1/history?spam=1h": 400, "/api/v1/log?before=x": 400, "/api/v1/log?limit=501": 400,
		"/api/v1/deliveries/dlv_x": 404, "/api/v1/events/evt_x": 404, "/api/v1/rejected/rej_x": 404, "/api/v1/nothing": 404, "/api/v1/replay": 405,
	} {
		code, body := call(path)
		if code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
		o.checkText(t, path, o.Components.Schemas["Problem"], body)
	}
}

func TestAPI_TakesWhatIsDescribed(t *testing.T) {
	o := readOpenAPI(t)
	r, call := observed(t)
	row := r.rows("--webhook", "failing")[0]
	_, rejected := call("/api/v1/rejected")
	id := regexp.MustCompile(`rej_\w+`).FindString(rejected)
	const everything = `{"status":["failed"],"webhook":"failing","event_type":"chaos","since":"2020-01-01T00:00:00Z","until":"2030-01-01T00:00:00Z","q":"n","before":""}`
	tried := map[string]bool{}
	for _, c := range []struct{ path, as, body, kind string }{
		{"/api/v1/webhooks/main/pause", "/api/v1/webhooks/{name}/pause", `{"reason":"night"}`, "json"},
		{"/api/v1/webhooks/main/pause", "/api/v1/webhooks/{name}/pause", ``, "json"},
		{"/api/v1/move", "", `{"from":"main","to":"failing"}`, "json"},
		{"/api/v1/discard", "", `{"filter":{"webhook":"main"},"by":"cli"}`, "json"},
		{"/api/v1/webhooks/main/resume", "/api/v1/webhooks/{name}/resume", ``, "json"},
		{"/api/v1/webhooks/main/test", "/api/v1/webhooks/{name}/test", `{"event_type":"deletion_request_created"}`, "json"},
		{"/api/v1/webhooks/failing/test", "/api/v1/webhooks/{name}/test", ``, "json"},
		{"/api/v1/replay", "", `{"ids":["` + row.ID + `"],"by":"cli"}`, "json"},
		{"/api/v1/replay", "", `{"filter":` + everything + `,"by":"dashboard"}`, "x-ndjson"},
		{"/api/v1/rejected/retry", "", `{"ids":["` + id + `"]}`, "json"},
		{"/api/v1/rejected/retry", "", ``, "json"},
		{"/api/v1/rejected/discard", "", `{"dry_run":true}`, "json"},
		{"/api/v1/rejected/discard", "", ``, "json"},
		{"/api/v1/webhooks/main/test", "/api/v1/webhooks/{name}/test", `{"event_type":"of my own","anyway":true}`, "json"},
		{"/api/v1/rejected/discard", "", `{"source":"/nowhere","since":"2020-01-01T00:00:00Z","until":"2030-01-01T00:00:00Z","dry_run":true}`, "json"},
		{"/api/v1/ingest?name=/old.log&dry_run=true", "/api/v1/ingest", eventLine(1) + "\n", "json"},
		{"/api/v1/ingest?name=/old.log", "/api/v1/ingest", eventLine(7) + "\nnothing\n", "json"},
	} {
		if c.as == "" {
			c.as = c.path
		}
		tried[c.as] = true
		op := o.Paths[c.as]["post"]
		if s := op.RequestBody.Content["application/json"].Schema; s != nil && c.body != "" {
			o.checkText(t, c.as+", the request", s, c.body)
			if code, _ := call(c.path, strings.Replace(c.body, "{", `{"undescribed":1,`, 1)); code != 400 {
				t.Errorf("%s takes what is not described: %d", c.path, code)
			}
		}
		code, body := call(c.path, c.body)
		if code != 200 {
			t.Errorf("%s: %d %s", c.path, code, body)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
			o.checkText(t, c.as, op.Responses["200"].Content["application/"+c.kind].Schema, line)
		}
	}
	// This queue has one agent alone; what others answer is tried where there are.
	tried["/api/v1/agents/forget"] = true
	if code, body := call("/api/v1/agents/forget", `{"name":"pod-3"}`); code != 404 {
		t.Errorf("forget an agent: %d %s", code, body)
	}
	for path, methods := range o.Paths {
		if _, ok := methods["post"]; ok && !tried[path] {
			t.Errorf("POST %s is not tried", path)
		}
	}
	for path, want := range map[string]int{
		"/api/v1/replay": 400, "/api/v1/ingest": 400, "/api/v1/webhooks/nobody/pause": 404, "/api/v1/webhooks/nobody/test": 404, "/api/v1/status": 405,
	} {
		code, body := call(path, "")
		if code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
		o.checkText(t, path, o.Components.Schemas["Problem"], body)
	}
}
