package admin

import (
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

func webhookIn(name string, state dispatch.Condition, reason string, waiting int64) WebhookStatus {
	return WebhookStatus{Name: name, State: dispatch.State{State: state, Reason: reason}, Counts: map[string]int64{"pending": waiting}}
}

func TestHealth_AnswersWhetherAnythingIsWrong(t *testing.T) {
	ready := []SourceStatus{{Name: "/log", Ready: true}}
	one := []WebhookStatus{webhookIn("a", dispatch.Healthy, "", 0)}
	delivered := map[string]int64{"success": 1}
	for _, c := range []struct {
		name  string
		s     Status
		level Level
		text  string // in the sentence
		first string // name or text of what is worst
	}{
		{"all is well", Status{Enabled: true, Sources: ready, Webhooks: one, Counts: delivered}, LevelGood, "1 webhook, 1 source", ""},
		{"nothing has come yet", Status{Enabled: true, Sources: ready, Webhooks: one}, LevelIdle, "first event", ""},
		{"the log is not there yet", Status{Enabled: true, Sources: []SourceStatus{{Name: "/log", Ready: true, Reason: "waiting for it"}}, Webhooks: one}, LevelIdle, "/log does not exist yet", "/log"},
		{"three of five are down", Status{Enabled: true, Sources: ready, Counts: delivered, Webhooks: []WebhookStatus{
			webhookIn("slow", dispatch.Retrying, "HTTP 500", 1), webhookIn("fine", dispatch.Healthy, "", 0), webhookIn("down", dispatch.Held, "the endpoint is down", 12098),
			webhookIn("gone", dispatch.Paused, "HTTP 410", 3), webhookIn("well", dispatch.Healthy, "", 0),
		}}, LevelBad, "3 webhooks need attention: down, gone, slow.", "down"},
		{"parked deliveries", Status{Enabled: true, Sources: ready, Webhooks: []WebhookStatus{{Name: "old", Removed: true, Counts: map[string]int64{"pending": 2}}}, Counts: delivered}, LevelWarn, "old", "old"},
		{"an old name without deliveries", Status{Enabled: true, Sources: ready, Webhooks: append([]WebhookStatus{{Name: "old", Removed: true}}, one...), Counts: delivered}, LevelGood, "Nothing is wrong", ""},
		{"a log that is a mount", Status{Enabled: true, Sources: []SourceStatus{{Name: "/log", Ready: true, Warning: "it is a mount"}}, Webhooks: one, Counts: delivered}, LevelWarn, "1 source needs attention: /log.", "/log"},
		{"an unreadable log", Status{Enabled: true, Sources: []SourceStatus{{Name: "/log", Reason: "permission denied"}}, Webhooks: one, Counts: delivered}, LevelBad, "1 source needs attention: /log.", "/log"},
		{"a full disk", Status{Enabled: true, Queue: QueueStatus{Full: true, Reason: "the disk is full"}, Sources: ready, Webhooks: one, Counts: delivered}, LevelBad, "the disk is full", "Reading has stopped"},
		{"errors in the file", Status{Enabled: true, Config: ConfigStatus{Error: "line 3"}, Sources: ready, Webhooks: one, Counts: delivered}, LevelWarn, "configuration file has errors", "The configuration"},
		{"an agent is gone", Status{Enabled: true, Agents: []AgentView{{Name: "pod-1", State: AgentGone}}, Sources: ready, Webhooks: one, Counts: delivered}, LevelWarn, "Agent pod-1 is gone", "Agent pod-1"},
		{"an agent was stopped", Status{Enabled: true, Agents: []AgentView{{Name: "pod-1", State: AgentStopped}, {Name: "pod-2", State: AgentAlive}}, Sources: ready, Webhooks: one, Counts: delivered}, LevelGood, "Nothing is wrong", ""},
		{"switched off", Status{Sources: ready, Webhooks: one, Counts: delivered}, LevelWarn, "switched off", "The agent is switched off"},
		{"no webhook", Status{Enabled: true, Sources: ready, Counts: delivered}, LevelWarn, "No webhook is configured", "No webhook"},
	} {
		h := assess(&c.s)
		if h.Attention == nil {
			t.Errorf("%s: a script that reads the list finds null", c.name)
		}
		if h.Level != c.level || !strings.Contains(h.Text, c.text) {
			t.Errorf("%s: %s %q, want %s and %q", c.name, h.Level, h.Text, c.level, c.text)
		}
		switch {
		case c.first == "" && len(h.Attention) > 0:
			t.Errorf("%s: %+v", c.name, h.Attention)
		case c.first != "" && (len(h.Attention) == 0 || h.Attention[0].Name != c.first && !strings.HasPrefix(h.Attention[0].Text, c.first)):
			t.Errorf("%s: worst first: %+v", c.name, h.Attention)
		}
		for _, a := range h.Attention {
			if a.Hint == "" {
				t.Errorf("%s: nothing is said of what to do about %q", c.name, a.Text)
			}
		}
	}
}

func TestSubject(t *testing.T) {
	for body, want := range map[string]string{
		`{"document":{"id":12,"title":"Invoice 7"}}`:             "“Invoice 7” #12",
		`{"document":{"id":"a-1","title":" two\nlines\u0007 "}}`: "“two lines” #a-1",
		`{"document":{"id":12}}`:                                 "#12",
		`{"document":{"title":7,"id":{"x":1}}}`:                  "",
		`{"document":"Invoice"}`:                                 "",
		`{"a":{"document":{"id":1}},"deletion_request":{"documents":[{"id":1,"title":"A"},{}]}}`: "“A” #1 and 1 more",
		`{"deletion_request":{"documents":[]}}`:                                                  "",
		`{"a":"` + strings.Repeat("x", subjectSearch) + `","document":{"id":1}}`:                 "",
		`{"document":{"title":"` + strings.Repeat("ü", 500) + `"}}`:                              "“" + strings.Repeat("ü", subjectRunes) + "…”",
		`[1]`: "", ``: "", `{"document":`: "",
	} {
		if got := subject([]byte(body)); got != want {
			t.Errorf("%.80s: %q, want %q", body, got, want)
		}
	}
}
