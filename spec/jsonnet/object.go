package jsonnet

import "github.com/google/go-jsonnet/ast"

// member is a field of an object.
type member struct {
	key   *Place
	value *thunk
}

// fieldsOf returns the fields of a literal, with those names that are known.
func (f *finder) fieldsOf(c *code) []codeField {
	if c.index != nil {
		return c.fields
	}
	c.index = make(map[string]int, len(c.node.Fields))
	for _, field := range c.node.Fields {
		made := codeField{
			hidden: field.Hide == ast.ObjectFieldHidden, plus: field.PlusSuper, body: field.Body, key: f.place(&field.LocRange),
		}
		switch name := f.force(&thunk{node: field.Name, env: c.env}); {
		case name.kind == scalar && name.scalar == nil:
			continue // The field is left out.
		case name.kind == scalar:
			made.name, _ = name.scalar.(string)
		default:
			made.any = true
		}
		if made.key != nil && literal(field.Name) == nil && made.name != "" {
			// A name that is computed stands in the program where its text does.
			if written := f.force(&thunk{node: field.Name, env: c.env}).at; written != nil {
				made.key = written
			}
		}
		c.add(made)
	}
	return c.fields
}

// literal returns the name of a field where it is written out.
func literal(n ast.Node) *ast.LiteralString {
	s, _ := n.(*ast.LiteralString)
	return s
}

// field returns a field of a value that may be an object, or nil.
func (f *finder) field(v *value, name string) *member {
	if v.kind != record {
		return nil
	}
	m, _ := f.fieldBelow(v.object, name, len(v.object.layers))
	return m
}

// fieldBelow returns a field as the layers below a position have it, and the position where it was found.
func (f *finder) fieldBelow(o *object, name string, below int) (*member, int) {
	for _, wild := range []bool{false, true} { // A field whose name is not known is the last resort.
		for i := below - 1; i >= 0; i-- {
			f.steps++
			c := o.layers[i].code
			fields := f.fieldsOf(c)
			if at, ok := c.index[name]; ok && !wild {
				return f.bind(o, i, fields[at], name), i
			}
			if wild && c.wild != nil {
				return f.bind(o, i, *c.wild, name), i
			}
		}
	}
	return nil, 0
}

// bind makes a field of a literal the field of the object that the literal is part of.
func (f *finder) bind(o *object, i int, field codeField, name string) *member {
	own := field.made
	if own == nil {
		own = &thunk{node: field.body, env: f.envOf(o, i)}
	}
	if !field.plus && !o.layers[i].patch {
		return &member{field.key, own}
	}
	patch := o.layers[i].patch
	return &member{field.key, &thunk{compute: func() *value {
		under, _ := f.fieldBelow(o, name, i)
		if under == nil {
			return f.force(own)
		}
		left, right := f.force(under.value), f.force(own)
		var sum *value
		switch {
		case !patch:
			sum = f.plus(left, right)
		case left.kind == record && right.kind == record:
			sum = f.patch(left, right)
		default:
			return right
		}
		if right.at != nil {
			return sum.placed(right.at)
		}
		return sum.placed(left.at)
	}}}
}

// envOf returns where the fields of a layer look names up.
func (f *finder) envOf(o *object, i int) *env {
	if o.envs == nil {
		o.envs = make([]*env, len(o.layers))
	}
	if o.envs[i] == nil {
		c := o.layers[i].code
		e := &env{names: map[ast.Identifier]*thunk{}, outer: c.env, self: o, layer: i}
		if c.node != nil {
			for _, local := range c.node.Locals {
				e.names[local.Variable] = &thunk{node: local.Body, env: e}
			}
		}
		o.envs[i] = e
	}
	return o.envs[i]
}

// plus is the operator +.
func (f *finder) plus(left, right *value) *value {
	switch {
	case left.kind == choice || right.kind == choice:
		return f.plusChoice(left, right)
	case left.kind == record && right.kind == record:
		return f.merge(left.object, right.object.layers)
	case left.kind == record:
		return left // What is put over it is not known, and most of it is still there.
	case right.kind == record:
		return right
	case left.kind == list && right.kind == list:
		return f.concatenate(left, right)
	case left.kind == scalar && right.kind == scalar:
		switch l := left.scalar.(type) {
		case float64:
			if r, ok := right.scalar.(float64); ok {
				return &value{kind: scalar, scalar: l + r}
			}
		case string:
			if r, ok := right.scalar.(string); ok && len(l)+len(r) <= 1024 {
				return &value{kind: scalar, scalar: l + r}
			}
		}
	}
	return nothing
}

// plusChoice adds objects of which one may or may not be there: what they hold is found in any of them.
func (f *finder) plusChoice(left, right *value) *value {
	flat := func(v *value) []*value {
		if v.kind != choice {
			return []*value{v}
		}
		var all []*value
		for _, c := range v.choices[:min(len(v.choices), 8)] {
			if one := f.force(c); one.kind == choice {
				all = append(all, f.settle(one, nil, false))
			} else {
				all = append(all, one)
			}
		}
		return all
	}
	var choices []*thunk
	rights := flat(right)
	for _, l := range flat(left) {
		for _, r := range rights {
			f.steps++
			choices = append(choices, &thunk{compute: func() *value { return f.plus(l, r) }})
		}
	}
	return &value{kind: choice, choices: choices}
}

func (f *finder) merge(left *object, layers []layer) *value {
	n := len(left.layers) + len(layers)
	f.steps += n
	if n > maxLayers {
		return nothing
	}
	all := make([]layer, 0, n)
	return &value{kind: record, object: &object{layers: append(append(all, left.layers...), layers...)}}
}

// patch is std.mergePatch of two objects.
func (f *finder) patch(left, right *value) *value {
	over := make([]layer, len(right.object.layers))
	for i, l := range right.object.layers {
		over[i] = layer{l.code, true}
	}
	return f.merge(left.object, over)
}

func (f *finder) concatenate(a, b *value) *value {
	f.steps += len(a.items) + len(a.tail) + len(b.items) + len(b.tail)
	join := func(x, y []*thunk) []*thunk { return append(append(make([]*thunk, 0, len(x)+len(y)), x...), y...) }
	switch {
	case a.exact():
		return &value{kind: list, items: join(join(a.items, a.tail), b.items), each: b.each, tail: b.tail}
	case b.exact():
		return &value{kind: list, items: a.items, each: a.each, tail: join(a.tail, join(b.items, b.tail))}
	}
	return &value{kind: list, items: a.items, each: &thunk{value: &value{kind: choice, choices: []*thunk{a.each, b.each}}}, tail: b.tail}
}
