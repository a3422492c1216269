package jsonnet

import (
	"github.com/google/go-jsonnet/ast"
)

// force returns what is known of a value.
func (f *finder) force(t *thunk) *value {
	if t.value != nil {
		return t.value
	}
	if f.steps++; t.busy || f.steps > maxSteps || f.nesting > maxNesting {
		return nothing
	}
	t.busy = true
	f.nesting++
	var v *value
	if t.compute != nil {
		v = t.compute()
	} else {
		v = f.find(t.node, t.env)
	}
	f.nesting--
	t.busy = false
	t.value, t.node, t.env, t.compute = v, nil, nil, nil
	return v
}

// find returns what is known of an expression's value.
func (f *finder) find(node ast.Node, e *env) *value {
	if f.steps++; f.steps > maxSteps || f.nesting > maxNesting {
		return nothing
	}
	f.nesting++
	defer func() { f.nesting-- }()
	v := f.expression(node, e)
	if v.at == nil {
		if at := f.place(node.Loc()); at != nil {
			return v.placed(at)
		}
	}
	return v
}

func (f *finder) expression(node ast.Node, e *env) *value {
	switch n := node.(type) {
	case *ast.LiteralString:
		return &value{kind: scalar, scalar: n.Value}
	case *ast.LiteralBoolean:
		return &value{kind: scalar, scalar: n.Value}
	case *ast.LiteralNull:
		return &value{kind: scalar}
	case *ast.LiteralNumber:
		return number(n.OriginalString)
	case *ast.Array:
		v := &value{kind: list}
		f.steps += len(n.Elements)
		for _, el := range n.Elements {
			v.items = append(v.items, &thunk{node: el.Expr, env: e})
		}
		return v
	case *ast.DesugaredObject:
		return &value{kind: record, object: &object{layers: []layer{{code: &code{node: n, env: e}}}}}
	case *ast.Function:
		return &value{kind: function, fn: n, env: e}
	case *ast.Local:
		inner := e.inner()
		for _, b := range n.Binds {
			inner.names[b.Variable] = &thunk{node: b.Body, env: inner}
		}
		return f.find(n.Body, inner)
	case *ast.Var:
		if t := e.lookUp(n.Id); t != nil {
			return f.force(t)
		}
	case *ast.Self:
		if e.self != nil {
			return &value{kind: record, object: e.self}
		}
	case *ast.SuperIndex:
		if name, ok := f.text(n.Index, e); ok && e.self != nil {
			if m, _ := f.fieldBelow(e.self, name, e.layer); m != nil {
				return f.force(m.value)
			}
		}
	case *ast.Index:
		return f.index(f.find(n.Target, e), f.find(n.Index, e))
	case *ast.Conditional:
		return f.conditional(n, e)
	case *ast.Binary:
		return f.binary(n, e)
	case *ast.Unary:
		return unary(n.Op, f.find(n.Expr, e))
	case *ast.Import:
		return f.imported(n)
	case *ast.ImportStr:
		if found, refused := f.resolve(n.Loc().FileName, n.File.Value); refused == nil && len(f.program.text(found)) <= 4096 {
			return &value{kind: scalar, scalar: f.program.text(found)}
		}
	case *ast.Apply:
		v := f.apply(n, e)
		if at := f.place(n.Loc()); v.container() && at != nil {
			return v.placed(at) // An object that a function made is where it was asked for; what is in it, where it was written.
		}
		return v
	}
	return nothing
}

// text returns a text that is known.
func (f *finder) text(node ast.Node, e *env) (string, bool) {
	v := f.find(node, e)
	s, ok := v.scalar.(string)
	return s, ok && v.kind == scalar
}

func (f *finder) conditional(n *ast.Conditional, e *env) *value {
	if _, fails := n.BranchFalse.(*ast.Error); fails {
		return f.find(n.BranchTrue, e)
	}
	if _, fails := n.BranchTrue.(*ast.Error); fails {
		return f.find(n.BranchFalse, e)
	}
	if cond := f.find(n.Cond, e); cond.kind == scalar {
		if cond.scalar == true {
			return f.find(n.BranchTrue, e)
		}
		return f.find(n.BranchFalse, e)
	}
	return &value{kind: choice, choices: []*thunk{{node: n.BranchTrue, env: e}, {node: n.BranchFalse, env: e}}}
}

// index is target[i], and target.i.
func (f *finder) index(target, i *value) *value {
	switch {
	case target.kind == choice:
		return f.each(target, func(v *value) *value { return f.index(v, i) })
	case target.kind == builtin && target.name == "":
		if name, ok := i.scalar.(string); ok {
			return &value{kind: builtin, name: name}
		}
	case target.kind == record:
		if name, ok := i.scalar.(string); ok {
			if m := f.field(target, name); m != nil {
				return f.force(m.value)
			}
		}
	case target.kind == list:
		if at, ok := i.scalar.(float64); ok && at >= 0 && at < 1e6 {
			if n := int(at); n < len(target.items) {
				return f.force(target.items[n])
			} else if target.exact() && n < len(target.items)+len(target.tail) {
				return f.force(target.tail[n-len(target.items)])
			}
		}
		if target.each != nil {
			return f.force(target.each)
		}
	}
	return nothing
}

// each does something to every choice.
func (f *finder) each(v *value, do func(*value) *value) *value {
	out := &value{kind: choice}
	f.steps += len(v.choices)
	for _, c := range v.choices {
		out.choices = append(out.choices, &thunk{compute: func() *value { return do(f.force(c)) }})
	}
	return out
}

func (f *finder) apply(n *ast.Apply, e *env) *value {
	var args []*thunk
	for _, a := range n.Arguments.Positional {
		args = append(args, &thunk{node: a.Expr, env: e})
	}
	named := map[ast.Identifier]*thunk{}
	for _, a := range n.Arguments.Named {
		named[a.Name] = &thunk{node: a.Arg, env: e}
	}
	return f.call(f.find(n.Target, e), args, named)
}

// call calls a function.
func (f *finder) call(fn *value, args []*thunk, named map[ast.Identifier]*thunk) *value {
	switch fn.kind {
	case choice:
		return f.each(fn, func(v *value) *value { return f.call(v, args, named) })
	case builtin:
		return f.callBuiltin(fn.name, args, named)
	case function:
		inner := fn.env.inner()
		for i, p := range fn.fn.Parameters {
			switch t := named[p.Name]; {
			case i < len(args):
				inner.names[p.Name] = args[i]
			case t != nil:
				inner.names[p.Name] = t
			case p.DefaultArg != nil:
				inner.names[p.Name] = &thunk{node: p.DefaultArg, env: inner}
			default:
				inner.names[p.Name] = ready(nothing)
			}
		}
		return f.find(fn.fn.Body, inner)
	}
	return nothing
}

// imported returns what an imported file evaluates to.
func (f *finder) imported(n *ast.Import) *value {
	found, refused := f.resolve(n.Loc().FileName, n.File.Value)
	if refused != nil {
		return nothing
	}
	if t, ok := f.files[found]; ok {
		return f.force(t)
	}
	node, _, err := f.vm.ImportAST(n.Loc().FileName, n.File.Value)
	if err != nil {
		f.files[found] = ready(nothing)
		return nothing
	}
	return f.force(f.file(found, node))
}

// file returns the value of a whole file.
func (f *finder) file(name string, node ast.Node) *thunk {
	std := ready(&value{kind: builtin})
	t := &thunk{node: node, env: &env{names: map[ast.Identifier]*thunk{"std": std, "$std": std}}}
	f.files[name] = t
	return t
}
