package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/dispatch/tree"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMatchType(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"scan_completed", "scan_completed", true},
		{"scan_completed", "scan_completed2", false},
		{"scan_*", "scan_completed", true},
		{"scan_*", "scan_", true},
		{"scan_*", "rescan_completed", false},
		{"*", "", true},
		{"*", "anything", true},
		{"*_applied", "suggestion_auto_applied", true},
		{"*_applied", "suggestion_auto_applied_x", false},
		{"s*auto*d", "suggestion_auto_applied", true},
		{"s*auto*d", "suggestion_applied", false},
		{"a*a", "a", false},
		{"a*b*b", "ab", false},
		{"a**b", "ab", true},
		{"*ab*ab*", "abab", true},
		{"*ab*ab*", "abb", false},
		{"[a-z]?", "ab", false},
		{"[a-z]?", "[a-z]?", true},
		{"é*", "été", true},
	} {
		if got := matchType(c.pattern, c.s); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.s, got)
		}
	}
}

func FuzzMatchType(f *testing.F) {
	f.Add("a*b", "axxb")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			return
		}
		if got, want := matchType(pattern, s), matchSlowly(pattern, s); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, s, got, want)
		}
	})
}

// matchSlowly is the definition: * is any run of bytes.
func matchSlowly(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return matchSlowly(pattern[1:], s) || s != "" && matchSlowly(pattern, s[1:])
	}
	return s != "" && pattern[0] == s[0] && matchSlowly(pattern[1:], s[1:])
}

const scanCompleted = `{"auto_applied": true, "document": {"correspondent": "Acme Corp", "created": "2025-11-14", "document_type": null, "id": 1234, "tags": ["tax", "2025"], "title": "Rechnung"}, "event_type": "scan_completed", "huge": 12345678901234567890, "ratio": 0.5, "scan_summary": {"auto_applied_count": 2}}`

const deletionRequest = `{"deletion_request": {"document_count": 2, "documents": [{"correspondent": null, "id": 1, "tags": []}, {"correspondent": "Acme Corp", "id": 2, "tags": ["tax"]}]}, "event_type": "deletion_request_created"}`

func newFilter(t testing.TB, source string) *Filter {
	t.Helper()
	f, err := NewFilter(source)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilter(t *testing.T) {
	const wanted, unwanted, noAnswer = "wanted", "unwanted", "no answer"
	for _, c := range []struct{ filter, body, want string }{
		{`document.correspondent == "Acme Corp"`, scanCompleted, wanted},
		{`document.correspondent == "Acme"`, scanCompleted, unwanted},
		{`document.id > 100`, scanCompleted, wanted},
		{`document.id == 1234`, scanCompleted, wanted},
		{`document.id > 1234.5`, scanCompleted, unwanted},
		{`ratio < 1 && huge > 1e18`, scanCompleted, wanted},
		{`document["title"] matches "^Rech"`, scanCompleted, wanted},
		{`"tax" in document.tags`, scanCompleted, wanted},
		{`document.document_type == nil`, scanCompleted, wanted},
		{`document.tags[0] == "tax" && document.tags[7] == nil`, scanCompleted, wanted},
		{`scan_summary.auto_applied_count >= 2 and not (document.title contains "Mahnung")`, scanCompleted, wanted},
		{`any(deletion_request.documents, .correspondent == "Acme Corp")`, deletionRequest, wanted},
		{`any(deletion_request.documents, any(.tags, # == "tax"))`, deletionRequest, wanted},
		{`all(deletion_request.documents, .id > 1)`, deletionRequest, unwanted},
		{`count(deletion_request.documents, .id > 0) == 2`, deletionRequest, wanted},
		{`len(filter(deletion_request.documents, .id > 1)) == 1`, deletionRequest, wanted},
		{`sum(map(deletion_request.documents, .id)) == 3`, deletionRequest, wanted},
		{`auto_applied`, scanCompleted, wanted},
		{`event_type startsWith "scan"`, scanCompleted, wanted},
		// What is not there is nil, however deep.
		{`document.correspondent == "Acme Corp"`, deletionRequest, unwanted},
		{`a.b.c.d == nil`, deletionRequest, wanted},
		{`document?.owner?.name == "x"`, deletionRequest, unwanted},
		{`document.id.x.y == nil`, scanCompleted, wanted},
		{`(document.storage_path ?? "none") == "none"`, scanCompleted, wanted},
		{`$env["document"].id == 1234`, scanCompleted, wanted},
		{`auto_applied`, deletionRequest, unwanted},
		// No answer.
		{`document.id > 100`, deletionRequest, noAnswer},
		{`document.title`, scanCompleted, noAnswer},
		{`any(document.id, true)`, scanCompleted, noAnswer},
		{`true`, `[1]`, noAnswer},
		{`true`, `{"a":`, noAnswer},
	} {
		t.Run(c.filter, func(t *testing.T) {
			d := New(Options{Store: newModelStore()})
			h := hook("a", answering(delivered))
			h.Filter = newFilter(t, c.filter)
			if err := d.Apply([]Webhook{h}); err != nil {
				t.Fatal(err)
			}
			got := unwanted
			if len(d.Route("scan_completed", []byte(c.body))) == 1 {
				got = wanted
			}
			if n := testutil.ToFloat64(d.metrics.filterErrors.WithLabelValues("a")); n == 1 && got == wanted {
				got = noAnswer
			}
			if got != c.want {
				err := tree.Use([]byte(c.body), func(payload map[string]any) error {
					_, err := h.Filter.match(payload, 0)
					return err
				})
				t.Errorf("%s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func TestFilter_WrongOnesAreRefused(t *testing.T) {
	for _, filter := range []string{
		`document.`, `"text"`, `1 + 2`, `nosuch(document)`, `repeat("x", 1000000) == ""`,
		`document.title matches document.pattern`, `not ("x" matches ("a" + document.title))`,
		`reduce(document.tags, #acc + #acc) == ""`, strings.Repeat("a == 1 || ", 400) + "true",
	} {
		if _, err := NewFilter(filter); err == nil {
			t.Errorf("%.40s is compiled", filter)
		}
	}
}

func TestFilter_IsBoundedOnAnyPayload(t *testing.T) {
	numbers := strings.TrimSuffix(strings.Repeat("1,", 20000), ",")
	body := []byte(`{"a": [` + numbers + `]}`)
	for _, filter := range []string{
		`any(a, any(a, any(a, # == 2)))`,
		`len(map(a, map(a, map(a, #)))) == 1`,
		`any(1..90000, any(1..90000, # == -1))`,
		`any(a, 2 in a)`,
		`len(map(1..1000000000, #)) > 1`,
	} {
		err := tree.Use(body, func(payload map[string]any) error {
			_, err := newFilter(t, filter).match(payload, 0)
			return err
		})
		if err == nil {
			t.Errorf("%s ran to its end", filter)
		}
	}
}

func TestRoute_AnEventOfTooManyPartsIsDelivered(t *testing.T) {
	d := New(Options{Store: newModelStore()})
	h := hook("a", answering(delivered))
	h.Filter = newFilter(t, `document.id == 1`)
	if err := d.Apply([]Webhook{h}); err != nil {
		t.Fatal(err)
	}
	body := `{"document":{"id":2},"event_type":"scan_completed","z":[0` + strings.Repeat(`,{"":0}`, 150_000) + `]}`
	if got := d.Route("scan_completed", []byte(body)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("it goes to %v", got)
	}
	if n := testutil.ToFloat64(d.metrics.filterErrors.WithLabelValues("a")); n != 1 {
		t.Errorf("%v filters without an answer are counted", n)
	}
}

func TestRoute_NamesTheEnabledOnesThatWantIt(t *testing.T) {
	d := New(Options{Store: newModelStore()})
	s := answering(delivered)
	all, scans, several, off, filtered := hook("all", s), hook("scans", s), hook("several", s), hook("off", s), hook("filtered", s)
	scans.Events = []string{"scan_*"}
	several.Events = []string{"deletion_request_created", "suggestion_*"}
	off.Enabled = false
	filtered.Filter = newFilter(t, `document.id == 1`)
	if err := d.Apply([]Webhook{scans, all, off, several, filtered}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ event, body, want string }{
		{"scan_completed", `{}`, "[scans all]"},
		{"scan_completed", `{"document":{"id":1}}`, "[scans all filtered]"},
		{"suggestion_auto_applied", `{}`, "[all several]"},
		{"deletion_request_created", `{}`, "[all several]"},
		{"custom", `{}`, "[all]"},
	} {
		if got := fmt.Sprint(d.Route(c.event, []byte(c.body))); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.event, c.body, got, c.want)
		}
	}
	if err := d.Pause(t.Context(), "all", "work"); err != nil {
		t.Fatal(err)
	}
	if got := d.Route("custom", []byte("{}")); !slices.Equal(got, []string{"all"}) {
		t.Errorf("a paused webhook's events go to %v; they must be kept for it", got)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, filter := range []string{"", `document.correspondent == "Acme Corp" && any(document.tags, # == "tax")`} {
		b.Run(fmt.Sprintf("filter=%v", filter != ""), func(b *testing.B) {
			d := New(Options{Store: newModelStore()})
			h := hook("a", answering(delivered))
			h.Filter = newFilter(b, filter)
			if err := d.Apply([]Webhook{h}); err != nil {
				b.Fatal(err)
			}
			body := []byte(scanCompleted)
			b.ReportAllocs()
			for b.Loop() {
				if len(d.Route("scan_completed", body)) != 1 {
					b.Fatal("not wanted")
				}
			}
		})
	}
}

// The agent's own events go to those that name them, and never to the one they are about.
func TestRouteOwn_OnlyToThoseThatNameThem(t *testing.T) {
	d := New(Options{Store: newModelStore()})
	filter, err := NewFilter(`severity == "warning"`)
	if err != nil {
		t.Fatal(err)
	}
	var webhooks []Webhook
	for name, events := range map[string][]string{
		"all": nil, "any": {"*"}, "own": {"agent.*"}, "some": {"agent.webhook_*", "x"}, "digest": {"agent.digest"}, "filtered": {"agent.*"},
	} {
		h := hook(name, answering(delivered))
		h.Events = events
		if name == "filtered" {
			h.Filter = filter
		}
		webhooks = append(webhooks, h)
	}
	if err := d.Apply(webhooks); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ eventType, about, want string }{
		{"agent.webhook_held", "x", "[own some]"},
		{"agent.webhook_held", "own", "[some]"},
		{"agent.gap", "", "[own]"},
		{"agent.digest", "", "[digest]"},
	} {
		got := d.RouteOwn(c.eventType, []byte(`{"severity":"info"}`), c.about)
		slices.Sort(got)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s about %q goes to %v, want %s", c.eventType, c.about, got, c.want)
		}
	}
	if got := d.RouteOwn("agent.gap", []byte(`{"severity":"warning"}`), ""); len(got) != 2 {
		t.Errorf("a filter does not hold: %v", got)
	}
}
