package template

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// textFuncs are what templates use beside and instead of text/template's own. None fails on a
// value of another type than it would like, and what they work on comes last, so that they
// can be used in a pipeline: {{ .document.title | truncate 40 | upper }}. What they read and make
// is counted; see work.
func (r *run) textFuncs() texttemplate.FuncMap {
	text := r.text
	return texttemplate.FuncMap{
		"json":       r.json,
		"jsonString": func(v any) literal { return literal(r.made(jsonString(text(v)))) },
		"js":         func(v any) literal { return literal(r.made(jsonString(text(v)))) },
		"html":       func(v any) string { return r.made(html.EscapeString(text(v))) },
		"xml": func(v any) (string, error) {
			var b strings.Builder
			err := xml.EscapeText(&b, []byte(text(v)))
			return r.made(b.String()), err
		},
		"urlquery": func(v any) string { return r.made(url.QueryEscape(text(v))) },

		"get":      func(path string, v any) any { return walk(v, strings.Split(path, ".")...) },
		"default":  func(def, v any) any { return r.either(v, def) },
		"index":    r.index,
		"len":      r.length,
		"join":     r.join,
		"truncate": func(n int, v any) string { return plain.Clip(text(v), max(n, 1)) },
		"oneline":  func(v any) string { return plain.OneLine(text(v)) },
		"upper":    func(v any) string { return strings.ToUpper(text(v)) },
		"lower":    func(v any) string { return strings.ToLower(text(v)) },
		"trim":     func(v any) string { return strings.TrimSpace(text(v)) },
		"words":    func(v any) string { return plain.Words(text(v)) },
		"replace":  r.replace,
		"date":     r.date,

		"printf": func(format string, v ...any) (formatted, error) {
			r.spendOn(v)
			return bounded(fmt.Sprintf(format, v...))
		},
		"print":   func(v ...any) (formatted, error) { r.spendOn(v); return bounded(fmt.Sprint(v...)) },
		"println": func(v ...any) (formatted, error) { r.spendOn(v); return bounded(fmt.Sprintln(v...)) },

		"eq": func(a any, bs ...any) bool {
			return slices.ContainsFunc(bs, func(b any) bool { c, ok := r.compare(a, b); return ok && c == 0 })
		},
		"ne": func(a, b any) bool { c, ok := r.compare(a, b); return !ok || c != 0 },
		"lt": func(a, b any) bool { c, ok := r.compare(a, b); return ok && c < 0 },
		"le": func(a, b any) bool { c, ok := r.compare(a, b); return ok && c <= 0 },
		"gt": func(a, b any) bool { c, ok := r.compare(a, b); return ok && c > 0 },
		"ge": func(a, b any) bool { c, ok := r.compare(a, b); return ok && c >= 0 },
	}
}

// spend takes note of bytes that are read or made. What is too much ends the template: its engine makes an
// error of a panic in a function.
func (r *run) spend(n int) {
	if r.work += n; r.work > max(maxWork, 4*r.size) {
		panic(errWork)
	}
}

// made takes note of a text that was made.
func (r *run) made(s string) string {
	r.spend(len(s))
	return s
}

// text is any value as text, taken note of. One that is larger than any in an event comes of functions that each
// make more of it.
func (r *run) text(v any) string {
	s := r.made(text(v))
	r.fits(len(s))
	return s
}

// spendOn takes note of what print and its kin are about to put together.
func (r *run) spendOn(values []any) {
	total := 0
	for _, v := range values {
		if textual(v) {
			total += len(text(v))
		}
	}
	r.spend(total)
	r.fits(total)
}

// fits ends the template where a text would be too long.
func (r *run) fits(length int) {
	if length > max(maxText, r.size) {
		panic(errText)
	}
}

func (r *run) json(v any) (literal, error) {
	b, err := plain.JSON(v)
	r.spend(len(b))
	return literal(b), err
}

// text is any value as text: nothing for nil, JSON for lists and objects.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case literal:
		return string(v)
	case formatted:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	}
	if b, err := plain.JSON(v); err == nil {
		return string(b)
	}
	return fmt.Sprint(v)
}

// join puts a list's elements together, by what to call them.
func (r *run) join(sep string, v any) string {
	names := r.names(v)
	total := len(sep) * len(names)
	for _, name := range names {
		total += len(name)
	}
	r.spend(total)
	r.fits(total)
	return strings.Join(names, sep)
}

// names are a list's elements by what to call them.
func (r *run) names(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		if o, ok := item.(map[string]any); ok {
			item = r.either(o["name"], r.either(o["title"], r.either(o["username"], o["id"])))
		}
		if s := r.text(item); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r *run) either(v, def any) any {
	if v == nil || v == "" || isContainer(v) && r.length(v) == 0 {
		return def
	}
	return v
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func (r *run) length(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	}
	return utf8.RuneCountInString(r.text(v))
}

func (r *run) index(v any, keys ...any) any {
	for _, key := range keys {
		switch in := v.(type) {
		case map[string]any:
			v = in[r.text(key)]
		case []any:
			i, ok := key.(int)
			if v = nil; ok && i >= 0 && i < len(in) {
				v = in[i]
			}
		default:
			return nil
		}
	}
	return v
}

func (r *run) replace(old, by string, v any) (string, error) {
	s := r.text(v)
	if old == "" {
		return s, nil
	}
	if len(s)+strings.Count(s, old)*len(by) > maxRender {
		return "", errTooLong
	}
	return strings.ReplaceAll(s, old, by), nil
}

// date writes a moment in Go's layout, in UTC; what is no moment stays as it is.
func (r *run) date(layout string, v any) string {
	t := plain.Time(plain.OneLine(r.text(v)))
	if seconds, ok := v.(int); ok {
		t = time.Unix(int64(seconds), 0).UTC()
	}
	if t.IsZero() {
		return r.text(v)
	}
	return t.Format(layout)
}

func bounded(s string) (formatted, error) {
	if len(s) > maxRender {
		return "", errTooLong
	}
	return formatted(s), nil
}

// compare orders numbers, and texts; a text that is a number is one beside a number. What
// cannot be compared is not ok, and no error: payloads may be odd.
func (r *run) compare(a, b any) (int, bool) {
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		if !ok || x != y {
			return 1, ok
		}
		return 0, true
	}
	x, xIs := float(a)
	y, yIs := float(b)
	xText, yText := textual(a), textual(b)
	switch {
	case a == nil && b == nil:
		return 0, true
	case xText && yText:
		return cmp.Compare(r.text(a), r.text(b)), true
	case xIs && yIs:
		return cmp.Compare(x, y), true
	}
	return 0, false
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string, formatted, literal:
		f, err := strconv.ParseFloat(text(v), 64)
		return f, err == nil && !math.IsNaN(f)
	}
	return 0, false
}

func textual(v any) bool {
	switch v.(type) {
	case string, formatted, literal:
		return true
	}
	return false
}
