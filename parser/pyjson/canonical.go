// Package pyjson reads and writes JSON as Python's json module does. Its canonical form
// is byte for byte what json.dumps(json.loads(text), sort_keys=True) returns, which is
// what makes a signature over it verify in IntelliDocs' own terms.
package pyjson

import (
	"bytes"
	"slices"
)

// Canonical returns exactly what Python's json.dumps(json.loads(data), sort_keys=True)
// returns. It fails where Python fails, and for what Python would print as NaN or
// Infinity, which is not JSON. Integers are not limited to the 4300 digits of Python's
// default, nesting is limited to MaxDepth.
func Canonical(data []byte) ([]byte, error) {
	d := NewDecoder(data, 0)
	if err := d.value(); err != nil {
		return nil, err
	}
	if d.space(); d.pos < len(data) {
		return nil, d.fail("there is more after the value: %s", d.found())
	}
	if err := d.remainingFlaw(); err != nil {
		return nil, err
	}
	return d.out, nil
}

// arrange sorts the members of the object whose text begins at begin by their keys. Of
// those with the same key the last one stays, as in a Python dict.
func (d *Decoder) arrange(base, begin int) {
	members := d.stack[base:]
	slices.SortStableFunc(members, compareKeys)
	d.order = append(d.order[:0], d.out[begin:]...)
	d.out = append(d.out[:begin], '{')
	kept := members[:0]
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(m.key, members[i+1].key) {
			d.replaced = true
			continue
		}
		if len(kept) > 0 {
			d.out = append(d.out, ", "...)
		}
		shift := len(d.out) - m.at
		d.out = append(d.out, d.order[m.at-begin:m.end-begin]...)
		kept = append(kept, member{m.key, m.at + shift, m.val + shift, m.end + shift})
	}
	d.out = append(d.out, '}')
	d.stack = d.stack[:base+len(kept)]
}
