package template

import (
	"fmt"
	"strconv"
	"text/template/parse"
)

// guard rewrites a parsed template, as html/template does, so that it is safe with any
// payload: a field that is missing is empty instead of an error or "<no value>", what is
// written fits the place it is written to, and loops and calls are counted.
func guard(t *parse.Tree) error {
	if t == nil || t.Root == nil {
		return nil
	}
	if err := guardList(t.Root); err != nil {
		return err
	}
	prepend(t.Root, fnCall)
	return nil
}

func guardList(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := guardNode(n); err != nil {
			return err
		}
	}
	return nil
}

func guardNode(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		if isText(n.Pipe) { // {{"{{"}} is the author's own
			return nil
		}
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, fnEmit, number(n.Pos, n.Line)))
		}
		return guardPipe(n.Pipe)
	case *parse.IfNode:
		return guardBranch(&n.BranchNode)
	case *parse.WithNode:
		return guardBranch(&n.BranchNode)
	case *parse.RangeNode:
		n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, fnRange))
		if err := guardBranch(&n.BranchNode); err != nil {
			return err
		}
		prepend(n.List, fnLoop)
	case *parse.TemplateNode:
		return guardPipe(n.Pipe)
	}
	return nil
}

func guardBranch(b *parse.BranchNode) error {
	if err := guardPipe(b.Pipe); err != nil {
		return err
	}
	if err := guardList(b.List); err != nil {
		return err
	}
	return guardList(b.ElseList)
}

func guardPipe(p *parse.PipeNode) error {
	if p == nil {
		return nil
	}
	for _, c := range p.Cmds {
		if err := guardCommand(c, p.Line); err != nil {
			return err
		}
	}
	return nil
}

func guardCommand(c *parse.CommandNode, line int) error {
	if id, ok := c.Args[0].(*parse.IdentifierNode); ok && id.Ident == "printf" {
		if len(c.Args) < 2 || c.Args[1].Type() != parse.NodeString {
			// A payload's %999999d would fill the memory.
			return fmt.Errorf("line %d: printf needs its format written out, in quotes", line)
		}
	}
	for i, a := range c.Args {
		n, err := guardOperand(a, line)
		if err != nil {
			return err
		}
		c.Args[i] = n
	}
	return nil
}

// guardOperand replaces .a.b, $v.a.b and (…).a.b by a function that takes anything.
func guardOperand(n parse.Node, line int) (parse.Node, error) {
	switch n := n.(type) {
	case *parse.PipeNode:
		return n, guardPipe(n)
	case *parse.FieldNode:
		return access(n.Pos, line, &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident), nil
	case *parse.VariableNode:
		if len(n.Ident) == 1 {
			return n, nil
		}
		v := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}
		return access(n.Pos, line, v, n.Ident[1:]), nil
	case *parse.ChainNode:
		of, err := guardOperand(n.Node, line)
		return access(n.Pos, line, of, n.Field), err
	}
	return n, nil
}

func access(pos parse.Pos, line int, of parse.Node, keys []string) parse.Node {
	args := []parse.Node{of}
	for _, key := range keys {
		args = append(args, &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(key), Text: key})
	}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Line: line, Cmds: []*parse.CommandNode{command(pos, fnGet, args...)}}
}

func command(pos parse.Pos, name string, args ...parse.Node) *parse.CommandNode {
	id := parse.NewIdentifier(name).SetPos(pos)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: append([]parse.Node{id}, args...)}
}

func number(pos parse.Pos, n int) parse.Node {
	return &parse.NumberNode{NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)}
}

// prepend puts an action in front that writes nothing.
func prepend(l *parse.ListNode, name string) {
	pipe := &parse.PipeNode{NodeType: parse.NodePipe, Pos: l.Pos, Cmds: []*parse.CommandNode{command(l.Pos, name)}}
	l.Nodes = append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Pos: l.Pos, Pipe: pipe}}, l.Nodes...)
}

func isText(p *parse.PipeNode) bool {
	return len(p.Decl) == 0 && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 && p.Cmds[0].Args[0].Type() == parse.NodeString
}
