package jsonnet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/go-jsonnet/ast"
)

func number(text string) *value {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nothing
	}
	return &value{kind: scalar, scalar: n}
}

func truth(b bool) *value { return &value{kind: scalar, scalar: b} }

func unary(op ast.UnaryOp, v *value) *value {
	switch x := v.scalar.(type) {
	case bool:
		if op == ast.UopNot {
			return truth(!x)
		}
	case float64:
		switch op {
		case ast.UopMinus:
			return &value{kind: scalar, scalar: -x}
		case ast.UopPlus:
			return &value{kind: scalar, scalar: x}
		}
	}
	return nothing
}

func (f *finder) binary(n *ast.Binary, e *env) *value {
	left := f.find(n.Left, e)
	if left.kind == scalar && (n.Op == ast.BopAnd && left.scalar == false || n.Op == ast.BopOr && left.scalar == true) {
		return truth(left.scalar == true)
	}
	right := f.find(n.Right, e)
	if n.Op == ast.BopPlus {
		sum := f.plus(left, right)
		switch {
		case f.place(n.Loc()) != nil:
			return sum.placed(f.place(n.Loc()))
		case right.at != nil:
			return sum.placed(right.at)
		}
		return sum.placed(left.at)
	}
	if left.kind != scalar || right.kind != scalar {
		return nothing
	}
	switch n.Op {
	case ast.BopManifestEqual:
		return truth(left.scalar == right.scalar)
	case ast.BopManifestUnequal:
		return truth(left.scalar != right.scalar)
	case ast.BopAnd, ast.BopOr:
		if b, ok := right.scalar.(bool); ok {
			return truth(b)
		}
		return nothing
	}
	order, ok := compare(left.scalar, right.scalar)
	if !ok {
		return nothing
	}
	switch n.Op {
	case ast.BopLess:
		return truth(order < 0)
	case ast.BopLessEq:
		return truth(order <= 0)
	case ast.BopGreater:
		return truth(order > 0)
	case ast.BopGreaterEq:
		return truth(order >= 0)
	}
	l, isNumber := left.scalar.(float64)
	r, _ := right.scalar.(float64)
	switch {
	case !isNumber:
	case n.Op == ast.BopMinus:
		return &value{kind: scalar, scalar: l - r}
	case n.Op == ast.BopMult:
		return &value{kind: scalar, scalar: l * r}
	}
	return nothing
}

func compare(a, b any) (int, bool) {
	switch a := a.(type) {
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b), true
		}
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b), true
		}
	}
	return 0, false
}

// parameters are the names of the parameters of those builtins that are followed.
var parameters = map[string][]ast.Identifier{
	"$flatMapArray":    {"func", "arr"},
	"$objectFlatMerge": {"arr"},
	"flatMap":          {"func", "arr"},
	"map":              {"func", "arr"},
	"mapWithIndex":     {"func", "arr"},
	"mapWithKey":       {"func", "obj"},
	"filter":           {"func", "arr"},
	"filterMap":        {"filter_func", "map_func", "arr"},
	"foldl":            {"func", "arr", "init"},
	"makeArray":        {"sz", "func"},
	"range":            {"from", "to"},
	"flattenArrays":    {"arrs"},
	"objectFields":     {"o"},
	"objectValues":     {"o"},
	"objectHas":        {"o", "f"},
	"objectHasAll":     {"o", "f"},
	"get":              {"o", "f", "default"},
	"mergePatch":       {"target", "patch"},
	"prune":            {"a"},
	"length":           {"x"},
	"isString":         {"v"},
	"isNumber":         {"v"},
	"isBoolean":        {"v"},
	"isObject":         {"v"},
	"isArray":          {"v"},
	"isFunction":       {"v"},
	"type":             {"x"},
	"trace":            {"str", "rest"},
}

func (f *finder) callBuiltin(name string, args []*thunk, named map[ast.Identifier]*thunk) *value {
	params, followed := parameters[name]
	if !followed {
		return nothing
	}
	given := func(i int) *thunk {
		if i < len(args) {
			return args[i]
		}
		if t := named[params[i]]; t != nil {
			return t
		}
		return ready(nothing)
	}
	arg := func(i int) *value { return f.force(given(i)) }
	switch name {
	case "$flatMapArray", "flatMap":
		return f.flatMap(arg(1), func(item *thunk) *value { return f.call(arg(0), []*thunk{item}, nil) })
	case "filter":
		return f.filter(arg(0), arg(1))
	case "filterMap":
		return f.mapped(f.filter(arg(0), arg(2)), func(_ int, t *thunk) *value { return f.call(arg(1), []*thunk{t}, nil) })
	case "map":
		return f.mapped(arg(1), func(_ int, t *thunk) *value { return f.call(arg(0), []*thunk{t}, nil) })
	case "mapWithIndex":
		return f.mapped(arg(1), func(i int, t *thunk) *value {
			at := nothing
			if i >= 0 {
				at = &value{kind: scalar, scalar: float64(i)}
			}
			return f.call(arg(0), []*thunk{ready(at), t}, nil)
		})
	case "makeArray":
		numbers := f.numbers(&value{kind: scalar, scalar: 0.0}, f.plus(arg(0), &value{kind: scalar, scalar: -1.0}))
		return f.mapped(numbers, func(_ int, t *thunk) *value { return f.call(arg(1), []*thunk{t}, nil) })
	case "range":
		return f.numbers(arg(0), arg(1))
	case "flattenArrays":
		return f.flatMap(arg(0), f.force)
	case "foldl":
		return f.fold(arg(0), arg(1), arg(2))
	case "$objectFlatMerge":
		return f.fold(nil, arg(0), &value{kind: record, object: &object{}})
	case "mergePatch":
		if arg(0).kind == record && arg(1).kind == record {
			return f.patch(arg(0), arg(1))
		}
		return arg(1)
	case "prune":
		return arg(0)
	case "trace":
		return arg(1)
	case "mapWithKey", "objectFields", "objectValues", "objectHas", "objectHasAll", "get":
		return f.objectBuiltin(name, arg, given)
	case "length":
		switch v := arg(0); {
		case v.exact():
			return &value{kind: scalar, scalar: float64(len(v.items) + len(v.tail))}
		case v.kind == scalar:
			if s, ok := v.scalar.(string); ok {
				return &value{kind: scalar, scalar: float64(utf8.RuneCountInString(s))}
			}
		}
		return nothing
	}
	is := typeOf(arg(0))
	switch {
	case is == "":
		return nothing
	case name == "type":
		return &value{kind: scalar, scalar: is}
	}
	return truth(strings.EqualFold(name, "is"+is))
}

func typeOf(v *value) string {
	switch v.kind {
	case list:
		return "array"
	case record:
		return "object"
	case function:
		return "function"
	case scalar:
		switch v.scalar.(type) {
		case string:
			return "string"
		case float64:
			return "number"
		case bool:
			return "boolean"
		}
		return "null"
	}
	return ""
}

// objectBuiltin are the functions of std about the fields of an object.
func (f *finder) objectBuiltin(name string, arg func(int) *value, given func(int) *thunk) *value {
	of := arg(0)
	if name == "mapWithKey" {
		of = arg(1)
	}
	if of.kind == choice {
		of = f.settle(of, nil, false)
	}
	fields, ok := f.visible(of)
	if of.kind != record || !ok && name != "get" {
		return nothing
	}
	switch name {
	case "objectFields", "objectValues":
		v := &value{kind: list}
		for _, field := range fields {
			if name == "objectValues" {
				v.items = append(v.items, f.field(of, field.name).value)
			} else {
				v.items = append(v.items, ready(&value{kind: scalar, scalar: field.name, at: field.key}))
			}
		}
		return v
	case "mapWithKey":
		c := &code{index: map[string]int{}}
		for _, field := range fields {
			key := ready(&value{kind: scalar, scalar: field.name, at: field.key})
			inner := f.field(of, field.name).value
			c.add(codeField{name: field.name, key: field.key, made: &thunk{compute: func() *value {
				return f.call(arg(0), []*thunk{key, inner}, nil)
			}}})
		}
		return &value{kind: record, object: &object{layers: []layer{{code: c}}}}
	}
	wanted, ok := arg(1).scalar.(string)
	if !ok {
		return nothing
	}
	m := f.field(of, wanted)
	switch {
	case name != "get":
		return truth(m != nil)
	case m != nil:
		return f.force(m.value)
	}
	return f.force(given(2))
}

// visible returns the fields that an object shows, sorted by name, and whether their names are all known.
func (f *finder) visible(v *value) ([]codeField, bool) {
	if v.kind != record || f.steps > maxSteps {
		return nil, false
	}
	found := map[string]codeField{}
	for _, l := range v.object.layers {
		for _, field := range f.fieldsOf(l.code) {
			f.steps++
			if field.any {
				return nil, false
			}
			found[field.name] = field
		}
	}
	var all []codeField
	for _, field := range found {
		if !field.hidden {
			all = append(all, field)
		}
	}
	slices.SortFunc(all, func(a, b codeField) int { return cmp.Compare(a.name, b.name) })
	return all, true
}

// mapped is the list of what do makes of each element; the position is -1 where it is not known.
func (f *finder) mapped(v *value, do func(int, *thunk) *value) *value {
	later := func(i int, t *thunk) *thunk { return &thunk{compute: func() *value { return do(i, t) }} }
	if v.kind != list {
		return &value{kind: list, each: later(-1, ready(nothing))}
	}
	f.steps += len(v.items) + len(v.tail)
	out := &value{kind: list}
	for i, t := range v.items {
		out.items = append(out.items, later(i, t))
	}
	for _, t := range v.tail {
		out.tail = append(out.tail, later(-1, t))
	}
	if v.each != nil {
		out.each = later(-1, v.each)
	}
	return out
}

// flatMap is the lists that do makes of each element, one behind the other.
func (f *finder) flatMap(v *value, do func(*thunk) *value) *value {
	out := &value{kind: list}
	if v.kind != list {
		v = &value{kind: list, each: ready(nothing)}
	}
	all := f.elements(v)
	exact := v.exact()
	var candidates []*thunk
	for i, item := range all {
		made := do(item)
		if made.kind == choice { // An element that a condition keeps or leaves out.
			exact = false
			for _, c := range made.choices {
				if one := f.force(c); one.kind == list && len(one.items) > 0 {
					made = one
					break
				}
			}
		}
		if made.kind != list {
			exact = false
			continue
		}
		f.steps += 1 + len(made.items)
		exact = exact && made.exact()
		if exact {
			out.items = append(out.items, made.items...)
		}
		if i < 256 {
			candidates = append(candidates, made.items...)
			if made.each != nil {
				candidates = append(candidates, made.each)
			}
		}
	}
	if exact {
		return out
	}
	return &value{kind: list, each: ready(&value{kind: choice, choices: candidates})}
}

// elements are all elements of a list that are known. Beyond the bound of the search there are none.
func (f *finder) elements(v *value) []*thunk {
	all := slices.Concat(v.items, v.tail)
	if v.each != nil {
		all = append(all, v.each)
	}
	if f.steps += len(all); f.steps > maxSteps {
		return nil
	}
	return all
}

// filter is the elements that a function keeps.
func (f *finder) filter(keep, v *value) *value {
	return f.flatMap(v, func(item *thunk) *value {
		one := &value{kind: list, items: []*thunk{item}}
		switch kept := f.call(keep, []*thunk{item}, nil); {
		case kept.kind == scalar && kept.scalar == true:
			return one
		case kept.kind == scalar:
			return &value{kind: list}
		}
		return &value{kind: choice, choices: []*thunk{ready(one), ready(&value{kind: list})}}
	})
}

// fold puts the elements of a list together with a function, or with + where it is nil.
func (f *finder) fold(fn, v, start *value) *value {
	if v.kind != list {
		return nothing
	}
	all := f.elements(v)
	sum := start
	for _, t := range all {
		if fn == nil {
			sum = f.plus(sum, f.force(t))
		} else {
			sum = f.call(fn, []*thunk{ready(sum), t}, nil)
		}
	}
	return sum
}

// numbers is std.range.
func (f *finder) numbers(from, to *value) *value {
	a, ok1 := from.scalar.(float64)
	b, ok2 := to.scalar.(float64)
	// Beyond this, adding 1 to a float64 may change nothing.
	const exact = 1 << 50
	if !ok1 || !ok2 || !(a > -exact && b < exact) || b-a >= maxElements {
		return &value{kind: list, each: ready(nothing)}
	}
	v := &value{kind: list}
	for n := a; n <= b; n++ {
		f.steps++
		v.items = append(v.items, ready(&value{kind: scalar, scalar: n}))
	}
	return v
}
