package plain

import "testing"

func entity(_, r, _ rune) string {
	if r == '&' {
		return "&amp;"
	}
	return string(r)
}

func star(_, r, _ rune) string {
	if r == '*' {
		return `\*`
	}
	return string(r)
}

func TestEscape_CutsBetweenCharactersAndNeverWithinAnEscape(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		esc  Escaper
		want string
	}{
		{"abc", 3, asItIs, "abc"},
		{"abcd", 3, asItIs, "ab…"},
		{"ééé", 2, asItIs, "é…"},
		{"😀😀", 4, asItIs, "😀😀"},
		{"😀😀😀", 4, asItIs, "😀…"},
		{"a b c", 3, asItIs, "a…"},
		{"a&b", 7, entity, "a&amp;b"},
		{"a&b", 6, entity, "a…"},
		{"&", 5, entity, "&amp;"},
		{"**", 3, star, `\*…`},
		{"abc", 1, asItIs, "…"},
		{"abc", 0, asItIs, ""},
		{"abc", -5, asItIs, ""},
	} {
		if got := Escape(c.text, c.most, c.esc); got != c.want {
			t.Errorf("Escape(%q, %d) = %q, not %q", c.text, c.most, got, c.want)
		}
	}
}
