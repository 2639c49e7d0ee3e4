package pyjson

import (
	"bytes"
	"slices"
	"sort"
)

// Object is a JSON object in canonical form, or as much of one as could be read.
type Object struct {
	// Text is the object's canonical text.
	Text []byte
	// Flaw is the first thing in Text that is not JSON (NaN, Infinity, a number that
	// overflows, text that is not UTF-8); nil where all of it is JSON.
	Flaw error

	members []member
}

// ReadObject reads the object whose '{' is at in[at] and returns where it ends. With an
// error (a *SyntaxError), the object has the members before the error.
func ReadObject(in []byte, at int) (obj Object, end int, err error) {
	return NewDecoder(in, at).Object(at)
}

// Object is ReadObject with the decoder's memory; the object it returned before is no
// longer valid.
func (d *Decoder) Object(at int) (obj Object, end int, err error) {
	d.pos, d.depth, d.flaw, d.garbled, d.replaced = at, 0, nil, nil, false
	d.out, d.stack = d.out[:0], d.stack[:0]
	if err = d.value(); err == nil {
		obj.Flaw = d.remainingFlaw()
	}
	obj.Text, obj.members = d.out, d.stack
	return obj, d.pos, err
}

// Get returns the canonical text of a member's value: nil where there is no such member,
// empty where its value could not be read. Of members of one name the last one counts.
func (o *Object) Get(key string) []byte {
	for i := len(o.members) - 1; i >= 0; i-- { // unsorted after an error
		if m := &o.members[i]; string(m.key) == key {
			if m.end == 0 {
				return []byte{}
			}
			return o.Text[m.val:m.end]
		}
	}
	return nil
}

// Has reports whether there is a member of this name.
func (o *Object) Has(key string) bool { return o.Get(key) != nil }

// Str returns a member that is a string, as WTF-8; ok is false where it is anything else.
func (o *Object) Str(key string) (s []byte, ok bool) { return Unquote(o.Get(key)) }

// Unquote returns the string that a JSON text is, as WTF-8; ok is false where the text is
// anything else. The string may share the text's memory.
func Unquote(value []byte) (s []byte, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return nil, false
	}
	d := Decoder{in: value}
	s, _, err := d.unquote()
	return s, err == nil && d.pos == len(value)
}

// Set adds a member or replaces it; key and value are in canonical form.
func (o *Object) Set(key, value string) {
	o.Remove(key)
	i := sort.Search(len(o.members), func(i int) bool { return string(o.members[i].key) >= key })
	entry := `"` + key + `": ` + value
	at, before := len(o.Text)-1, 0
	switch {
	case i < len(o.members):
		at = o.members[i].at
		entry += ", "
	case i > 0:
		entry = ", " + entry
		before = len(", ")
	}
	o.Text = slices.Insert(o.Text, at, []byte(entry)...)
	for j := i; j < len(o.members); j++ {
		o.members[j].move(len(entry))
	}
	val := at + before + len(key) + len(`"": `)
	o.members = slices.Insert(o.members, i, member{[]byte(key), at + before, val, val + len(value)})
}

// Remove takes a member out, if there is one of this name.
func (o *Object) Remove(key string) {
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
	o.Text = slices.Delete(o.Text, from, to)
	o.members = slices.Delete(o.members, i, i+1)
	for j := i; j < len(o.members); j++ {
		o.members[j].move(from - to)
	}
}

func (m *member) move(by int) { m.at, m.val, m.end = m.at+by, m.val+by, m.end+by }

// IsObject reports whether a canonical value is an object.
func IsObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// Kind names what a canonical value is, with its article: "an object", "null".
func Kind(value []byte) string {
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	}
	return "a number"
}

// compareKeys orders members as Python's sort_keys does: by code point.
func compareKeys(a, b member) int { return bytes.Compare(a.key, b.key) }
