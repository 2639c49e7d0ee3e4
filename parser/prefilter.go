package parser

import "bytes"

// mayHoldEvent reports whether a line may be an event or a record of our logger. Most of a log is
// neither, and this is all that is spent on it: three passes for bytes that are rare there.
func mayHoldEvent(line []byte) bool {
	// A name with a letter escaped, as in "\u0065vent_type", is odd and still a name.
	if escaped := anyIndex(line, `\u00`, func(i int) bool {
		return i+4 < len(line) && line[i+4] >= '5' && line[i+4] <= '7'
	}); escaped {
		return true
	}
	if anyIndex(line, "_type", func(i int) bool { return bytes.HasSuffix(line[:i], []byte("event")) }) {
		return true
	}
	// Without a '{' our logger's record holds no event.
	if anyIndex(line, "_webhooks", func(i int) bool { return bytes.HasSuffix(line[:i], []byte("paperless.ai")) }) &&
		bytes.IndexByte(line, '{') >= 0 {
		return true
	}
	// The pieces of a line may have been cut in the middle of a name.
	return bytes.IndexByte(line, '\n') >= 0
}

// anyIndex reports whether text has what anywhere that ok accepts.
func anyIndex(text []byte, what string, ok func(int) bool) bool {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(what))
		if i < 0 {
			return false
		}
		if ok(from + i) {
			return true
		}
		from += i + len(what)
	}
}

// Headed reports whether a line begins with the header of IntelliDocs' verbose format, bare
// or as a container runtime wraps it.
func Headed(line []byte) bool { return classify(trim(line)).Headed }

// classify returns why a line is skipped that holds no event, without reading it whole. Within a container
// runtime's wrapping it looks at the text as it stands there, escapes and all.
func classify(line []byte) Result {
	text := line
	if inside, _, _, ok := dockerParts(line); ok {
		text = bytes.TrimSuffix(inside, []byte(`\n`))
	} else if inside, _, _, _, ok := criParts(line); ok {
		text = inside
	}
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return skip(SkipBlank)
	case text[0] == '{' && namesLogger(text):
		return skip(SkipOtherLogger)
	case text[0] == '[':
		if h, ok := readHeader(text); ok {
			res := skip(SkipOtherLogger)
			if h.ours() {
				res = skip(SkipNoEvent)
			}
			res.Headed = h.dated()
			return res
		}
	}
	return skip(SkipNoEvent)
}

// namesLogger reports whether a JSON object has a key that log records name their logger
// under. Good enough for a count: a nested key is taken for one too.
func namesLogger(text []byte) bool {
	for _, key := range []string{`"name`, `"logger`} {
		if anyIndex(text, key, func(i int) bool {
			rest := bytes.TrimPrefix(text[i+len(key):], []byte("_name"))
			rest = bytes.TrimLeft(bytes.TrimPrefix(rest, []byte{'\\'}), "")
			return len(rest) > 1 && rest[0] == '"' && bytes.HasPrefix(bytes.TrimLeft(rest[1:], " "), []byte{':'})
		}) {
			return true
		}
	}
	return false
}
