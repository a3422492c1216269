package ingest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Of what is no YAML, since it is a template, kind and name are found in lines.
var (
	templateKind = lazily(`(?m)^kind:[ \t]*["']?(\w+)`)
	templateName = lazily(`(?m)^metadata:[ \t]*\n(?:[ \t]+.*\n|\n)*?[ \t]+name:[ \t]*(.+)$`)
)

// resource adds a document that is a Kubernetes resource, a list of them, or an entity of a catalog, and returns its heading. One that is
// longer than a chunk is cut where a key begins, the outer ones first.
func (c *cutter) resource(d yamlDocument) string {
	if d.root == nil {
		source := strings.Join(c.lines[d.first:d.last+1], "\n")
		heading := ""
		if m := templateKind.FindStringSubmatch(source); m != nil {
			heading = m[1]
			// A name that a template makes is known when it is rendered.
			if m := templateName.FindStringSubmatch(source); m != nil && !strings.Contains(m[1], "{{") {
				heading += " " + strings.Trim(strings.TrimSpace(m[1]), `"'`)
			}
		}
		c.section([]string{heading}, block{first: d.first, last: d.last})
		return brief(heading)
	}
	if items := get(d.root, "items"); strings.HasSuffix(scalar(get(d.root, "kind")), "List") && items != nil && items.Kind == yaml.SequenceNode {
		first := d.first
		for i, item := range items.Content {
			last := d.last
			if i+1 < len(items.Content) {
				last = d.first + items.Content[i+1].Line - 2
			}
			if last < first { // Several stand in one line.
				continue
			}
			c.section([]string{resourceName(resolved(item))}, c.valueBlock(item, d.first, first, last, 0))
			first = last + 1
		}
		if len(items.Content) > 0 {
			return ""
		}
	}
	heading := resourceName(d.root)
	if heading == "" && strings.Contains(strings.ToLower(c.path), "kustomization.y") {
		heading = "Kustomization"
	}
	c.section([]string{heading}, c.valueBlock(d.root, d.first, d.first, d.last, 0))
	return brief(heading)
}

// resourceName is `Kind namespace/name`, with what of it there is.
func resourceName(n *yaml.Node) string {
	name := scalar(get(n, "metadata", "name"))
	if name == "" {
		name = scalar(get(n, "metadata", "generateName"))
	}
	if namespace := scalar(get(n, "metadata", "namespace")); namespace != "" && name != "" {
		name = namespace + "/" + name
	}
	return oneLine(scalar(get(n, "kind")) + " " + name)
}

// valueBlock is a value with its lines, which may be cut where its keys or items begin.
func (c *cutter) valueBlock(n *yaml.Node, offset, first, last, depth int) block {
	b := block{first: first, last: last}
	if depth > maxDepth || last-first < 2 {
		return b
	}
	step := 1
	switch n.Kind {
	case yaml.MappingNode:
		step = 2
	case yaml.SequenceNode:
	default:
		return b
	}
	at := first
	for i := 0; i+step <= len(n.Content); i += step {
		end := last
		if i+step < len(n.Content) {
			end = offset + n.Content[i+step].Line - 2
		}
		if end < at {
			continue
		}
		b.parts = append(b.parts, c.valueBlock(n.Content[i+step-1], offset, at, end, depth+1))
		at = end + 1
	}
	if len(b.parts) < 2 {
		if len(b.parts) == 1 {
			return b.parts[0]
		}
		b.parts = nil
	}
	return b
}
