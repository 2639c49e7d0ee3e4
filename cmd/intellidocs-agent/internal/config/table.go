package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/nearest"
)

// binder makes a Config of the tables of a file and of the environment, and gathers what is
// wrong with them on the way.
type binder struct {
	*report
	env   environ
	file  string
	dir   string
	where *positions
	files []string // those that were read, and those that are wanted
	// inline are the secrets that stand in the file itself, secretFiles the others' files.
	inline, secretFiles []string
}

// table is a TOML table being read. Every method takes a key off it, so that what is
// left in the end is unknown.
type table struct {
	b      *binder
	path   string // webhook.0
	name   string // webhook "slack-ai"
	m      map[string]any
	known  []string
	schema *tableSchema
}

func (t *table) problem(key, format string, args ...any) Problem {
	path, name := key, key
	if t.path != "" {
		path, name = t.path+"."+key, t.name+"."+key
	}
	suffix := t.b.where.written(path)
	path, name = path+suffix, name+suffix
	return Problem{File: t.b.file, Line: t.b.where.line(path), Key: name, Text: fmt.Sprintf(format, args...)}
}

func (t *table) errorf(key, format string, args ...any) {
	t.b.errors = append(t.b.errors, t.problem(key, format, args...))
}

func (t *table) warnf(key, format string, args ...any) {
	t.b.warnings = append(t.b.warnings, t.problem(key, format, args...))
}

func (t *table) take(key string) (any, bool) {
	t.known = append(t.known, key)
	v, ok := t.m[key]
	delete(t.m, key)
	return v, ok
}

// rejectUnknown reports the keys that nobody took.
func (t *table) rejectUnknown() {
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if near := nearest.Word(key, t.known); near != "" {
			t.errorf(key, "there is no such key; did you mean %q?", near)
		} else {
			slices.Sort(t.known)
			t.errorf(key, "there is no such key; there are %s", strings.Join(slices.Compact(t.known), ", "))
		}
	}
}

// sub is a table within, empty where it is missing.
func (t *table) sub(key string) *table {
	s := &table{b: t.b, path: key, name: "[" + key + "]", m: map[string]any{}}
	if t.path != "" {
		s.path, s.name = t.path+"."+key, t.name+"."+key
	}
	s.schema = t.schema.declare(key, node{Type: "object", Others: false})
	v, ok := t.take(key)
	if m, isTable := v.(map[string]any); isTable {
		s.m = m
	} else if ok {
		t.errorf(key, "it must be a table, not %s", kindOf(v))
	}
	return s
}

// list is an array of tables.
func (t *table) list(key string) []*table {
	if item := t.schema.declareList(key); item != nil {
		return []*table{{b: t.b, path: item.path, name: item.path, m: map[string]any{}, schema: item}}
	}
	v, ok := t.take(key)
	if !ok {
		return nil
	}
	var items []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		items = v
	case []any:
		for _, item := range v {
			m, isTable := item.(map[string]any)
			if !isTable {
				t.errorf(key, "it must be a list of tables, not of %s", kindOf(item))
				return nil
			}
			items = append(items, m)
		}
	case map[string]any:
		t.errorf(key, "write [[%s]] with two brackets: there can be several", key)
		return nil
	default:
		t.errorf(key, "it must be a list of tables, not %s", kindOf(v))
		return nil
	}
	var out []*table
	for i, m := range items {
		s := &table{b: t.b, path: fmt.Sprintf("%s.%d", key, i), name: fmt.Sprintf("%s[%d]", key, i), m: m}
		if t.path != "" {
			s.path, s.name = t.path+"."+s.path, t.name+"."+s.name
		}
		out = append(out, s)
	}
	return out
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %g", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%T", v)
}

func (t *table) text(key, def string) string {
	t.schema.declare(key, node{Type: "string", Default: def})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	s, isString := v.(string)
	if !isString {
		kind := kindOf(v)
		switch v.(type) {
		case int64, float64:
			kind = "a number" // which may be a secret that lacks its quotes
		}
		t.errorf(key, "it must be a string in quotes, not %s", kind)
		return def
	}
	return s
}

func (t *table) oneOf(key, def string, allowed ...string) string {
	s := t.text(key, def)
	t.schema.declare(key, node{Enum: allowed, Default: def})
	if !slices.Contains(allowed, s) {
		hint := ""
		if near := nearest.Word(s, allowed); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		t.errorf(key, "%q is not possible; use one of %s%s", s, strings.Join(allowed, ", "), hint)
		return def
	}
	return s
}

func (t *table) flag(key string, def bool) bool {
	t.schema.declare(key, node{Type: "boolean", Default: def})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	b, isBool := v.(bool)
	if !isBool {
		t.errorf(key, "it must be true or false, not %s", kindOf(v))
		return def
	}
	return b
}

func (t *table) integer(key string, def, least, most int) int {
	t.schema.declare(key, node{Type: "integer", Default: def, Minimum: least, Maximum: most})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	n, isInt := v.(int64)
	if !isInt || n < int64(least) || n > int64(most) {
		t.errorf(key, "it must be a whole number from %d to %d, not %s", least, most, kindOf(v))
		return def
	}
	return int(n)
}

func (t *table) float(key string, def, least, most float64) float64 {
	t.schema.declare(key, node{Type: "number", Default: def, Minimum: least, Maximum: most})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	f, isFloat := v.(float64)
	if n, isInt := v.(int64); isInt {
		f, isFloat = float64(n), true
	}
	if !isFloat || !(f >= least && f <= most) {
		t.errorf(key, "it must be a number from %g to %g, not %s", least, most, kindOf(v))
		return def
	}
	return f
}

const longest = 10 * 365 * 24 * time.Hour

func (t *table) duration(key string, def, least time.Duration) time.Duration {
	t.schema.declare(key, node{Type: []string{"string", "number"}, Pattern: durationRE, Default: spanOf(def)})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	d, err := toDuration(v)
	switch {
	case err != nil:
		t.errorf(key, `it must be a length of time such as "90s", "24h", "30d" or a number of seconds, not %s`, describe(v))
	case d < least || d > longest:
		t.errorf(key, "it must be from %s to ten years, not %s", least, describe(v))
	default:
		return d
	}
	return def
}

func describe(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return kindOf(v)
}

func toDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case int64:
		if v > int64(longest/time.Second) || v < 0 {
			return longest + 1, nil
		}
		return time.Duration(v) * time.Second, nil
	case float64:
		if math.IsNaN(v) || v < 0 || v > longest.Seconds() {
			return longest + 1, nil
		}
		return time.Duration(v * float64(time.Second)), nil
	case string:
		var days time.Duration
		rest := strings.TrimSpace(v)
		if n, after, ok := strings.Cut(rest, "d"); ok {
			count, err := strconv.ParseFloat(n, 64)
			if err != nil || !(count >= 0 && count < 36500) {
				return 0, fmt.Errorf("%q", v)
			}
			if days, rest = time.Duration(count*24*float64(time.Hour)), after; rest == "" {
				return days, nil
			}
		}
		if n, err := strconv.ParseFloat(rest, 64); err == nil && days == 0 {
			return toDuration(n)
		}
		d, err := time.ParseDuration(rest)
		return days + d, err
	}
	return 0, fmt.Errorf("%T", v)
}

var units = map[string]int64{
	"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1000, "m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9, "t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

func (t *table) size(key string, def, least, most int64) int64 {
	t.schema.declare(key, node{Type: []string{"string", "integer"}, Pattern: sizeRE, Default: def, Minimum: least, Maximum: most})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	n, good := v.(int64)
	if s, isString := v.(string); isString {
		s = strings.ToLower(strings.TrimSpace(s))
		digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
		unit, known := units[strings.TrimSpace(s[len(digits):])]
		f, err := strconv.ParseFloat(digits, 64)
		if good = err == nil && known && f >= 0 && f*float64(unit) < 1<<62; good {
			n = int64(f * float64(unit))
		}
	}
	switch {
	case !good:
		t.errorf(key, `it must be a size such as "64MiB" or a number of bytes, not %s`, describe(v))
	case n < least || n > most:
		t.errorf(key, "it must be from %d to %d bytes, not %s", least, most, describe(v))
	default:
		return n
	}
	return def
}

func (t *table) texts(key string, def []string) []string {
	t.schema.declare(key, node{Type: "array", Items: &node{Type: "string"}, Default: def})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	items, isList := v.([]any)
	kind := kindOf(v)
	out := []string{}
	for _, item := range items {
		s, isString := item.(string)
		if !isString {
			isList, kind = false, "a list with "+kindOf(item)
			break
		}
		out = append(out, s)
	}
	if !isList {
		t.errorf(key, `it must be a list of strings such as ["a", "b"], not %s`, kind)
		return def
	}
	return out
}

func (t *table) integers(key string, def []int, least, most int) []int {
	t.schema.declare(key, node{Type: "array", Items: &node{Type: "integer", Minimum: least, Maximum: most}, Default: def})
	v, ok := t.take(key)
	if !ok {
		return def
	}
	items, isList := v.([]any)
	out := []int{}
	for _, item := range items {
		n, isInt := item.(int64)
		if !isInt || n < int64(least) || n > int64(most) {
			isList = false
			break
		}
		out = append(out, int(n))
	}
	if !isList {
		t.errorf(key, "it must be a list of whole numbers from %d to %d, such as [80, 443]", least, most)
		return def
	}
	return out
}
