package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// Source is a [[source]].
type Source struct {
	Type         string // log or spool
	Path         string // absolute
	Name         string // what the queue knows it by: the path, and whose, where several agents share the queue
	Shared       bool   // several agents see this very file; one of them reads it
	Start        string // beginning or end
	Poll         bool
	MaxLineBytes int64
	After        string // delete or archive
	Key          Secret // events must carry its MAC, where there is one
}

// Same reports whether two are configured alike.
func (s Source) Same(o Source) bool {
	alike := s.Key.Reveal() == o.Key.Reveal()
	s.Key, o.Key = Secret{}, Secret{}
	return alike && s == o
}

// Reads reports whether the source of a name, this agent's or another's, is this one or one like it.
func (s *Source) Reads(name string) bool { return s.Path == pathOf(name) }

// Elsewhere reports whether another agent reads the source, where this one holds those.
func (s *Source) Elsewhere(held map[string]bool) bool {
	return s.Shared && s.Name != s.Path && !held[s.Name]
}

// IngestSource is the source that "ingest FILE" reads as.
const IngestSource = "ingest"

// KeyFor returns the key whose MAC an event from a file must carry: the key of the source that
// reads it, or, for an old log that is ingested by hand, of the source whose log's name it begins with.
func (c *Config) KeyFor(source, path string) []byte {
	for _, s := range c.Sources {
		old := source == IngestSource && strings.HasPrefix(filepath.Base(path), filepath.Base(s.Path))
		if s.Key.Set() && (s.Reads(source) || old) {
			return []byte(s.Key.Reveal())
		}
	}
	return nil
}

// sharedLog is where IntelliDocs' loggers write to together.
const sharedLog = "paperless.log"

func (b *binder) source(t *table, c *Config) {
	s := Source{Type: t.oneOf("type", "log", "log", "spool"), Path: t.text("path", "")}
	if s.Path == "" {
		t.missing("path", "it must name the file or the directory to read")
	}
	b.slips(t, "path", s.Path)
	s.Path = filepath.Clean(b.abs(s.Path))
	if s.Shared = t.flag("shared", false); s.Shared && !c.Queue.Shared() {
		t.warnf("shared", needsPostgresMessage+" in [queue]")
	}
	s.Poll = t.flag("poll", false)
	s.MaxLineBytes = t.size("max_line_bytes", 1<<20, 1<<10, 64<<20)
	if _, given := t.m["after"]; given && s.Type != "spool" {
		t.warnf("after", "it is only for type = \"spool\" only")
	}
	if _, given := t.m["start"]; given && s.Type == "spool" {
		t.warnf("start", "it is only for type = \"log\" only")
	}
	s.Start = t.oneOf("start", "beginning", "beginning", "end")
	s.After = t.oneOf("after", "delete", "delete", "archive")
	if key, given := t.secret("key", Clean); given {
		s.Key = key
		strength(t, "key", key)
	}
	if s.Type == "log" && filepath.Base(s.Path) == sharedLog && !s.Key.Set() {
		t.warnf("path", "all of IntelliDocs writes to %s, including titles and mail subjects, so others can write lines into it that look like events: have IntelliDocs write its events to ai_webhooks.log (PAPERLESS_AI_EVENTS_TO=file), or give both sides a key_file", sharedLog)
	}
	if slices.ContainsFunc(c.Sources, func(o Source) bool { return o.Path == s.Path }) {
		t.errorf("path", "there is already a source %s", s.Path)
	}
	t.rejectUnknown()
	c.Sources = append(c.Sources, s)
}
