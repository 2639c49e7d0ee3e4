package dispatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Doubt says why a filter can hardly be meant as it is written: it fails on every one of the
// sample events, or none of them would match, whatever values stood in the fields that it
// compares. "" where nothing speaks against it.
func (f *Filter) Doubt(samples []map[string]any) string {
	if f == nil || len(samples) == 0 {
		return ""
	}
	tree, err := parser.Parse(f.source)
	if err != nil {
		return ""
	}
	w := walk{}
	ast.Walk(&tree.Node, &w)
	matched, failed := false, 0
	var failure error
	for _, sample := range samples {
		for i, variant := range w.variants(sample) {
			ok, err := f.match(variant, 0)
			matched = matched || ok && err == nil
			if err != nil && i == 0 {
				failed, failure = failed+1, err
			}
		}
	}
	missing := w.missing(samples)
	switch {
	case failed == len(samples):
		return fmt.Sprintf("it fails on every sample event, and events that it fails on are delivered: %s", firstLine(failure.Error()))
	case !matched && len(missing) > 0:
		return fmt.Sprintf("it matches no sample event: none has %s (a filter's fields begin at the event itself, such as document.id)", strings.Join(missing, " or "))
	case !matched && !w.opaque:
		return "it matches no sample event, whatever values the fields have that it compares; is a number in quotes, or a text without them?"
	}
	return ""
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// comparison is of a field with a constant.
type comparison struct {
	path  []string
	value any
}

// walk collects what a filter compares and which fields it reads.
type walk struct {
	comparisons []comparison
	paths       [][]string
	opaque      bool // it does more than compare fields with constants
}

// Visit is called after a node's children, so a longer path comes after its beginning.
func (w *walk) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode, *ast.BuiltinNode, *ast.CallNode, *ast.ConditionalNode, *ast.VariableDeclaratorNode:
		w.opaque = true
	case *ast.IdentifierNode:
		w.paths = append(w.paths, []string{n.Value})
	case *ast.MemberNode:
		if path := pathOf(n); path != nil {
			w.paths = append(w.paths, path)
		}
	case *ast.BinaryNode:
		w.compare(n)
	}
}

func (w *walk) compare(n *ast.BinaryNode) {
	switch n.Operator {
	case "and", "or", "&&", "||":
		return
	case "matches":
		w.opaque = true
		return
	}
	pairs := [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}}
	if n.Operator == "in" {
		pairs = pairs[:1] // what a list in the event holds may be anything
	}
	for _, pair := range pairs {
		path, value := pathOf(pair[0]), constant(pair[1])
		if path != nil && value != nil {
			w.comparisons = append(w.comparisons, comparison{path, value})
			return
		}
	}
	w.opaque = true
}

// pathOf is the field that a node reads, nil where it is none by name.
func pathOf(node ast.Node) []string {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return []string{n.Value}
	case *ast.ChainNode:
		return pathOf(n.Node)
	case *ast.MemberNode:
		of := pathOf(n.Node)
		key, ok := n.Property.(*ast.StringNode)
		if of != nil && ok {
			return append(slices.Clip(of), key.Value)
		}
	}
	return nil
}

func constant(node ast.Node) any {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.UnaryNode:
		switch v := constant(n.Node).(type) {
		case int:
			return -v
		case float64:
			return -v
		}
	case *ast.ArrayNode: // of "in": its first
		if len(n.Nodes) > 0 {
			return constant(n.Nodes[0])
		}
	}
	return nil
}

// variants are the sample, and what it would be with other values in the fields compared:
// the constants themselves, and what lies just below and above the numbers.
func (w *walk) variants(sample map[string]any) []map[string]any {
	out := []map[string]any{sample}
	for _, step := range []float64{-1, 0, 1} {
		variant, ok := copyOf(sample)
		if !ok {
			continue
		}
		for _, c := range w.comparisons {
			put(variant, c.path, c.value, step)
		}
		out = append(out, variant)
	}
	return out
}

func copyOf(sample map[string]any) (out map[string]any, ok bool) {
	data, err := json.Marshal(sample)
	return out, err == nil && json.Unmarshal(data, &out) == nil
}

// put sets a field that is there to a value of its kind.
func put(of map[string]any, path []string, value any, step float64) {
	for _, key := range path[:len(path)-1] {
		of, _ = of[key].(map[string]any)
	}
	key := path[len(path)-1]
	switch of[key].(type) {
	case string:
		if v, ok := value.(string); ok {
			of[key] = v
		}
	case bool:
		if v, ok := value.(bool); ok {
			of[key] = v
		}
	case float64, int:
		switch v := value.(type) {
		case int:
			of[key] = float64(v) + step
		case float64:
			of[key] = v + step
		}
	}
}

// missing are the fields that no sample has, the shortest of each.
func (w *walk) missing(samples []map[string]any) []string {
	found := map[string]bool{}
	for _, path := range w.paths {
		there := slices.ContainsFunc(samples, func(s map[string]any) bool { return has(s, path) })
		shorter := slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(m string) bool {
			return strings.HasPrefix(strings.Join(path, "."), m+".")
		})
		if !there && !shorter {
			found[strings.Join(path, ".")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func has(of map[string]any, path []string) bool {
	v, ok := of[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	inner, ok := v.(map[string]any)
	return ok && has(inner, path[1:])
}
