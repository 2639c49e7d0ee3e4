package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one error or warning and where it is.
type Problem struct {
	File string
	Line int    // 0 where there is none, as for the environment
	Key  string // such as webhook "slack-ai".timeout
	Text string
}

// String is file:line: key: text.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Errors are all that is wrong with a file.
type Errors []Problem

// Error returns the problems, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sorted sorts them by line.
func (e Errors) Sorted() Errors {
	slices.SortStableFunc(e, func(a, b Problem) int { return a.Line - b.Line })
	return e
}

// Problem makes a problem of the i-th webhook's key, for what is found when it is built.
func (c *Config) Problem(i int, key, text string) Problem {
	path := fmt.Sprintf("webhook.%d.%s", i, strings.NewReplacer("[", ".", "]", "").Replace(key))
	suffix := c.where.written(path)
	path, key = path+suffix, key+suffix
	name := fmt.Sprintf("webhook[%d]", i)
	if c.Webhooks[i].Name != "" {
		name = fmt.Sprintf("webhook %q", c.Webhooks[i].Name)
	}
	return Problem{File: c.Path, Line: c.where.line(path), Key: name + "." + key, Text: text}
}

// SourceProblem is a problem of source i's key.
func (c *Config) SourceProblem(i int, key, text string) Problem {
	return Problem{File: c.Path, Line: c.where.line(fmt.Sprintf("source.%d.%s", i, key)), Key: fmt.Sprintf("source[%d].%s", i, key), Text: text}
}
