package parser

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Canonical gives exactly what Python's json.dumps(json.loads(data), sort_keys=True)
// gives. It fails where Python fails, and for what Python would print as NaN or
// Infinity, which is not JSON.
func Canonical(data []byte) ([]byte, error) {
	v, err := decode(data)
	if err != nil {
		return nil, err
	}
	return encode(make([]byte, 0, len(data)+len(data)/4), v), nil
}

func encode(out []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...)
	case bool:
		return fmt.Appendf(out, "%t", v)
	case number:
		return append(out, v...)
	case string:
		return encodeString(out, v)
	case []any:
		out = append(out, '[')
		for i, item := range v {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = encode(out, item)
		}
		return append(out, ']')
	case map[string]any:
		out = append(out, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = encodeString(out, key)
			out = append(out, ": "...)
			out = encode(out, v[key])
		}
		return append(out, '}')
	}
	panic(fmt.Sprintf("parser: a %T is in a decoded value", v))
}

const hexDigits = "0123456789abcdef"

// encodeString writes a WTF-8 string as ensure_ascii does.
func encodeString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				out = append(out, '\\', c)
			case c >= ' ' && c < 0x7F:
				out = append(out, c)
			case c == '\n':
				out = append(out, '\\', 'n')
			case c == '\r':
				out = append(out, '\\', 'r')
			case c == '\t':
				out = append(out, '\\', 't')
			case c == '\b':
				out = append(out, '\\', 'b')
			case c == '\f':
				out = append(out, '\\', 'f')
			default:
				out = unicodeEscape(out, rune(c))
			}
			continue
		}
		r, n := decodeWTF8(s[i:])
		i += n
		if r >= 0x10000 {
			r -= 0x10000
			out = unicodeEscape(out, 0xD800+r>>10)
			r = 0xDC00 + r&0x3FF
		}
		out = unicodeEscape(out, r)
	}
	return append(out, '"')
}

// decodeWTF8 reads a code point, which may be a lone surrogate.
func decodeWTF8(s string) (rune, int) {
	if s[0] == 0xED && len(s) >= 3 && s[1] >= 0xA0 {
		return rune(s[0]&0x0F)<<12 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return utf8.DecodeRuneInString(s)
}

func unicodeEscape(out []byte, r rune) []byte {
	return append(out, '\\', 'u', hexDigits[r>>12&0xF], hexDigits[r>>8&0xF], hexDigits[r>>4&0xF], hexDigits[r&0xF])
}
