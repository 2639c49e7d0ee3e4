package term

import (
	"encoding/json"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// escape is one of JSON's; of a pair of surrogates both.
var escape = regexp.MustCompile(`\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)`)

// ReadableJSON returns JSON with its letters as people read them, "ü" for \u00fc. What a
// terminal would obey, and what JSON must escape, stays an escape.
func ReadableJSON(data []byte) []byte {
	return escape.ReplaceAllFunc(data, func(e []byte) []byte {
		var s string
		if e[1] != 'u' || json.Unmarshal([]byte(`"`+string(e)+`"`), &s) != nil {
			return e
		}
		r, _ := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError || r == '"' || r == '\\' || !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return e
		}
		return []byte(s)
	})
}
