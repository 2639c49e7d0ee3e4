package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Bounds of a filter. Payloads come from elsewhere: a filter that loops over one must
// not be made to take long or much memory.
const (
	filterMaxNodes  = 500                    // of its expression
	filterMaxMemory = 100_000                // elements it may create
	filterMaxSteps  = 200_000                // times the bodies of its loops may run
	filterMaxTime   = 250 * time.Millisecond // looked at between those
)

// filterBuiltins are the functions a filter may call: those that answer questions
// about a payload. What can blow it up (repeat, replace, join, reduce …) is left out.
var filterBuiltins = []string{
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "count", "sum",
	"len", "type", "abs", "ceil", "floor", "round", "int", "float", "string",
	"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf",
	"hasPrefix", "hasSuffix", "max", "min", "first", "last", "get", "keys", "values",
	"now", "duration", "date",
}

// Filter is a compiled filter expression. It is safe for concurrent use.
type Filter struct {
	source  string
	program *vm.Program
	warned  atomic.Bool // that it had no answer for a payload

	mu       sync.Mutex // one run at a time: the bounds are those of the run
	steps    int
	bytes    int // made
	size     int // of the event
	memos    []*memo
	deadline time.Time
}

// Functions that a filter's expression is rewritten to call; see also filterfuncs.go.
const (
	stepName  = "__step"
	fieldName = "__field"
	addName   = "__add"
)

var ownFunctions = []string{stepName, fieldName, addName, ownName("split"), ownName("keys"), ownName("values"), ownName("string"), ownName("upper"), ownName("lower")}

// ownName is what ours is called that takes a built-in function's place.
func ownName(builtin string) string { return ownPrefix + builtin }

const ownPrefix = "__"

var errFilterTooLong = errors.New("it took too long on this payload")

// NewFilter compiles an expr expression over the payload. An error says what is wrong
// with the expression; of an empty one there is no filter, which is nil.
func NewFilter(source string) (*Filter, error) {
	if source == "" {
		return nil, nil
	}
	f := &Filter{source: source}
	patch := &lenient{}
	options := []expr.Option{
		expr.Env(map[string]any{}),
		expr.AllowUndefinedVariables(),
		expr.AsBool(),
		expr.MaxNodes(filterMaxNodes),
		expr.DisableAllBuiltins(),
		expr.Function(stepName, f.step, new(func() bool)),
		expr.Function(fieldName, field, new(func(any, any) any)),
		expr.Patch(patch),
	}
	for _, name := range filterBuiltins {
		options = append(options, expr.EnableBuiltin(name))
	}
	options = append(options, f.countedFunctions()...)
	program, err := expr.Compile(source, options...)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), ownPrefix, ""))
	}
	if patch.pattern != "" {
		return nil, fmt.Errorf("the pattern of 'matches' must be written out, in quotes; %s would be taken from the payload", patch.pattern)
	}
	if patch.call != "" {
		return nil, fmt.Errorf("there is no function %s; the functions are %s", patch.call, strings.Join(filterBuiltins, ", "))
	}
	f.program = program
	return f, nil
}

// match runs the filter over a payload, whose text has a size. An error means that it has no answer.
func (f *Filter) match(payload map[string]any, size int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps, f.bytes, f.size, f.deadline = 0, 0, size, time.Now().Add(filterMaxTime)
	defer func() {
		for _, m := range f.memos {
			*m = memo{}
		}
	}()
	machine := vm.VM{MemoryBudget: filterMaxMemory} // a kept one would keep the payload too
	out, err := machine.Run(f.program, payload)
	if err != nil {
		return false, err
	}
	matched, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("it returns %T, not true or false", out)
	}
	return matched, nil
}

// step is called before each run of a loop's body.
func (f *Filter) step(...any) (any, error) {
	if f.steps++; f.steps > filterMaxSteps || time.Now().After(f.deadline) {
		return nil, errFilterTooLong
	}
	return true, nil
}

// field is a member of an object or an element of a list, from its end where the index is
// negative; nil where there is none, whatever v is.
func field(params ...any) (any, error) {
	switch of := params[0].(type) {
	case map[string]any:
		key, _ := params[1].(string)
		return of[key], nil
	case []any:
		if i, ok := place(params[1], len(of)); ok {
			return of[i], nil
		}
	case []string: // of split
		if i, ok := place(params[1], len(of)); ok {
			return of[i], nil
		}
	}
	return nil, nil
}

// place is where an index points to in a list, counted from its end where it is negative.
func place(index any, length int) (i int, ok bool) {
	i, ok = index.(int)
	if f, float := index.(float64); float && f == float64(int(f)) {
		i, ok = int(f), true
	}
	if i < 0 {
		i += length
	}
	return i, ok && i >= 0 && i < length
}

func fieldOf(of, key ast.Node) ast.Node { return callOf(fieldName, of, key) }

func callOf(name string, arguments ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: arguments}
}

// lenient makes a.b nil where a is nil or has no b, and counts the steps of loops and what is made.
type lenient struct {
	call    string // a function called that is not among filterBuiltins
	pattern string // one that is not written out: compiling a payload's may take seconds
}

func (l *lenient) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		if name := n.Callee.String(); !slices.Contains(ownFunctions, name) {
			l.call = name
		}
	case *ast.IdentifierNode: // a field may be called type or count: the function is called with ()
		if slices.Contains(filterBuiltins, n.Value) {
			ast.Patch(node, fieldOf(&ast.IdentifierNode{Value: "$env"}, &ast.StringNode{Value: n.Value}))
		}
	case *ast.BuiltinNode: // disabling does not reach those that take a predicate
		if !slices.Contains(filterBuiltins, n.Name) {
			l.call = n.Name
		} else if own := ownName(n.Name); slices.Contains(ownFunctions, own) {
			ast.Patch(node, callOf(own, n.Arguments...))
		}
	case *ast.MemberNode:
		if !n.Method {
			ast.Patch(node, fieldOf(n.Node, n.Property))
		}
	case *ast.BinaryNode:
		if _, constant := n.Right.(*ast.StringNode); n.Operator == "matches" && !constant {
			l.pattern = n.Right.String()
		}
		if addsText(n) {
			ast.Patch(node, callOf(addName, n.Left, n.Right))
		}
	case *ast.PredicateNode:
		n.Node = &ast.SequenceNode{Nodes: []ast.Node{
			callOf(stepName),
			n.Node,
		}}
	}
}
