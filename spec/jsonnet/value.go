package jsonnet

import "github.com/google/go-jsonnet/ast"

// kind is what is known of a value.
type kind int

const (
	unknown  kind = iota // anything
	scalar               // a text, a number, true, false or null
	list                 // an array
	record               // an object
	function             // a function written in Jsonnet
	builtin              // a function of std, or std itself
	choice               // one of several values
)

// value is what the finder knows of a value of the program.
type value struct {
	kind kind
	// at is where the value was written, or nil where that is not in a file of the repository.
	at *Place
	// scalar is string, float64, bool or nil.
	scalar any
	// items are the first elements of a list, and tail the last. Those between are each; where each is nil there are none.
	items, tail []*thunk
	each        *thunk
	object      *object
	fn          *ast.Function
	env         *env
	// name is that of a builtin; "" is std.
	name string
	// choices are what a choice is one of, the likelier first.
	choices []*thunk
}

var nothing = &value{}

// env is where names are looked up.
type env struct {
	names map[ast.Identifier]*thunk
	outer *env
	// self is the object that the code is in, and layer the position in it; nil outside of objects.
	self  *object
	layer int
}

func (e *env) lookUp(name ast.Identifier) *thunk {
	for ; e != nil; e = e.outer {
		if t, ok := e.names[name]; ok {
			return t
		}
	}
	return nil
}

// inner returns an environment with more names.
func (e *env) inner() *env {
	return &env{names: map[ast.Identifier]*thunk{}, outer: e, self: e.self, layer: e.layer}
}

// thunk is a value that is computed when it is needed.
type thunk struct {
	node ast.Node
	env  *env
	// compute takes the place of node.
	compute func() *value
	value   *value
	busy    bool
}

func ready(v *value) *thunk { return &thunk{value: v} }

// object is the objects that + put together, the leftmost first.
type object struct {
	layers []layer
	// envs are where the fields of each layer look names up; they are made when they are needed.
	envs []*env
}

// layer is one object literal, or what is like one.
type layer struct {
	code *code
	// patch says that objects in its fields are merged with those beneath, as std.mergePatch does.
	patch bool
}

// code is an object literal where it stands.
type code struct {
	node *ast.DesugaredObject // nil for an object that a builtin made
	env  *env
	// fields are computed when they are needed, and index then finds them by name. wild is one whose name is not known.
	fields []codeField
	index  map[string]int
	wild   *codeField
}

// add appends a field. Of two of the same name the first counts; the engine has refused such an object.
func (c *code) add(field codeField) {
	if _, there := c.index[field.name]; !there && !field.any {
		c.index[field.name] = len(c.fields)
	}
	c.fields = append(c.fields, field)
	if field.any {
		c.wild = &field
	}
}

type codeField struct {
	name string
	// any says that the name is not known.
	any    bool
	hidden bool
	plus   bool
	key    *Place
	body   ast.Node
	// made is the value in place of body.
	made *thunk
}

// item returns an element of a list that has n of them, or nil.
func (v *value) item(i, n int) *thunk {
	switch {
	case i < len(v.items):
		return v.items[i]
	case i >= n-len(v.tail) && i < n:
		return v.tail[len(v.tail)-(n-i)]
	}
	return v.each
}

// exact reports whether all elements of a list are known.
func (v *value) exact() bool { return v.kind == list && v.each == nil }

func (v *value) container() bool { return v.kind == list || v.kind == record || v.kind == choice }
