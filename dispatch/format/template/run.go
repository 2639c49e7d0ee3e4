package template

import (
	"bytes"
	"encoding/json"
	"maps"
	texttemplate "text/template"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// run is one execution of a template: what it has written, and how much it has done.
type run struct {
	medium       medium
	size         int // of the event
	out          output
	loops, calls int
	work         int // bytes that functions have read and made
	marks        []mark
}

// mark remembers which line of the template wrote from a place in the output on.
type mark struct{ at, line int }

// Functions that guard puts into templates, by names that people do not use.
const (
	fnEmit  = "_emit"
	fnRange = "_range"
	fnLoop  = "_loop"
	fnCall  = "_call"
	fnGet   = "_get"
)

func (r *run) funcs() texttemplate.FuncMap {
	funcs := r.textFuncs()
	maps.Copy(funcs, texttemplate.FuncMap{
		fnEmit:  r.emit,
		fnRange: ranged,
		fnLoop:  func() (string, error) { return "", counted(&r.loops, maxLoops, errLoops) },
		fnCall:  func() (string, error) { return "", counted(&r.calls, maxCalls, errCalls) },
		fnGet:   walk,
	})
	return funcs
}

func counted(n *int, most int, tooMany error) error {
	if *n++; *n > most {
		return tooMany
	}
	return nil
}

// literal is text that is JSON already.
type literal string

// formatted is what printf and its kin made: JSON where it happens to be.
type formatted string

// emit writes what an action prints. In JSON it depends on the place, as html/template does
// it for HTML: within a string the value's text, escaped, and elsewhere a JSON value. So a
// document's title cannot add a member to the message.
func (r *run) emit(line int, v any) (string, error) {
	if n := len(r.marks); n == 0 || r.marks[n-1].line != line {
		r.marks = append(r.marks, mark{r.out.Len(), line})
	}
	if r.medium != jsonMedium {
		return r.text(v), nil
	}
	if l, ok := v.(literal); ok {
		return string(l), nil
	}
	if r.out.inString {
		return r.made(jsonString(r.text(v))), nil
	}
	if f, ok := v.(formatted); ok {
		if json.Valid([]byte(f)) {
			return string(f), nil
		}
		v = string(f)
	}
	l, err := r.json(v)
	return string(l), err
}

// lineAt is the template's line that wrote the output at a place, or the nearest before
// it that held an action.
func (r *run) lineAt(at int) int {
	line := 1
	for _, m := range r.marks {
		if m.at > at {
			break
		}
		line = m.line
	}
	return line
}

// ranged is what a range goes over: nothing where the payload has no list or object there.
func ranged(v any) any {
	switch v.(type) {
	case []any, map[string]any, int:
		return v
	}
	return nil
}

// walk follows keys into nested objects; what is missing on the way is nil.
func walk(v any, keys ...string) any {
	for _, key := range keys {
		o, _ := v.(map[string]any)
		v = o[key]
	}
	return v
}

// output is a buffer that refuses to grow without end, which also ends the template, and
// that knows whether what it holds ends within a JSON string.
type output struct {
	bytes.Buffer
	inString, escaped bool
}

func (o *output) Write(p []byte) (int, error) {
	if o.Len()+len(p) > maxRender {
		return 0, errTooLong
	}
	for _, c := range p {
		switch {
		case !o.inString:
			o.inString = c == '"'
		case o.escaped:
			o.escaped = false
		case c == '\\':
			o.escaped = true
		case c == '"':
			o.inString = false
		}
	}
	return o.Buffer.Write(p)
}

// jsonString is s as it stands within a JSON string's quotes.
func jsonString(s string) string {
	b, err := plain.JSON(s)
	if err != nil { // a string always encodes
		return ""
	}
	return string(b[1 : len(b)-1])
}
