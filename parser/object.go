package parser

import (
	"bytes"
	"slices"
	"sort"
)

// object is a JSON object in its canonical form, or as far as it could be read.
type object struct {
	text    []byte
	members []member
	// flaw is what would not be JSON in text; nil where all of it is.
	flaw error
}

// readObject reads the object whose '{' is at in[at] and says where it ends. With an
// error, the object has the members before it.
func readObject(in []byte, at int) (obj object, end int, err error) {
	return newDecoder(in, at).objectAt(at)
}

// objectAt is readObject with what the decoder has of memory; an object it gave before is
// good no longer.
func (d *decoder) objectAt(at int) (obj object, end int, err error) {
	d.pos, d.depth, d.flaw, d.garbled, d.replaced = at, 0, nil, nil, false
	d.out, d.stack = d.out[:0], d.stack[:0]
	if err = d.value(); err == nil {
		obj.flaw = d.verdict()
	}
	obj.text, obj.members = d.out, d.stack
	return obj, d.pos, err
}

// get gives the canonical text of a member's value: nil where there is no such member,
// empty where its value could not be read. Members may be unsorted after an error.
func (o *object) get(key string) []byte {
	for i := len(o.members) - 1; i >= 0; i-- {
		if m := &o.members[i]; string(m.key) == key {
			if m.end == 0 {
				return []byte{}
			}
			return o.text[m.val:m.end]
		}
	}
	return nil
}

func (o *object) has(key string) bool { return o.get(key) != nil }

// str gives a member that is a string; ok is false where it is anything else.
func (o *object) str(key string) (s []byte, ok bool) { return unquoted(o.get(key)) }

// unquoted gives the string that a canonical value is.
func unquoted(value []byte) (s []byte, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return nil, false
	}
	d := decoder{in: value}
	s, _, err := d.unquote()
	return s, err == nil
}

// set adds a member, or replaces it; key and value are in canonical form.
func (o *object) set(key, value string) {
	o.remove(key)
	i := sort.Search(len(o.members), func(i int) bool { return string(o.members[i].key) >= key })
	entry := `"` + key + `": ` + value
	at, before := len(o.text)-1, 0
	switch {
	case i < len(o.members):
		at = o.members[i].at
		entry += ", "
	case i > 0:
		entry = ", " + entry
		before = len(", ")
	}
	o.text = slices.Insert(o.text, at, []byte(entry)...)
	for j := i; j < len(o.members); j++ {
		o.members[j].move(len(entry))
	}
	val := at + before + len(key) + len(`"": `)
	o.members = slices.Insert(o.members, i, member{[]byte(key), at + before, val, val + len(value)})
}

func (o *object) remove(key string) {
	i := slices.IndexFunc(o.members, func(m member) bool { return string(m.key) == key })
	if i < 0 {
		return
	}
	from, to := o.members[i].at, o.members[i].end
	switch {
	case i+1 < len(o.members):
		to = o.members[i+1].at
	case i > 0:
		from = o.members[i-1].end
	}
	o.text = slices.Delete(o.text, from, to)
	o.members = slices.Delete(o.members, i, i+1)
	for j := i; j < len(o.members); j++ {
		o.members[j].move(from - to)
	}
}

func (m *member) move(by int) { m.at, m.val, m.end = m.at+by, m.val+by, m.end+by }

// mentions tells whether a text has event_type as a JSON key, also one in a JSON string.
func mentions(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(`"event_type`))
		if i < 0 {
			return false
		}
		text = text[i+len(`"event_type`):]
		if len(text) > 0 && (text[0] == '"' || text[0] == '\\') {
			return true
		}
	}
}
