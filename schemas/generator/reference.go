package generator

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/spec"
)

// The reference in spec/README.md stands between these lines.
const (
	beginReference = "<!-- reference: made by go generate ./schemas -->"
	endReference   = "<!-- end of the reference -->"
)

// reference describes all kinds and the types of their fields, as Markdown.
func (g *generator) reference() string {
	var b strings.Builder
	for _, kind := range schemas.Kinds() {
		t := spec.Written[kind]
		fmt.Fprintf(&b, "\n### %s\n\n%s", kind, g.doc(t.Name()))
		if kind.OnlyChecked() {
			b.WriteString(" **This version checks the kind, and does not act on it yet.**")
		}
		b.WriteString("\n\n")
		g.table(&b, t)
	}
	b.WriteString("\n### Types\n")
	seen := map[reflect.Type]bool{}
	var order []reflect.Type
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		order = append(order, t)
		for _, r := range spec.RulesOf(t) {
			visit(t.FieldByIndex(r.Index).Type)
		}
	}
	for _, kind := range schemas.Kinds() {
		t := spec.Written[kind]
		for _, r := range spec.RulesOf(t) {
			visit(t.FieldByIndex(r.Index).Type)
		}
	}
	for _, t := range order {
		fmt.Fprintf(&b, "\n#### %s\n\n%s\n\n", t.Name(), g.doc(t.Name()))
		g.table(&b, t)
	}
	b.WriteString("\n")
	return b.String()
}

func (g *generator) table(b *strings.Builder, t reflect.Type) {
	b.WriteString("| field | type | limits | meaning |\n|---|---|---|---|\n")
	for _, r := range spec.RulesOf(t) {
		f := t.FieldByIndex(r.Index)
		owner := t
		if len(r.Index) > 1 {
			owner = t.FieldByIndex(r.Index[:len(r.Index)-1]).Type
		}
		text := g.doc(owner.Name() + "." + f.Name)
		if r.Later {
			text += " *Only checked.*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", r.Name, typeName(f.Type), strings.ReplaceAll(limits(&r), "|", "\\|"), strings.ReplaceAll(text, "|", "\\|"))
	}
}

// typeName is a type as people know it, with a link to what it is made of.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "map of " + typeName(t.Elem())
	case t.Kind() == reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
	}
	return map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false", reflect.Int: "whole number", reflect.Float64: "number", reflect.Interface: "any value"}[t.Kind()]
}

// limits are a field's rules in words.
func limits(r *spec.Rules) string {
	var parts []string
	if r.Required {
		parts = append(parts, "required")
	}
	if len(r.Enum) > 0 {
		parts = append(parts, "`"+strings.Join(r.Enum, "`, `")+"`")
	}
	switch {
	case r.Min != "" && r.Max != "":
		parts = append(parts, r.Min+" to "+r.Max)
	case r.Min != "":
		parts = append(parts, "at least "+r.Min)
	case r.Max != "":
		parts = append(parts, "at most "+r.Max)
	}
	if r.Pattern != "" {
		parts = append(parts, spec.Patterns[r.Pattern].Noun)
	}
	if r.Default != "" {
		parts = append(parts, "default `"+r.Default+"`")
	}
	return strings.Join(parts, "; ")
}
