// Package generator makes schemas and documentation from the written form in package spec: from its types, the rules in
// their tags, and their comments. It writes nothing itself.
package generator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/spec"
)

// Generate returns all files that are made, by their paths from the folder schemas. dir is that of package spec.
func Generate(dir string) (map[string][]byte, error) {
	docs, err := readDocs(dir)
	if err != nil {
		return nil, err
	}
	g := &generator{docs: docs}
	made := map[string][]byte{}
	var all []any
	for _, kind := range schemas.Kinds() {
		s := g.resource(kind)
		all = append(all, map[string]any{"if": map[string]any{"properties": map[string]any{"kind": map[string]any{"const": kind}}}, "then": s})
		lower := strings.ToLower(string(kind))
		if made["json/"+lower+".json"], err = encode(document(s, lower, string(kind))); err != nil {
			return nil, err
		}
		front := g.object(spec.Written[kind], false)
		front["description"] = g.doc(spec.Written[kind].Name())
		if kind != spec.KindFleet && kind != spec.KindAction {
			delete(front, "required") // What Markdown holds below may be the field.
			if made["json/"+lower+".frontmatter.json"], err = encode(document(front, lower+".frontmatter", "front matter of "+string(kind))); err != nil {
				return nil, err
			}
		}
		if made["crds/"+schemas.Plural(kind)+".mainstay.dev.yaml"], err = g.crd(kind); err != nil {
			return nil, err
		}
	}
	var names []any
	for _, kind := range schemas.Kinds() {
		names = append(names, string(kind))
	}
	any := map[string]any{"type": "object", "required": []string{"apiVersion", "kind"}, "properties": map[string]any{"kind": map[string]any{"enum": names}}, "allOf": all}
	if made["json/all.json"], err = encode(document(any, "all", "a resource of any kind")); err != nil {
		return nil, err
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return nil, err
	}
	before, rest, ok := strings.Cut(string(readme), beginReference)
	_, after, ok2 := strings.Cut(rest, endReference)
	if !ok || !ok2 {
		return nil, fmt.Errorf("spec/README.md has no lines %q and %q for the reference to go between", beginReference, endReference)
	}
	made["../spec/README.md"] = []byte(before + beginReference + "\n" + g.reference() + endReference + after)
	if len(g.missing) > 0 {
		return nil, fmt.Errorf("these have no comment in package spec: %s", strings.Join(g.missing, ", "))
	}
	return made, nil
}

type generator struct {
	docs    map[string]string
	missing []string
}

// doc is the comment of a type, or of a field as Type.Field.
func (g *generator) doc(of string) string {
	text, ok := g.docs[of]
	if !ok && !slices.Contains(g.missing, of) {
		g.missing = append(g.missing, of)
	}
	return text
}

func encode(v any) ([]byte, error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	return append(raw, '\n'), err
}

// document makes a schema a whole one.
func document(schema map[string]any, name, title string) map[string]any {
	out := map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://mainstay.dev/schemas/v1alpha1/" + name + ".json", "title": title}
	for k, v := range schema {
		out[k] = v
	}
	return out
}

// resource is the schema of a whole resource.
func (g *generator) resource(kind spec.Kind) map[string]any {
	t := spec.Written[kind]
	inner := g.object(t, false)
	inner["description"] = g.doc(t.Name())
	required := []string{"apiVersion", "kind", "metadata"}
	if inner["required"] != nil {
		required = append(required, "spec")
	} else {
		inner["type"] = []string{"object", "null"}
	}
	name := map[string]any{"type": "string", "minLength": 1, "maxLength": spec.MaxName, "pattern": spec.Patterns["name"].Regexp}
	if kind == spec.KindAction {
		name = map[string]any{"type": "string", "minLength": 1, "maxLength": 128}
	}
	metadata := g.object(reflect.TypeFor[spec.Metadata](), false)
	name["description"] = g.doc("Metadata.Name")
	metadata["properties"].(map[string]any)["name"] = name
	metadata["required"] = []string{"name"}
	metadata["description"] = g.doc("Metadata")
	properties := map[string]any{
		"apiVersion": map[string]any{"const": spec.APIVersion, "description": "The version of the spec language."},
		"kind":       map[string]any{"const": kind, "description": "The kind of the resource."},
		"metadata":   metadata, "spec": inner,
	}
	if kind != spec.KindAction {
		properties["status"] = map[string]any{"description": "What mainstay build writes. It is not read."}
	}
	return map[string]any{"type": "object", "description": g.doc(t.Name()), "properties": properties, "required": required, "additionalProperties": false}
}

// object is the schema of a struct. For a cluster it is one that API servers take.
func (g *generator) object(t reflect.Type, cluster bool) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, r := range spec.RulesOf(t) {
		f := t.FieldByIndex(r.Index)
		owner := t
		if len(r.Index) > 1 { // The comment is at the embedded struct.
			owner = t.FieldByIndex(r.Index[:len(r.Index)-1]).Type
		}
		s := g.value(f.Type, &r, cluster)
		text := g.doc(owner.Name() + "." + f.Name)
		if r.Later {
			text += " This version checks the field, and does not act on it yet."
			s["x-later"] = true
		}
		if cluster {
			delete(s, "x-later")
			delete(s, "x-type")
			delete(s, "x-minimum")
			delete(s, "x-maximum")
		}
		s["description"] = text
		properties[r.Name] = s
		if r.Required {
			required = append(required, r.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties}
	if !cluster {
		out["additionalProperties"] = false
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

var durationType = reflect.TypeFor[spec.Duration]()

// value is the schema of one value. Null means that nothing is set, so that it is allowed where nothing must be.
func (g *generator) value(t reflect.Type, r *spec.Rules, cluster bool) map[string]any {
	required := r != nil && r.Required
	var s map[string]any
	kind := ""
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == durationType:
		kind = "string"
		s = map[string]any{"pattern": `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^\+?0$|^$`, "x-type": "duration"}
	case t.Kind() == reflect.Struct:
		s, kind = g.object(t, cluster), "object"
	case t.Kind() == reflect.Slice:
		s, kind = map[string]any{"items": g.item(t.Elem(), r, cluster)}, "array"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		s, kind = map[string]any{}, "object"
		if cluster {
			s["x-kubernetes-preserve-unknown-fields"] = true
		}
	case t.Kind() == reflect.Map:
		inside := g.value(t.Elem(), nil, cluster)
		if inside["required"] != nil && !cluster {
			inside["type"] = "object"
		}
		s, kind = map[string]any{"additionalProperties": inside}, "object"
	case t.Kind() == reflect.String:
		s, kind = map[string]any{}, "string"
		forms(s, r)
	case t.Kind() == reflect.Bool:
		s, kind = map[string]any{}, "boolean"
	case t.Kind() == reflect.Int:
		s, kind = map[string]any{}, "integer"
	case t.Kind() == reflect.Float64:
		s, kind = map[string]any{}, "number"
	default: // Anything at all.
		if cluster {
			return map[string]any{"x-kubernetes-preserve-unknown-fields": true}
		}
		return map[string]any{}
	}
	bounds(s, kind, t, r)
	switch {
	case required:
		s["type"] = kind
		least := map[string]string{"string": "minLength", "array": "minItems", "object": "minProperties"}[kind]
		if least != "" && s[least] == nil && t.Kind() != reflect.Struct {
			s[least] = 1
		} else if t.Kind() == reflect.Struct {
			s["minProperties"] = 1
		}
	case cluster:
		s["type"] = kind
		if s["enum"] == nil {
			s["nullable"] = true
		}
	default:
		s["type"] = []string{kind, "null"}
		if values, ok := s["enum"].([]any); ok {
			s["enum"] = append(values, nil)
		}
	}
	if r != nil && r.Default != "" {
		s["default"] = defaultValue(kind, r.Default)
	}
	return s
}

// item is the schema of an item of a list, which cannot be null. The forms of a list's texts are those of its rules.
func (g *generator) item(t reflect.Type, list *spec.Rules, cluster bool) map[string]any {
	bare := t.Kind() == reflect.Struct && slices.ContainsFunc(spec.RulesOf(t), func(r spec.Rules) bool { return r.Bare })
	if bare && cluster { // An API server takes no schema of one type or another.
		return map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	}
	s := g.value(t, &spec.Rules{Required: true}, cluster)
	if bare {
		s["type"] = []string{"object", "string"}
	}
	for _, least := range []string{"minLength", "minItems", "minProperties"} {
		delete(s, least) // An item may be empty, if nothing else says that it may not.
	}
	if t.Kind() == reflect.String {
		forms(s, list)
	}
	return s
}

// forms adds what a text can be.
func forms(s map[string]any, r *spec.Rules) {
	if r == nil {
		return
	}
	if len(r.Enum) > 0 {
		var values []any
		for _, v := range r.Enum {
			values = append(values, v)
		}
		s["enum"] = values
	}
	if r.Pattern != "" {
		p := spec.Patterns[r.Pattern]
		s["pattern"] = p.Regexp
		if p.Most > 0 {
			s["maxLength"] = p.Most
		}
	}
}

// bounds adds how small and how large a value can be. JSON Schema has no bounds for durations, which are texts.
func bounds(s map[string]any, kind string, t reflect.Type, r *spec.Rules) {
	if r == nil {
		return
	}
	if t == durationType {
		if r.Min != "" {
			s["x-minimum"] = r.Min
		}
		if r.Max != "" {
			s["x-maximum"] = r.Max
		}
		return
	}
	names := map[string][2]string{"integer": {"minimum", "maximum"}, "number": {"minimum", "maximum"}, "string": {"minLength", "maxLength"},
		"array": {"minItems", "maxItems"}, "object": {"minProperties", "maxProperties"}}[kind]
	for i, bound := range []string{r.Min, r.Max} {
		if n, err := strconv.ParseFloat(bound, 64); err == nil {
			s[names[i]] = n
		}
	}
}

func defaultValue(kind, text string) any {
	switch kind {
	case "integer", "number":
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	case "boolean":
		return text == "true"
	}
	if d, err := time.ParseDuration(text); err == nil && kind != "string" {
		return spec.Duration(d).String()
	}
	return text
}

// crd is the CustomResourceDefinition of a kind (https://kubernetes.io/docs/reference/kubernetes-api/).
func (g *generator) crd(kind spec.Kind) ([]byte, error) {
	inner := g.object(spec.Written[kind], true)
	inner["description"] = g.doc(spec.Written[kind].Name())
	condition := map[string]any{"type": "object", "required": []string{"lastTransitionTime", "message", "reason", "status", "type"}, "properties": map[string]any{
		"lastTransitionTime": map[string]any{"type": "string", "format": "date-time"}, "message": map[string]any{"type": "string", "maxLength": 32768},
		"observedGeneration": map[string]any{"type": "integer", "format": "int64", "minimum": 0}, "reason": map[string]any{"type": "string", "minLength": 1, "maxLength": 1024},
		"status": map[string]any{"type": "string", "enum": []any{"True", "False", "Unknown"}}, "type": map[string]any{"type": "string", "maxLength": 316}}}
	root := map[string]any{"type": "object", "description": g.doc(spec.Written[kind].Name()), "properties": map[string]any{
		"apiVersion": map[string]any{"type": "string"}, "kind": map[string]any{"type": "string"}, "metadata": map[string]any{"type": "object"}, "spec": inner,
		"status": map[string]any{"type": "object", "properties": map[string]any{
			"conditions": map[string]any{"type": "array", "items": condition, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"type"}},
			"digest":     map[string]any{"type": "string"}, "observedGeneration": map[string]any{"type": "integer", "format": "int64"}, "revision": map[string]any{"type": "string"}}}}}
	if inner["required"] != nil {
		root["required"] = []string{"spec"}
	}
	name := strings.ToLower(string(kind))
	raw, err := yaml.Marshal(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": schemas.Plural(kind) + ".mainstay.dev"},
		"spec": map[string]any{
			"group": "mainstay.dev", "scope": "Namespaced",
			"names": map[string]any{"kind": kind, "listKind": string(kind) + "List", "plural": schemas.Plural(kind), "singular": name, "categories": []string{"mainstay"}},
			"versions": []any{map[string]any{
				"name": "v1alpha1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": root}, "subresources": map[string]any{"status": map[string]any{}},
				"additionalPrinterColumns": []any{
					map[string]any{"name": "Ready", "type": "string", "jsonPath": `.status.conditions[?(@.type=="Ready")].status`},
					map[string]any{"name": "Status", "type": "string", "jsonPath": `.status.conditions[?(@.type=="Ready")].message`, "priority": 1},
					map[string]any{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
				}}}}})
	return append([]byte("# Made by go generate ./schemas from package spec.\n"), raw...), err
}
