package parser

import (
	"bytes"
	"slices"
)

// Canonical gives exactly what Python's json.dumps(json.loads(data), sort_keys=True)
// gives. It fails where Python fails, and for what Python would print as NaN or
// Infinity, which is not JSON. Integers are not limited to the 4300 digits Python has
// as its default, nesting is limited to MaxDepth.
func Canonical(data []byte) ([]byte, error) {
	d := newDecoder(data, 0)
	if err := d.value(); err != nil {
		return nil, err
	}
	if d.space(); d.pos < len(data) {
		return nil, d.fail("there is more after the value: %s", d.found())
	}
	if err := d.verdict(); err != nil {
		return nil, err
	}
	return d.out, nil
}

func newDecoder(in []byte, at int) *decoder {
	n := len(in) - at
	return &decoder{in: in, pos: at, out: make([]byte, 0, n+n/8+64)}
}

// arrange puts the members of the object whose text begins at begin in the order of
// their keys. Of those with the same key the last one stays, as in a Python dict.
func (d *decoder) arrange(base, begin int) {
	members := d.stack[base:]
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
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
