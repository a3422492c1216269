package spec

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// decoder fills Go values from nodes, strictly: every field must be known, of the right type, and as its rules say. It
// reports what is wrong and goes on.
type decoder struct {
	report func(p Place, summary, hint string)
	// broken says that a field is unknown or of the wrong type: what is missing may be what was meant by it.
	broken bool
	// partial says that what is decoded is merged over something else, which has the fields that are missing here. What is
	// in a list is whole all the same.
	partial bool
	// later collects the paths of fields that are checked and not reconciled yet.
	later []string
	path  []string
}

var (
	durationType = reflect.TypeFor[Duration]()
	secretType   = reflect.TypeFor[SecretRef]()
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
		if bare := shapeOf(v.Type()).bare; bare != nil && n.isText() {
			d.decode(n, v.FieldByIndex(bare.Index), what)
			d.check(n, bare, what)
		} else if v.Type() == secretType && n.kind == scalarNode { // It may be the secret itself.
			d.broken = true
			d.report(n.place(), what+" is a reference to a secret, and never the secret itself", "write "+strings.Trim(what, `"`)+": {env: NAME}; if a secret was committed, replace it")
		} else if d.want(n, objectNode, what, itemWant(v.Type())) {
			d.object(n, v, what)
		}
	case reflect.Map:
		if d.want(n, objectNode, what, "a map") {
			v.Set(reflect.MakeMapWithSize(v.Type(), len(n.fields)))
			for _, f := range n.fields {
				item := reflect.New(v.Type().Elem()).Elem()
				value := f.value
				if value.kind == nullNode && item.Kind() == reflect.Struct { // It is there, and says nothing.
					value = &node{kind: objectNode, file: value.file, line: value.line, column: value.column}
				}
				d.decode(value, item, fmt.Sprintf("%q", f.name))
				v.SetMapIndex(reflect.ValueOf(f.name).Convert(v.Type().Key()), item)
			}
		}
	case reflect.Slice:
		if d.want(n, listNode, what, "a list") {
			v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
			partial := d.partial
			d.partial = false
			for i, item := range n.items {
				if item.kind == nullNode && v.Type().Elem().Kind() != reflect.Interface {
					d.wrong(item, "each item of "+what, itemWant(v.Type().Elem()), "remove it")
					continue
				}
				d.decode(item, v.Index(i), "each item of "+what)
			}
			d.partial = partial
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
		if i, ok := whole(n.value); ok && !v.OverflowInt(i) {
			v.SetInt(i)
		} else {
			d.wrong(n, what, "a whole number", "")
		}
	case reflect.Float64:
		switch number := n.value.(type) {
		case int64:
			v.SetFloat(float64(number))
		case float64:
			v.SetFloat(number)
		default:
			d.wrong(n, what, "a number", "")
		}
	default:
		d.wrong(n, what, "nothing that can be written", "")
	}
}

// itemWant says what an item of a list is.
func itemWant(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Struct && shapeOf(t).bare != nil:
		return "text or a map of fields"
	case t.Kind() == reflect.Struct:
		return "a map of fields"
	}
	return "text"
}

// whole returns a number without a fraction, which JSON may also write as 3.0.
func whole(value any) (int64, bool) {
	i, ok := plainNumberOf(value).(int64)
	return i, ok
}

func plainNumberOf(value any) any {
	if f, ok := value.(float64); ok {
		return plainNumber(f)
	}
	return value
}

func quoteHint(n *node) string {
	if n.kind == scalarNode {
		return fmt.Sprintf("put it in quotes: %q", n.written)
	}
	return ""
}

// plainItem is a text that needs no quotes in a list of YAML.
var plainItem = regexp.MustCompile(`^[A-Za-z0-9_/][A-Za-z0-9_./-]*$`)

func (d *decoder) want(n *node, kind nodeKind, what, want string) bool {
	if n.kind == kind {
		return true
	}
	hint := ""
	if kind == listNode && n.kind == scalarNode {
		item := shorten(n.written, 40)
		if !plainItem.MatchString(item) {
			item = strconv.Quote(item)
		}
		hint = fmt.Sprintf("write [%s]", item)
	}
	d.wrong(n, what, want, hint)
	return false
}

func (d *decoder) wrong(n *node, what, want, hint string) {
	d.broken = true
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
		d.broken = true
		d.report(n.place(), what+": "+summary, hint)
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) object(n *node, v reflect.Value, what string) {
	shape := shapeOf(v.Type())
	unknown := false
	for _, f := range n.fields {
		i, ok := shape.byName[f.name]
		if !ok {
			unknown, d.broken = true, true
			d.report(f.key.place(), fmt.Sprintf("unknown field %q in %s", f.name, what),
				shape.meant(f.name))
			continue
		}
		rules := &shape.fields[i]
		d.path = append(d.path, f.name)
		if f.value.kind != nullNode && rules.Later {
			d.later = append(d.later, strings.Join(d.path, "."))
		}
		name := rules.quoted
		d.decode(f.value, v.FieldByIndex(rules.Index), name)
		if f.value.kind != nullNode {
			d.check(f.value, rules, name)
		}
		d.path = d.path[:len(d.path)-1]
	}
	if d.partial || unknown {
		return
	}
	for _, i := range shape.required {
		if rules := &shape.fields[i]; !n.has(rules.Name) {
			d.report(n.at(rules.Name).place(), fmt.Sprintf("%s is missing in %s", rules.quoted, strings.Replace(what, "each item", "an item", 1)), rules.Hint)
		}
	}
}
