package format

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// What IntelliDocs says it applied comes in two shapes. Its documentation has objects with
// an id and a name. Its code sends what the scan found for the field: a pair of id and
// confidence, or a list of such pairs with all that was suggested, applied or not.

// choice is a thing that was suggested for a field.
type choice struct {
	name       string // "" where only the id is known
	id         string
	confidence float64 // of 0 to 1, negative where it is not known
}

const maxChoices = 20

// choices are the things in what a field has, and how many there are.
func (v value) choices() (list []choice, total int) {
	if c, ok := v.pair(false); ok {
		return []choice{c}, 1
	}
	if v.kind() == '[' {
		items, total := v.items(maxChoices)
		for _, item := range items {
			c, ok := item.pair(true)
			if !ok {
				c, ok = item.asChoice()
			}
			if ok {
				list = append(list, c)
			}
		}
		return list, total
	}
	if c, ok := v.asChoice(); ok {
		return []choice{c}, 1
	}
	return nil, 0
}

// asChoice reads an object with a name or an id, or a simple value; ok is false for what has
// neither.
func (v value) asChoice() (c choice, ok bool) {
	c.confidence = -1
	if o := v.asObject(); o != nil {
		c.name, c.id = v.name(), hash(o.get("id"))
		if c.name == c.id {
			c.name = ""
		}
		if p, ok := o.get("confidence").share(); ok {
			c.confidence = p
		}
	} else if v.kind() != '[' {
		c.name = v.text()
	}
	return c, c != (choice{confidence: -1})
}

// pair reads an id and a confidence. Of two numbers that stand by themselves the second must
// look like one: [4, 1] are two ids.
func (v value) pair(nested bool) (choice, bool) {
	items, total := v.items(2)
	if total != 2 || !items[0].number() && items[0].kind() != '"' || !items[1].number() {
		return choice{}, false
	}
	p, ok := items[1].share()
	if !ok || !nested && (!items[0].number() || !strings.ContainsAny(items[1].text(), ".eE")) {
		return choice{}, false
	}
	c := choice{confidence: p, id: hash(items[0])}
	if !items[0].number() {
		c.name, c.id = items[0].text(), ""
	}
	return c, true
}

func (v value) number() bool { k := v.kind(); return k == '-' || k >= '0' && k <= '9' }

// share is a number of 0 to 1.
func (v value) share() (float64, bool) {
	f, err := strconv.ParseFloat(v.text(), 64)
	return f, v.number() && err == nil && f >= 0 && f <= 1
}

// appliedTo describes what a field got. of is what the document has there now: a field that
// has one value has the applied one, of several nobody says which are new. now: the text is
// what the document has, all of it.
func (v value) appliedTo(of value) (text string, now bool) {
	list, total := v.choices()
	if len(list) == 0 {
		return "", false
	}
	anonymous := func(c choice) bool { return c.name == "" }
	has := of.name()
	switch {
	case !slices.ContainsFunc(list, anonymous) || has == "":
	case total == 1 && of.kind() != '[':
		list[0].name = has
	default:
		return has + confidences(list), true
	}
	parts := make([]string, 0, len(list)+1)
	for _, c := range list {
		part := c.name
		if part == "" {
			part = c.id
		}
		if part == "" {
			continue
		}
		parts = append(parts, part+confidences([]choice{c}))
	}
	if more := total - len(list); more > 0 {
		parts = append(parts, "and "+strconv.Itoa(more)+" more")
	}
	text = strings.Join(parts, ", ")
	return text, has != "" && (total == 1 && list[0].name == has || text == has)
}

// confidences are those of a list in percent, " (70–85 %)", "" where none is known.
func confidences(list []choice) string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range list {
		if c.confidence >= 0 {
			least, most = min(least, c.confidence), max(most, c.confidence)
		}
	}
	if most < least {
		return ""
	}
	from, to := percent(least), percent(most)
	if from == to {
		return " (" + to + " %)"
	}
	return " (" + from + "–" + to + " %)"
}

func percent(p float64) string { return strconv.Itoa(int(math.Round(100 * p))) }
