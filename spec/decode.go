package spec

import (
	"fmt"
	"reflect"
	"strings"
)

// decoder fills Go values from nodes, strictly: every field must be known and of the right type. It reports what is
// wrong and goes on.
type decoder struct {
	report func(p Place, summary, hint string)
}

var (
	durationType = reflect.TypeFor[Duration]()
	nodeType     = reflect.TypeFor[*node]()
)

// decode fills v. what names the value for people: a field in quotes, or the resource.
func (d *decoder) decode(n *node, v reflect.Value, what string) {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if n.kind == nullNode {
		return // What is null is not set.
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, v, what)
		return
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), what)
		return
	case v.Kind() == reflect.Interface:
		v.Set(reflect.ValueOf(n.json()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if d.want(n, objectNode, what, "a map of fields") {
			d.object(n, v, what)
		}
	case reflect.Map:
		if d.want(n, objectNode, what, "a map") {
			v.Set(reflect.MakeMap(v.Type()))
			for _, f := range n.fields {
				item := reflect.New(v.Type().Elem()).Elem()
				d.decode(f.value, item, fmt.Sprintf("%q", f.name))
				v.SetMapIndex(reflect.ValueOf(f.name).Convert(v.Type().Key()), item)
			}
		}
	case reflect.Slice:
		if d.want(n, listNode, what, "a list") {
			v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
			for i, item := range n.items {
				d.decode(item, v.Index(i), "each item of "+what)
			}
		}
	case reflect.String:
		if text, ok := n.value.(string); ok {
			v.SetString(text)
		} else {
			d.wrong(n, what, "text", quoteHint(n))
		}
	case reflect.Bool:
		if b, ok := n.value.(bool); ok {
			v.SetBool(b)
		} else {
			d.wrong(n, what, "true or false", "")
		}
	case reflect.Int:
		if i, ok := n.value.(int64); ok && !v.OverflowInt(i) {
			v.SetInt(i)
		} else {
			d.wrong(n, what, "a whole number", "")
		}
	default:
		d.wrong(n, what, "nothing that can be written", "")
	}
}

func quoteHint(n *node) string {
	if n.kind == scalarNode {
		return fmt.Sprintf("put it in quotes: %q", n.written)
	}
	return ""
}

func (d *decoder) want(n *node, kind nodeKind, what, want string) bool {
	if n.kind == kind {
		return true
	}
	hint := ""
	if kind == listNode && n.kind == scalarNode {
		hint = fmt.Sprintf("write [%s]", shorten(n.written, 40))
	}
	d.wrong(n, what, want, hint)
	return false
}

func (d *decoder) wrong(n *node, what, want, hint string) {
	d.report(n.place(), fmt.Sprintf("%s wants %s, not %s", what, want, n.describe()), hint)
}

func (d *decoder) duration(n *node, v reflect.Value, what string) {
	text, ok := n.value.(string)
	if !ok {
		d.wrong(n, what, "a duration", "write a number and a unit, such as 30s, 10m or 72h")
		return
	}
	if text == "" {
		return
	}
	parsed, err := ParseDuration(text)
	if err != nil {
		summary, hint, _ := strings.Cut(err.Error(), ": ")
		d.report(n.place(), what+": "+summary, hint)
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) object(n *node, v reflect.Value, what string) {
	for _, f := range n.fields {
		index, ok := fieldIndex(v.Type(), f.name)
		if !ok {
			names := fieldNames(v.Type())
			d.report(f.key.place(), fmt.Sprintf("unknown field %q in %s", f.name, what),
				didYouMean(f.name, names, "known are "+strings.Join(names, ", ")))
			continue
		}
		d.decode(f.value, v.Field(index), fmt.Sprintf("%q", f.name))
	}
}

func fieldIndex(t reflect.Type, name string) (int, bool) {
	for i := range t.NumField() {
		if fieldName(t.Field(i)) == name {
			return i, true
		}
	}
	return 0, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		names = append(names, fieldName(t.Field(i)))
	}
	return names
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
