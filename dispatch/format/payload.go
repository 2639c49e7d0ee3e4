package format

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"
)

// value is a piece of the payload as it was written, decoded only as far as somebody asks:
// an event may have a megabyte of what no card shows. It is never trusted to be of the
// type that IntelliDocs would send; what it is not is empty.
type value []byte

// maxString bounds a string on its way into a card, in bytes.
const maxString = 8 << 10

// object is a JSON object's members.
type object map[string]json.RawMessage

func decode(body []byte) (object, error) {
	var o object
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("the event cannot be rendered: %w", err)
	}
	return o, nil
}

func (o object) get(key string) value { return value(o[key]) }

// keys are the members' names in order.
func (o object) keys() []string { return slices.Sorted(maps.Keys(o)) }

func (v value) kind() byte {
	if v = bytes.TrimLeft(v, " \t\r\n"); len(v) == 0 {
		return 0
	}
	return v[0]
}

func (v value) asObject() object {
	var o object
	if v.kind() != '{' || json.Unmarshal(v, &o) != nil {
		return nil
	}
	return o
}

// items are an array's first elements, and how many it has.
func (v value) items(most int) (items []value, total int) {
	if v.kind() != '[' {
		return nil, 0
	}
	d := json.NewDecoder(bytes.NewReader(v))
	if _, err := d.Token(); err != nil {
		return nil, 0
	}
	for ; d.More(); total++ {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return items, total
		}
		if len(items) < most {
			items = append(items, value(item))
		}
	}
	return items, total
}

// text is a simple value as text on one line, "" for what is none.
func (v value) text() string { return plain.OneLine(v.paragraphs()) }

// paragraphs is text with its line breaks.
func (v value) paragraphs() string {
	switch kind := v.kind(); {
	case kind == '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		if len(s) > maxString {
			s = strings.ToValidUTF8(s[:maxString], "")
		}
		return s
	case kind == 't':
		return "yes"
	case kind == 'f':
		return "no"
	case kind == '-', kind >= '0' && kind <= '9':
		return string(bytes.TrimSpace(v[:min(len(v), maxString)]))
	}
	return ""
}

// name is what to call a thing: a simple value itself, an object by its name, an array by
// those of its elements.
func (v value) name() string {
	switch v.kind() {
	case '{':
		o := v.asObject()
		return cmp.Or(o.get("name").text(), o.get("title").text(), o.get("username").text(), o.get("value").text(), hash(o.get("id")))
	case '[':
		const most = 20
		items, total := v.items(most)
		var names []string
		for _, item := range items {
			if item.kind() == '[' { // of what nests, only so much is a name
				continue
			}
			if n := item.name(); n != "" {
				names = append(names, n)
			}
		}
		if total > most {
			names = append(names, fmt.Sprintf("and %d more", total-most))
		}
		return strings.Join(names, ", ")
	}
	return v.text()
}

// count is a number of things, also where it was sent as a string or as 3.0.
func (v value) count() (int, bool) {
	const most = 1e12
	f, err := strconv.ParseFloat(strings.TrimSpace(v.text()), 64)
	if err != nil || f < 0 || f > most || f != float64(int64(f)) {
		return 0, false
	}
	return int(f), true
}

// yes reports whether a flag is set, in whichever way it is written; a list or an object is
// a yes unless it is empty.
func (v value) yes() bool {
	switch v.kind() {
	case '[':
		_, total := v.items(0)
		return total > 0
	case '{':
		return len(v.asObject()) > 0
	}
	switch v.text() {
	case "", "no", "0", "false", "False":
		return false
	}
	return true
}

// time is the moment a text tells, zero where it tells none. One without a zone is UTC,
// as Django without zones writes it.
func (v value) time() time.Time {
	return plain.Time(v.text())
}

// date is a moment's day, or the text where it is no moment.
func (v value) date() string {
	if t := v.time(); !t.IsZero() {
		return t.Format(time.DateOnly)
	}
	return v.text()
}

func hash(v value) string {
	if id := v.text(); id != "" {
		return "#" + plain.Clip(id, 40)
	}
	return ""
}
