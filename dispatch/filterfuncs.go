package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// filterMaxBytes is what a run may make of texts and lists beside what the machine counts
// (filterMaxMemory), or as much as the event. One text of a mebibyte in an event becomes sixteen when it is split.
const filterMaxBytes = 4 << 20

var errFilterTooLarge = errors.New("it would take too much memory on this payload")

// countedFunctions are called instead of the built-in ones, and of the operator +, that make something
// as large as the payload: they count it first.
func (f *Filter) countedFunctions() []expr.Option {
	return []expr.Option{
		expr.Function(ownName("split"), f.split, new(func(string, string) []string), new(func(string, string, int) []string)),
		expr.Function(ownName("keys"), f.keys, new(func(any) []any)),
		expr.Function(ownName("values"), f.values, new(func(any) []any)),
		expr.Function(ownName("string"), f.text, new(func(any) string)),
		expr.Function(ownName("upper"), f.changed(strings.ToUpper), new(func(string) string)),
		expr.Function(ownName("lower"), f.changed(strings.ToLower), new(func(string) string)),
		expr.Function(addName, f.add, new(func(any, any) any)),
	}
}

// spend takes note of bytes that are about to be made.
func (f *Filter) spend(n int) error {
	if f.bytes += n; f.bytes > max(filterMaxBytes, f.size) {
		return errFilterTooLarge
	}
	return nil
}

func (f *Filter) split(params ...any) (any, error) {
	s, ok := params[0].(string)
	sep, sepOK := params[1].(string)
	if !ok || !sepOK {
		return nil, fmt.Errorf("cannot split %T by %T", params[0], params[1])
	}
	most := -1
	if len(params) > 2 {
		most = runtime.ToInt(params[2])
	}
	n := strings.Count(s, sep) + 1
	if sep == "" {
		n = utf8.RuneCountInString(s)
	}
	if most >= 0 {
		n = min(n, most)
	}
	if err := f.spend(16 * n); err != nil {
		return nil, err
	}
	return strings.SplitN(s, sep, most), nil
}

func (f *Filter) keys(params ...any) (any, error) {
	of, ok := params[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("cannot get keys from %T", params[0])
	}
	if err := f.spend(32 * len(of)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(of))
	for k := range of {
		out = append(out, k)
	}
	return out, nil
}

func (f *Filter) values(params ...any) (any, error) {
	of, ok := params[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("cannot get values from %T", params[0])
	}
	if err := f.spend(16 * len(of)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(of))
	for _, v := range of {
		out = append(out, v)
	}
	return out, nil
}

// text is a value as text. How long that of a list or an object is shows only once it is there, but
// it is not much longer than it was in the event.
func (f *Filter) text(params ...any) (any, error) {
	if s, ok := params[0].(string); ok {
		return s, nil
	}
	s := fmt.Sprintf("%v", params[0])
	return s, f.spend(len(s))
}

// memo is the last text that a function was called with, and what it made of it: a loop over words asks
// for the same one in lower case again and again.
type memo struct{ from, to string }

func (f *Filter) changed(do func(string) string) func(...any) (any, error) {
	last := &memo{}
	f.memos = append(f.memos, last)
	return func(params ...any) (any, error) {
		s, ok := params[0].(string)
		if !ok {
			return nil, fmt.Errorf("%T is no text", params[0])
		}
		if s != last.from {
			if err := f.spend(len(s)); err != nil {
				return nil, err
			}
			*last = memo{s, do(s)}
		}
		return last.to, nil
	}
}

// add is the operator +.
func (f *Filter) add(params ...any) (any, error) {
	a, text := params[0].(string)
	b, both := params[1].(string)
	if text && both {
		if err := f.spend(len(a) + len(b)); err != nil {
			return nil, err
		}
	}
	return runtime.Add(params[0], params[1]), nil
}

// numbers are the built-in functions that return no text, but numbers and times.
var numbers = []string{
	"len", "count", "sum", "abs", "ceil", "floor", "round", "int", "float", "indexOf", "lastIndexOf", "findIndex",
	"now", "duration", "date",
}

// addsText reports whether + may join texts: with a number written out it does not, and texts
// written out are as long as the filter.
func addsText(n *ast.BinaryNode) bool {
	if n.Operator != "+" {
		return false
	}
	texts := 0
	for _, part := range []ast.Node{n.Left, n.Right} {
		switch part := part.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			return false
		case *ast.BuiltinNode:
			if slices.Contains(numbers, part.Name) {
				return false
			}
		case *ast.StringNode:
			texts++
		}
	}
	return texts < 2
}
