package config

import (
	"fmt"
	"strings"
)

// positions are the lines that keys stand on. The TOML library has a position for
// syntax errors only, so the text is read once more, for keys and table headers alone;
// it is known to be valid by then.
type positions struct{ lines map[string]int }

// line is where a key stands, or the table it belongs to.
func (p *positions) line(path string) int {
	for p != nil {
		if n := p.lines[path]; n > 0 {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
	return 0
}

// written is how a key is written in the file: a secret may have _file or _env behind it.
func (p *positions) written(path string) (suffix string) {
	for _, suffix := range []string{"", "_file", "_env"} {
		if p != nil && p.lines[path+suffix] > 0 {
			return suffix
		}
	}
	return ""
}

func scan(text string) *positions {
	p := &positions{lines: map[string]int{}}
	table, count := "", map[string]int{}
	depth, quote := 0, ""
	for i, line := range strings.Split(text, "\n") {
		if depth == 0 && quote == "" {
			trimmed := strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(trimmed, "[["):
				name, _, _ := strings.Cut(trimmed[2:], "]")
				name = within(cleanKey(name), count)
				table = fmt.Sprintf("%s.%d", name, count[name])
				count[name]++
				p.lines[table] = i + 1
				continue
			case strings.HasPrefix(trimmed, "["):
				name, _, _ := strings.Cut(trimmed[1:], "]")
				table = within(cleanKey(name), count)
				p.lines[table] = i + 1
				continue
			}
			if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(trimmed, "#") {
				path := cleanKey(key)
				if table != "" {
					path = table + "." + path
				}
				if p.lines[path] == 0 {
					p.lines[path] = i + 1
				}
			}
		}
		depth, quote = nesting(line, depth, quote)
	}
	return p
}

// within sets a table's place: [webhook.tls] belongs to the latest [[webhook]].
func within(table string, count map[string]int) string {
	if first, rest, ok := strings.Cut(table, "."); ok && count[first] > 0 {
		return fmt.Sprintf("%s.%d.%s", first, count[first]-1, rest)
	}
	return table
}

// maxDepth bounds how deep values nest; the keys of agent.toml need three.
const maxDepth = 32

// maxDots bounds a dotted key, whose reading takes the square of its length.
const maxDots = 10_000

// tooDeep returns the line on which values nest deeper than maxDepth, 0 where none does. The
// TOML library recurses without a bound, and a stack overflow cannot be recovered from.
func tooDeep(text string) int {
	depth, quote, n := 0, "", 0
	for line := range strings.Lines(text) {
		n++
		if depth, quote = nesting(strings.TrimRight(line, "\r\n"), depth, quote); depth > maxDepth || strings.Count(line, ".") > maxDots {
			return n
		}
	}
	return 0
}

func cleanKey(key string) string {
	parts := strings.Split(key, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}

// nesting follows brackets and multi-line strings over a line.
func nesting(line string, depth int, quote string) (int, string) {
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case quote != "":
			switch {
			case quote[0] == '"' && rest[0] == '\\':
				i++
			case strings.HasPrefix(rest, quote):
				i += len(quote) - 1
				quote = ""
			}
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, "'''"):
			quote = rest[:3]
			i += 2
		case rest[0] == '"' || rest[0] == '\'':
			quote = rest[:1]
		case rest[0] == '#':
			return depth, quote
		case rest[0] == '[' || rest[0] == '{':
			if depth++; depth > maxDepth {
				return depth, quote
			}
		case rest[0] == ']' || rest[0] == '}':
			depth--
		}
	}
	if len(quote) == 1 {
		quote = "" // such a string ends with its line
	}
	return max(depth, 0), quote
}
