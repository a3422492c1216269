package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// maxFaults is how many faults of an answer are told at once.
const maxFaults = 10

// maxFaultDepth bounds how deep an answer is looked into for them.
const maxFaultDepth = 64

// faults says what of an answer does not fit the schema: each place, what is wrong there, and what is allowed. The validator
// has found that something is; it says where in the schema, and whoever mends the answer needs to know where in the answer.
func (c *OutputCheck) faults(value any, err error) string {
	f := faultFinder{root: c.schema, whole: "the answer"}
	f.look(c.schema, value, "", 0)
	if len(f.found) == 0 {
		f.add("", "%s", shorten(err.Error(), 500))
	}
	var b strings.Builder
	b.WriteString("The answer does not fit its JSON Schema. Mend this, and answer with the whole JSON value alone:")
	for i, fault := range f.found {
		if i == maxFaults {
			fmt.Fprintf(&b, "\n- and %d more", len(f.found)-maxFaults)
			break
		}
		b.WriteString("\n- " + fault)
	}
	return b.String()
}

// SchemaFaults says what of the arguments of a tool does not fit the tool's JSON Schema: each place, what is wrong there, and what is
// allowed, at most ten of them. It returns nil where they fit, and where the schema is of a kind that is not checked here.
func SchemaFaults(schema, arguments json.RawMessage) []string {
	read, resolved, err := readSchema(schema)
	if err != nil {
		return nil
	}
	var value any
	if err := json.Unmarshal(arguments, &value); err != nil {
		return []string{err.Error()}
	}
	if _, err := plainValue(value); err != nil {
		return []string{err.Error()}
	}
	if err = resolved.Validate(value); err == nil {
		return nil
	}
	f := faultFinder{root: read, whole: "the object"}
	f.look(read, value, "", 0)
	if len(f.found) == 0 {
		f.add("", "is wrong: %s", shorten(err.Error(), 500))
	}
	return f.found[:min(len(f.found), maxFaults)]
}

// faultFinder walks through a value and its schema side by side.
type faultFinder struct {
	root *jsonschema.Schema
	// whole is what the value is called.
	whole string
	found []string
}

func (f *faultFinder) add(path, format string, args ...any) {
	where := f.whole
	if path != "" {
		where = "`" + shorten(strings.TrimPrefix(path, "."), 200) + "`"
	}
	fault := where + " " + fmt.Sprintf(format, args...)
	if !slices.Contains(f.found, fault) {
		f.found = append(f.found, fault)
	}
}

// look adds the faults of the value at a path.
func (f *faultFinder) look(s *jsonschema.Schema, value any, path string, depth int) {
	if s == nil || depth > maxFaultDepth {
		return
	}
	if s.Ref != "" {
		f.look(referred(f.root, s.Ref), value, path, depth+1)
	}
	if types := typesOf(s); len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return isType(value, t) }) {
		f.add(path, "is %s, and must be %s", describeJSON(value), strings.Join(types, " or "))
		return // What else would be asked of it is asked of another type.
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return sameJSON(e, value) }) {
		f.add(path, "is %s, and must be one of %s", showJSON(value), showAll(s.Enum))
	}
	if s.Const != nil && !sameJSON(*s.Const, value) {
		f.add(path, "is %s, and must be %s", showJSON(value), showJSON(*s.Const))
	}
	switch v := value.(type) {
	case float64:
		f.number(s, v, path)
	case string:
		f.text(s, v, path)
	case []any:
		f.list(s, v, path, depth)
	case map[string]any:
		f.object(s, v, path, depth)
	}
	for _, part := range s.AllOf {
		f.look(part, value, path, depth+1)
	}
	if len(s.AnyOf) > 0 && !f.fits(&jsonschema.Schema{AnyOf: s.AnyOf}, value) {
		f.add(path, "is %s, and must fit any of these schemas: %s", showJSON(value), showAll(s.AnyOf))
	}
	if len(s.OneOf) > 0 && !f.fits(&jsonschema.Schema{OneOf: s.OneOf}, value) {
		f.add(path, "is %s, and must fit exactly one of these schemas: %s", showJSON(value), showAll(s.OneOf))
	}
	if s.Not != nil && f.fits(s.Not, value) {
		f.add(path, "is %s, and must not fit the schema %s", showJSON(value), showJSON(s.Not))
	}
}

// fits asks the validator about a part of the schema. A part that it cannot read by itself is taken to fit: then the
// validator's own words are told.
func (f *faultFinder) fits(part *jsonschema.Schema, value any) bool {
	raw, err := json.Marshal(map[string]any{"$defs": f.root.Defs, "definitions": f.root.Definitions, "allOf": []any{part}})
	if err != nil {
		return true
	}
	_, resolved, err := readSchema(raw)
	return err != nil || resolved.Validate(value) == nil
}

func (f *faultFinder) number(s *jsonschema.Schema, v float64, path string) {
	for _, b := range []struct {
		bound *float64
		wrong bool
		must  string
	}{
		{s.Minimum, s.Minimum != nil && v < *s.Minimum, "at least"},
		{s.Maximum, s.Maximum != nil && v > *s.Maximum, "at most"},
		{s.ExclusiveMinimum, s.ExclusiveMinimum != nil && v <= *s.ExclusiveMinimum, "more than"},
		{s.ExclusiveMaximum, s.ExclusiveMaximum != nil && v >= *s.ExclusiveMaximum, "less than"},
		{s.MultipleOf, s.MultipleOf != nil && math.Mod(v, *s.MultipleOf) != 0, "a multiple of"},
	} {
		if b.wrong {
			f.add(path, "is %s, and must be %s %s", showJSON(v), b.must, showJSON(*b.bound))
		}
	}
}

func (f *faultFinder) text(s *jsonschema.Schema, v, path string) {
	f.size(s.MinLength, s.MaxLength, utf8.RuneCountInString(v), "character", "characters", path)
	if s.Pattern != "" {
		if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(v) {
			f.add(path, "is %s, and must match the regular expression %q", showJSON(v), s.Pattern)
		}
	}
}

// size adds the fault of something that has too little or too much in it.
func (f *faultFinder) size(least, most *int, n int, one, many, path string) {
	if n == 1 {
		many = one
	}
	switch {
	case least != nil && n < *least:
		f.add(path, "has %d %s, and must have at least %d", n, many, *least)
	case most != nil && n > *most:
		f.add(path, "has %d %s, and must have at most %d", n, many, *most)
	}
}

func (f *faultFinder) list(s *jsonschema.Schema, v []any, path string, depth int) {
	f.size(s.MinItems, s.MaxItems, len(v), "item", "items", path)
	if s.UniqueItems {
		for i, item := range v {
			if j := slices.IndexFunc(v[:i], func(other any) bool { return sameJSON(other, item) }); j >= 0 {
				f.add(path, "holds %s twice, at %d and %d, and must hold no item twice", showJSON(item), j, i)
				break
			}
		}
	}
	for i, item := range v {
		of := s.Items
		if i < len(s.PrefixItems) {
			of = s.PrefixItems[i]
		}
		f.look(of, item, path+"["+strconv.Itoa(i)+"]", depth+1)
	}
}

func (f *faultFinder) object(s *jsonschema.Schema, v map[string]any, path string, depth int) {
	f.size(s.MinProperties, s.MaxProperties, len(v), "property", "properties", path)
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			f.add(path, "lacks the required property %q", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		of, known := s.Properties[name]
		for _, pattern := range slices.Sorted(maps.Keys(s.PatternProperties)) {
			if re, err := regexp.Compile(pattern); err == nil && re.MatchString(name) {
				f.look(s.PatternProperties[pattern], v[name], join1(path, name), depth+1)
				known = true
			}
		}
		switch {
		case of != nil:
			f.look(of, v[name], join1(path, name), depth+1)
		case known || s.AdditionalProperties == nil:
		case isFalse(s.AdditionalProperties):
			allowed := "none is allowed"
			if len(s.Properties) > 0 {
				allowed = "allowed are " + strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ")
			}
			f.add(path, "has the property %q, which is not allowed; %s", shorten(name, 80), allowed)
		default:
			f.look(s.AdditionalProperties, v[name], join1(path, name), depth+1)
		}
	}
}

// isFalse says that a schema takes nothing: it is written false.
func isFalse(s *jsonschema.Schema) bool {
	raw, err := json.Marshal(s)
	return err == nil && (string(raw) == "false" || string(raw) == `{"not":{}}` || string(raw) == `{"not":true}`)
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// join1 is the path of a property, as in JavaScript.
func join1(path, name string) string {
	if plainName.MatchString(name) {
		return path + "." + name
	}
	return path + "[" + showJSON(name) + "]"
}

func typesOf(s *jsonschema.Schema) []string {
	if s.Type != "" {
		return []string{s.Type}
	}
	return s.Types
}

func isType(value any, name string) bool {
	switch v := value.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case string:
		return name == "string"
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

// describeJSON says what a value is.
func describeJSON(value any) string {
	switch value.(type) {
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case string:
		return "the string " + showJSON(value)
	}
	return showJSON(value)
}

// sameJSON compares values of JSON, in which 1 and 1.0 are the same.
func sameJSON(a, b any) bool {
	x, err := plainValue(a)
	y, err2 := plainValue(b)
	return err == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// showJSON is a value as JSON, cut to what fits a line.
func showJSON(value any) string {
	raw, err := Canonical(value)
	if err != nil {
		return "a value"
	}
	return shorten(string(raw), 120)
}

// showAll lists values as JSON.
func showAll[T any](values []T) string {
	var all []string
	for _, v := range values {
		all = append(all, showJSON(v))
	}
	return shorten(strings.Join(all, ", "), 600)
}
