package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// Level is how bad something is, for a person who asks whether anything is wrong.
type Level string

// From nothing wrong to somebody must act.
const (
	LevelGood Level = "good"
	LevelIdle Level = "idle" // nothing is wrong, and nothing has happened yet
	LevelWarn Level = "warn" // it may recover by itself, or waits for a decision
	LevelBad  Level = "bad"  // nothing is delivered or read here until it is fixed
)

// Health answers "is anything wrong?" in one sentence, with everything that needs attention
// behind it, worst first.
type Health struct {
	Level     Level       `json:"level"`
	Text      string      `json:"text"`
	Attention []Attention `json:"attention"`
}

// Attention is one thing that somebody should look at.
type Attention struct {
	Level Level  `json:"level"`
	Kind  string `json:"kind"` // agent, config, queue, source or webhook
	Name  string `json:"name"` // of the source or webhook
	Text  string `json:"text"` // what is wrong
	Hint  string `json:"hint"` // what to do about it
}

// assess is the only place that decides what needs attention: the dashboard's first line,
// the browser tab's title and the terminal's live view all show its result.
func assess(s *Status) Health {
	h := Health{Attention: []Attention{}}
	if !s.Enabled {
		h.add(LevelWarn, "agent", "", "The agent is switched off: nothing is read or sent.", "Remove enabled = false from agent.toml.")
	}
	if s.Config.Error != "" {
		h.add(LevelWarn, "config", "", "The configuration file has errors; the last good one stays in force.", s.Config.Error)
	}
	switch {
	case s.Queue.Away != "":
		h.add(LevelBad, "queue", "", "The queue's database cannot be reached: "+s.Queue.Away+".", "Nothing is lost: reading and sending wait, and continue by themselves once it answers.")
	case s.Queue.Full && s.Queue.Engine != "":
		h.add(LevelBad, "queue", "", "Reading has stopped: "+s.Queue.Reason+".", "Reading resumes by itself once that is no longer so.")
	case s.Queue.Full:
		h.add(LevelBad, "queue", "", "Reading has stopped: "+s.Queue.Reason+".", "Make room on the disk or raise [state] max_size; reading resumes by itself.")
	}
	for i := range s.Agents {
		if m := &s.Agents[i]; m.State == AgentGone {
			h.add(LevelWarn, "agent", "", "Agent "+m.Name+" is gone: its last sign of life came at "+m.Seen.Format("2006-01-02 15:04:05")+" UTC. Others serve its webhooks; nobody reads its own sources.",
				"Start it again, or forget it: intellidocs-agent agents forget "+m.Name)
		}
	}
	if s.Enabled && len(s.Sources) == 0 {
		h.add(LevelWarn, "agent", "", "No source is configured, so no event can arrive.", "Add a [[source]] to agent.toml; the agent reads the file when it changes.")
	}
	if s.Enabled && len(s.Webhooks) == 0 {
		h.add(LevelWarn, "agent", "", "No webhook is configured, so no event is sent anywhere.", "Add a [[webhook]] to agent.toml; the agent reads the file when it changes.")
	}
	for i := range s.Sources {
		switch src := &s.Sources[i]; {
		case !src.Ready:
			h.add(LevelBad, "source", src.Name, "cannot be read: "+src.Reason, "Reading starts by itself once this is fixed.")
		case src.Reason != "": // it does not exist yet, which is fine until somebody wonders
			h.add(LevelIdle, "source", src.Name, "is not there yet: "+strings.ReplaceAll(src.Reason, src.Name, "it"),
				"IntelliDocs writes it with its first AI event. If that never comes, check the path, and that IntelliDocs runs with PAPERLESS_AI_WEBHOOKS_ENABLED=true.")
		}
		if src := &s.Sources[i]; src.Warning != "" {
			h.add(LevelWarn, "source", src.Name, "is read, but "+src.Warning, "Mount the directory, and start the agent again.")
		}
		if src := &s.Sources[i]; src.Remaining > 0 {
			h.add(LevelWarn, "source", src.Name, "has "+term.Count(src.Remaining, "file that stays", "files that stay")+" in it: "+src.RemainingWhy,
				"Move finished files there, named *.json, *.ndjson or *.jsonl, and let the agent's user read and remove them.")
		}
	}
	for i := range s.Webhooks {
		h.webhook(&s.Webhooks[i])
	}
	h.conclude(s)
	return h
}

func (h *Health) add(level Level, kind, name, text, hint string) {
	h.Attention = append(h.Attention, Attention{Level: level, Kind: kind, Name: name, Text: text, Hint: hint})
}

func (h *Health) webhook(w *WebhookStatus) {
	waiting := w.Counts.Waiting()
	switch {
	case w.Removed:
		if waiting > 0 {
			h.add(LevelWarn, "webhook", w.Name, "is not in the configuration, and "+term.Count(int(waiting), "delivery waits", "deliveries wait")+" for it",
				"Add it to agent.toml again, or move or discard its deliveries.")
		}
	case w.State.State == dispatch.Paused:
		h.add(LevelBad, "webhook", w.Name, "is paused: "+w.Reason, "Resume it when its receiver is ready"+waitNote(waiting))
	case w.State.State == dispatch.Held:
		h.add(LevelBad, "webhook", w.Name, "is held: "+w.Reason+lastError(w), "It is probed"+probed(w.NextProbe)+" and recovers by itself once its receiver answers"+waitNote(waiting))
	case w.State.State == dispatch.Retrying:
		h.add(LevelWarn, "webhook", w.Name, "is failing: "+w.Reason, retried(waiting))
	}
}

// probed says when a webhook is probed, unless that is over when somebody reads it.
func probed(at time.Time) string {
	if time.Until(at) < time.Minute {
		return ""
	}
	return " at " + at.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

func retried(waiting int64) string {
	if waiting == 0 {
		return "Nothing waits to be retried; replay what was given up once its receiver works."
	}
	return "It is retried by itself" + waitNote(waiting)
}

func lastError(w *WebhookStatus) string {
	if w.LastError == "" || strings.Contains(w.Reason, w.LastError) {
		return ""
	}
	return " (" + w.LastError + ")"
}

func waitNote(waiting int64) string {
	if waiting == 0 {
		return "."
	}
	return "; " + term.Count(int(waiting), "delivery waits", "deliveries wait") + "."
}

// conclude orders what was found, worst first, and puts it into a sentence.
func (h *Health) conclude(s *Status) {
	worst := map[Level][]Attention{}
	for _, a := range h.Attention {
		worst[a.Level] = append(worst[a.Level], a)
	}
	h.Attention = append([]Attention{}, slices.Concat(worst[LevelBad], worst[LevelWarn], worst[LevelIdle])...) // [] and not null
	bad := slices.Concat(worst[LevelBad], worst[LevelWarn])
	switch {
	case len(bad) > 0:
		h.Level, h.Text = bad[0].Level, sentence(bad)
	case len(h.Attention) > 0:
		h.Level, h.Text = LevelIdle, "Nothing is wrong, and "+h.Attention[0].Name+" does not exist yet."
	case s.Counts["success"]+s.Counts["failed"]+s.Counts.Waiting() == 0:
		h.Level, h.Text = LevelIdle, "Nothing is wrong. No delivery yet: waiting for IntelliDocs' first event."
	default:
		h.Level, h.Text = LevelGood, "Nothing is wrong: "+term.Count(len(s.Webhooks), "webhook", "webhooks")+", "+term.Count(len(s.Sources), "source", "sources")+"."
	}
}

// sentence names what needs attention, kind by kind, with no more than three names each.
func sentence(all []Attention) string {
	var parts []string
	for _, k := range []struct{ kind, one, many string }{{"queue", "", ""}, {"agent", "", ""}, {"config", "", ""}, {"webhook", "webhook needs attention", "webhooks need attention"}, {"source", "source needs attention", "sources need attention"}} {
		var names []string
		for _, a := range all {
			switch {
			case a.Kind != k.kind:
			case a.Name == "":
				parts = append(parts, a.Text)
			default:
				names = append(names, a.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		text := term.Count(len(names), k.one, k.many) + ": " + strings.Join(names[:min(3, len(names))], ", ")
		if len(names) > 3 {
			text += fmt.Sprintf(" and %d more", len(names)-3)
		}
		parts = append(parts, text+".")
	}
	return strings.Join(parts, " ")
}
