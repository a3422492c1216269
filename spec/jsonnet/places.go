package jsonnet

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-jsonnet/ast"
)

// The bounds of the search for places. What lies behind them has the place of what is around it.
const (
	// maxSteps is how many expressions are looked at.
	maxSteps = 1_000_000
	// maxNesting is how deep expressions need one another.
	maxNesting = 2000
	// maxPlaces is how many places are found, and maxPointers how long their pointers are together, in bytes.
	maxPlaces   = 200_000
	maxPointers = 16 << 20
	// maxElements is how many elements of a list that the program computes are told apart, and how many objects are put
	// together with + into one.
	maxElements = 10_000
	maxLayers   = 256
	// maxFit is how deep a value is compared with the outcome to tell whether it is what became of it.
	maxFit = 4
)

// finder finds where the values of a program were written. It follows the program as the engine does, but knows only what
// is easy to know; where it has to guess, it prefers what fits the outcome.
type finder struct {
	*program
	steps, nesting int
	pointers       int
	files          map[string]*thunk
	places, keys   map[string]Place
}

// places returns where the values in tree were written, which the file of node evaluates to.
func (p *program) places(node ast.Node, tree any) (places, keys map[string]Place) {
	f := &finder{program: p, files: map[string]*thunk{}, places: map[string]Place{}, keys: map[string]Place{}}
	top := Place{p.in.Entry, 1, 1}
	f.places[""] = top
	f.walk("", tree, &member{value: f.file(p.in.Entry, node)}, top)
	return f.places, f.keys
}

// placeOf returns the place of one value, or the nearest around it. The path holds names and positions.
func (p *program) placeOf(node ast.Node, path []any) Place {
	f := &finder{program: p, files: map[string]*thunk{}}
	place := Place{p.in.Entry, 1, 1}
	t, key := f.file(p.in.Entry, node), (*Place)(nil)
	for i := 0; ; i++ {
		v := f.force(t)
		if v.kind == choice {
			v = f.settle(v, nil, false)
		}
		switch {
		case v.at != nil:
			place = *v.at
		case key != nil: // As for a method, which has no expression of its own.
			place = *key
		}
		if i == len(path) {
			return place
		}
		t, key = nil, nil
		switch step := path[i].(type) {
		case string:
			if m := f.field(v, step); m != nil {
				t, key = m.value, m.key
			}
		case int:
			if v.kind == list {
				t = v.item(step, len(v.items)+len(v.tail))
			}
		}
		if t == nil {
			return place
		}
	}
}

// walk finds the places of a value and all in it. around is the place of the value that it is in.
func (f *finder) walk(pointer string, outcome any, m *member, around Place) {
	v := f.force(m.value)
	if v.kind == choice {
		v = f.settle(v, outcome, true)
	}
	at := v.at
	if at == nil {
		at = m.key
	}
	if at != nil && *at != around {
		f.places[pointer] = *at
		f.pointers += len(pointer)
		around = *at
	}
	visit := func(step string, inner any, m *member) {
		inside := pointer + "/" + step
		if m == nil || f.pointers > maxPointers || len(f.places)+len(f.keys) > maxPlaces {
			return
		}
		if m.key != nil {
			f.keys[inside] = *m.key
			f.pointers += len(inside)
		}
		f.walk(inside, inner, m, around)
	}
	switch outcome := outcome.(type) {
	case []any:
		for i, inner := range outcome {
			if v.kind == list {
				if item := v.item(i, len(outcome)); item != nil {
					visit(strconv.Itoa(i), inner, &member{value: item})
				}
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(outcome)) {
			visit(escape.Replace(name), outcome[name], f.fitting(v, name, outcome[name]))
		}
	}
}

// escape writes a name as a step of a JSON pointer.
var escape = strings.NewReplacer("~", "~0", "/", "~1")

// fitting returns the field that became outcome: the one of the rightmost object that has it, unless that cannot be.
func (f *finder) fitting(v *value, name string, outcome any) *member {
	if v.kind != record {
		return nil
	}
	var first *member
	for below := len(v.object.layers); below > 0; {
		m, at := f.fieldBelow(v.object, name, below)
		if m == nil {
			break
		}
		if f.fits(outcome, m.value, 1) {
			return m
		}
		if first == nil {
			first = m
		}
		below = at
	}
	return first
}

// settle returns the choice that became outcome, or the likeliest where the outcome is not known.
func (f *finder) settle(v *value, outcome any, known bool) *value {
	at := v.at
	for depth := 0; v.kind == choice && depth < maxFit && len(v.choices) > 0; depth++ {
		chosen := v.choices[0]
		for _, c := range v.choices {
			if !known || f.fits(outcome, c, 0) {
				chosen = c
				break
			}
		}
		v = f.force(chosen)
	}
	if v.at == nil && at != nil {
		v = v.placed(at)
	}
	return v
}

// fits reports whether a value may have become outcome.
func (f *finder) fits(outcome any, t *thunk, depth int) bool {
	v := f.force(t)
	if f.steps++; depth > maxFit || f.steps > maxSteps {
		return true
	}
	switch v.kind {
	case scalar:
		switch o := outcome.(type) {
		case []any, map[string]any:
			return false
		case json.Number:
			n, ok := v.scalar.(float64)
			if !ok {
				return false
			}
			written, err := o.Float64()
			return err == nil && n == written
		default:
			return o == v.scalar
		}
	case list:
		o, ok := outcome.([]any)
		if !ok || v.exact() && len(o) != len(v.items)+len(v.tail) {
			return false
		}
		for i := 0; i < min(len(o), 16); i++ {
			if item := v.item(i, len(o)); item != nil && !f.fits(o[i], item, depth+1) {
				return false
			}
		}
	case record:
		o, ok := outcome.(map[string]any)
		if !ok {
			return false
		}
		for _, name := range slices.Sorted(maps.Keys(o)) {
			m, _ := f.fieldBelow(v.object, name, len(v.object.layers))
			if m == nil || !f.fits(o[name], m.value, depth+1) {
				return false
			}
		}
	case choice:
		return slices.ContainsFunc(v.choices, func(c *thunk) bool { return f.fits(outcome, c, depth+1) })
	case function, builtin:
		return false
	}
	return true
}

func (v *value) placed(at *Place) *value {
	c := *v
	c.at = at
	return &c
}
