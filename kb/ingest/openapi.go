package ingest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isOpenAPI says whether a document describes an API: OpenAPI 2, which is Swagger, or 3 (https://spec.openapis.org/oas/latest.html).
func isOpenAPI(n *yaml.Node) bool {
	return scalar(get(n, "openapi"))+scalar(get(n, "swagger")) != "" && (get(n, "info") != nil || get(n, "paths") != nil)
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

// maxEnum is how many values of an enumeration are named, maxAlternatives how many schemas of one that is any of several.
const maxEnum, maxAlternatives = 30, 10

// apiReader writes lines about an API, each with where it stands.
type apiReader struct {
	*cutter
	root  *yaml.Node
	lines []string
	at    []span
	here  span
}

// openAPI adds a chunk for what the API is, one for each operation, and one for each schema, and returns the API's title. They are
// written for a reader: what refers to something else is named, not looked up.
func (c *cutter) openAPI(root *yaml.Node, last int) string {
	r := &apiReader{cutter: c, root: root}
	info := get(root, "info")
	title := strings.TrimSpace(scalar(get(info, "title")) + " " + scalar(get(info, "version")))

	r.begin(root, "info", last)
	r.say("%s", title)
	r.prose(scalar(get(info, "summary")))
	r.prose(scalar(get(info, "description")))
	if servers := get(root, "servers"); servers != nil {
		for _, s := range servers.Content {
			r.say("Server: %s", scalar(get(s, "url")))
		}
	}
	if host := scalar(get(root, "host")); host != "" {
		r.say("Server: %s%s", host, scalar(get(root, "basePath")))
	}
	if tags := get(root, "tags"); tags != nil {
		for _, t := range tags.Content {
			if about := scalar(get(t, "description")); about != "" {
				r.say("Tag %s: %s", scalar(get(t, "name")), about)
			}
		}
	}
	r.end(title)

	for _, group := range []string{"paths", "webhooks", "x-webhooks"} {
		for path, item := range pairs(get(root, group), r.endOf(root, group, last)) {
			for method, operation := range pairs(item.value, item.last) {
				if slices.Contains(methods, method.Value) {
					r.operation(path.Value, method.Value, item.value, operation)
				}
			}
		}
	}
	for _, group := range [][]string{{"components", "schemas"}, {"definitions"}} {
		end := last
		for i := range group {
			end = r.endOf(get(root, group[:i]...), group[i], end)
		}
		for name, schema := range pairs(get(root, group...), end) {
			r.here = span{name.Line, schema.last}
			r.say("Schema %s", name.Value)
			r.prose(scalar(get(schema.value, "description")))
			r.schema(schema.value)
			r.end(name.Value)
		}
	}
	return brief(title)
}

// member is a value of a map, and its last line, from 1.
type member struct {
	value *yaml.Node
	last  int
}

// pairs are the keys and values of a map that ends in a line.
func pairs(n *yaml.Node, last int) func(func(*yaml.Node, member) bool) {
	return func(yield func(*yaml.Node, member) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			end := last
			if i+2 < len(n.Content) {
				end = max(n.Content[i+2].Line-1, n.Content[i].Line)
			}
			if !yield(n.Content[i], member{resolved(n.Content[i+1]), end}) {
				return
			}
		}
	}
}

// endOf is the last line of the value of a key.
func (r *apiReader) endOf(n *yaml.Node, key string, last int) int {
	for k, m := range pairs(n, last) {
		if k.Value == key {
			return m.last
		}
	}
	return last
}

func (r *apiReader) begin(n *yaml.Node, key string, last int) {
	r.here = span{1, 1}
	for k, m := range pairs(n, last) {
		if k.Value == key {
			r.here = span{k.Line, m.last}
		}
	}
}

// say adds a line.
func (r *apiReader) say(format string, args ...any) {
	line := strings.TrimSuffix(oneLine(fmt.Sprintf(format, args...)), ":")
	if line != "" {
		r.lines, r.at = append(r.lines, line), append(r.at, r.here)
	}
}

// prose adds a text as it is.
func (r *apiReader) prose(s string) {
	for _, line := range linesOf(s) {
		r.lines, r.at = append(r.lines, strings.TrimRight(line, " \t")), append(r.at, r.here)
	}
}

// end adds what has been said as a section.
func (r *apiReader) end(heading string) {
	r.cutter.lines, r.cutter.at = conceal(r.lines), r.at
	r.section([]string{heading}, block{first: 0, last: len(r.lines) - 1})
	r.lines, r.at = nil, nil
}

func (r *apiReader) operation(path, method string, item *yaml.Node, o member) {
	r.here = span{o.value.Line, o.last}
	if o.value.Style&yaml.FlowStyle == 0 && o.value.Line > 1 {
		r.here.first--
	}
	name := strings.ToUpper(method) + " " + path
	r.say("%s", name)
	r.say("%s", scalar(get(o.value, "summary")))
	if scalar(get(o.value, "summary")) == "" {
		r.say("%s", scalar(get(item, "summary")))
	}
	r.prose(scalar(get(o.value, "description")))
	if scalar(get(o.value, "deprecated")) == "true" {
		r.say("Deprecated.")
	}
	if id := scalar(get(o.value, "operationId")); id != "" {
		r.say("Operation: %s", id)
	}
	if tags := get(o.value, "tags"); tags != nil {
		var names []string
		for _, t := range tags.Content {
			names = append(names, scalar(t))
		}
		r.say("Tags: %s", strings.Join(names, ", "))
	}
	said := false
	for _, from := range []*yaml.Node{item, o.value} {
		if list := get(from, "parameters"); list != nil && list.Kind == yaml.SequenceNode {
			for _, p := range list.Content {
				if !said {
					r.say("Parameters")
					said = true
				}
				r.parameter(r.follow(p))
			}
		}
	}
	r.content("Request body", r.follow(get(o.value, "requestBody")))
	first := true
	for status, response := range pairs(get(o.value, "responses"), 0) {
		if first {
			r.say("Responses")
			first = false
		}
		value := r.follow(response.value)
		line := "- " + status.Value + ": " + scalar(get(value, "description"))
		if s := r.body(value); s != "" {
			line += " (" + s + ")"
		}
		r.say("%s", line)
	}
	r.end(name)
}

func (r *apiReader) parameter(p *yaml.Node) {
	schema := get(p, "schema")
	if schema == nil {
		schema = p // In OpenAPI 2 it stands in the parameter itself.
	}
	details := slices.DeleteFunc([]string{scalar(get(p, "in")), typeOf(schema, 0), required(scalar(get(p, "required")) == "true")}, func(s string) bool { return s == "" })
	r.say("- %s (%s): %s", scalar(get(p, "name")), strings.Join(details, ", "), scalar(get(p, "description")))
}

func required(yes bool) string {
	if yes {
		return "required"
	}
	return ""
}

func (r *apiReader) content(what string, n *yaml.Node) {
	if n == nil {
		return
	}
	r.say("%s: %s %s", what, r.body(n), scalar(get(n, "description")))
}

// body says what a request or response holds: media types and their schemas.
func (r *apiReader) body(n *yaml.Node) string {
	if schema := get(n, "schema"); schema != nil {
		return typeOf(schema, 0)
	}
	var all []string
	for media, m := range pairs(get(n, "content"), 0) {
		all = append(all, strings.TrimSpace(media.Value+" "+typeOf(get(m.value, "schema"), 0)))
	}
	return strings.Join(all[:min(len(all), maxAlternatives)], ", ")
}

// follow looks up a reference within the document, one step.
func (r *apiReader) follow(n *yaml.Node) *yaml.Node {
	ref := scalar(get(n, "$ref"))
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return resolved(n)
	}
	keys := strings.Split(path, "/")
	for i, key := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
	}
	if found := get(r.root, keys...); found != nil {
		return found
	}
	return resolved(n)
}

// schema adds a line for each property of a schema, those of what it is made of included.
func (r *apiReader) schema(n *yaml.Node) {
	if t := typeOf(n, 0); t != "object" && t != "" {
		r.say("Type: %s", t)
	}
	parts := []*yaml.Node{n}
	if all := get(n, "allOf"); all != nil {
		parts = append(parts, all.Content[:min(len(all.Content), maxAlternatives)]...)
	}
	for _, part := range parts {
		needed := map[string]bool{}
		if list := get(part, "required"); list != nil {
			for _, name := range list.Content {
				needed[name.Value] = true
			}
		}
		for name, p := range pairs(get(part, "properties"), 0) {
			details := slices.DeleteFunc([]string{typeOf(p.value, 0), required(needed[name.Value])}, func(s string) bool { return s == "" })
			r.say("- %s (%s): %s", name.Value, strings.Join(details, ", "), scalar(get(p.value, "description")))
		}
	}
}

// typeOf names the type of a schema.
func typeOf(n *yaml.Node, depth int) string {
	if n = resolved(n); n == nil || depth > 4 {
		return ""
	}
	if ref := scalar(get(n, "$ref")); ref != "" {
		return ref[strings.LastIndexByte(ref, '/')+1:]
	}
	for _, key := range []string{"oneOf", "anyOf", "allOf"} {
		if list := get(n, key); list != nil && len(list.Content) > 0 {
			var all []string
			for _, alternative := range list.Content[:min(len(list.Content), maxAlternatives)] {
				if t := typeOf(alternative, depth+1); t != "" && !slices.Contains(all, t) {
					all = append(all, t)
				}
			}
			joint := " or "
			if key == "allOf" {
				joint = " and "
			}
			return strings.Join(all, joint)
		}
	}
	t := scalar(get(n, "type"))
	if list := get(n, "type"); list != nil && list.Kind == yaml.SequenceNode { // OpenAPI 3.1
		var all []string
		for _, one := range list.Content[:min(len(list.Content), maxAlternatives)] {
			all = append(all, one.Value)
		}
		t = strings.Join(all, " or ")
	}
	if strings.HasPrefix(t, "array") {
		if inner := typeOf(get(n, "items"), depth+1); inner != "" {
			t += " of " + inner
		}
	}
	if format := scalar(get(n, "format")); format != "" {
		t += " " + format
	}
	if list := get(n, "enum"); list != nil && len(list.Content) > 0 {
		var all []string
		for _, v := range list.Content[:min(len(list.Content), maxEnum)] {
			all = append(all, scalar(v))
		}
		t += ", one of " + strings.Join(all, ", ")
	}
	return t
}
