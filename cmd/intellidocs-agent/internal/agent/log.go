package agent

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// newLogger logs to w as people read it, or as JSON; nil: nowhere.
func newLogger(w io.Writer, format string, lv *slog.LevelVar) *slog.Logger {
	if w == nil {
		return discard()
	}
	clean := clipped // the text handler quotes what would drive a terminal
	if format == "json" {
		clean = func(s string) string { return term.Escaped(clipped(s)) }
	}
	o := &slog.HandlerOptions{Level: lv, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindDuration: // JSON has it as nanoseconds, which nobody could tell
			return slog.String(a.Key, a.Value.Duration().String())
		case slog.KindString:
			return slog.String(a.Key, clean(a.Value.String()))
		case slog.KindAny:
			switch v := a.Value.Any().(type) {
			case error:
				return slog.String(a.Key, clean(v.Error()))
			case fmt.Stringer:
				return slog.String(a.Key, clean(v.String()))
			case []string:
				out := make([]string, len(v))
				for i := range v {
					out[i] = clean(v[i])
				}
				return slog.Any(a.Key, out)
			}
		}
		return a
	}}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// longestValue is how much of a value is logged. An event's type may be as long as its line,
// and would be repeated with every attempt for every webhook.
const longestValue = 8 << 10

func clipped(s string) string {
	if len(s) <= longestValue {
		return s
	}
	return strings.ToValidUTF8(s[:longestValue], "") + "…"
}

func levelOf(name string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo // the configuration's check lets no other name through
	}
	return l
}

// discard is the logger of what is done for a command, whose output is its own.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
