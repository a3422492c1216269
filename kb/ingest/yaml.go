package ingest

import (
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mainstay-dev/mainstay/kb"
)

// yamlDocument is one of the documents of a YAML file, or what JSON there is.
type yamlDocument struct {
	// first and last are its lines, from 0, without the marks between documents. It may have none.
	first, last int
	// root is nil where it is empty, or no YAML.
	root *yaml.Node
	err  error
}

// yaml reads a file in YAML or JSON: an API in OpenAPI, a catalog, Kubernetes resources, or any settings. Aliases are never followed
// further than one step, so that none of them grows.
func (c *cutter) yaml(raw []string) (kb.Kind, string, error) {
	documents, err := c.yamlDocuments(raw)
	if err != nil {
		return "", "", err
	}
	lines := append([]string(nil), raw...)
	for _, d := range documents {
		if d.root != nil {
			concealValues(lines[:d.last+1], d)
		}
	}
	c.lines = conceal(lines)
	concealSettings(c.lines)

	kind := kb.KindCode
	switch strings.ToLower(path.Base(c.path)) {
	case "kustomization.yaml", "kustomization.yml":
		kind = kb.KindManifest
	case "catalog-info.yaml", "catalog-info.yml":
		kind = kb.KindCatalog
	}
	for i, d := range documents {
		switch {
		case i == 0 && isOpenAPI(d.root):
			return kb.KindOpenAPI, c.openAPI(d.root, d.last+1), nil
		case d.root == nil && d.err != nil:
			if kind == kb.KindCode && templateKind.MatchString(strings.Join(c.lines[d.first:d.last+1], "\n")) {
				kind = kb.KindManifest
			}
		case strings.HasPrefix(scalar(get(d.root, "apiVersion")), "backstage.io/"):
			kind = kb.KindCatalog
		case scalar(get(d.root, "apiVersion")) != "" && scalar(get(d.root, "kind")) != "" && kind == kb.KindCode:
			kind = kb.KindManifest
		}
	}
	title := ""
	for _, d := range documents {
		if d.last < d.first {
			continue
		}
		if kind == kb.KindCode {
			c.settings(d)
			continue
		}
		heading := c.resource(d)
		if len(documents) == 1 && heading != "" {
			title = heading
		}
	}
	return kind, title, nil
}

// lenient says whether a file that is no YAML or JSON is read by its lines: templates, and JSON with comments.
func (c *cutter) lenient(source string) bool {
	base := strings.ToLower(path.Base(c.path))
	switch path.Ext(base) {
	case ".jsonc", ".json5":
		return true
	case ".json":
		return strings.HasPrefix(base, "tsconfig") || strings.HasPrefix(base, ".") || strings.Contains(c.path, ".vscode/")
	}
	return strings.Contains(source, "{{") || strings.Contains(source, "{%") || strings.Contains(source, "${") || strings.Contains(source, "<%")
}

var documentMark = lazily(`^---(?:\s|$)`)

// yamlDocuments parses a file.
func (c *cutter) yamlDocuments(lines []string) ([]yamlDocument, error) {
	var all []yamlDocument
	isJSON := strings.HasPrefix(strings.ToLower(path.Ext(c.path)), ".json")
	first := 0
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && (isJSON || !documentMark.MatchString(lines[i])) {
			continue
		}
		d := yamlDocument{first: first, last: i - 1}
		first = i + 1
		source := strings.Join(lines[d.first:d.last+1], "\n")
		if blank(source) {
			continue
		}
		if values(source) > maxValues {
			return nil, c.failed(d.first+1, "split it, or leave it out with exclude", "it has more than %d values", maxValues)
		}
		if isJSON {
			source = plainJSON(source)
		}
		var document yaml.Node
		if d.err = yaml.Unmarshal([]byte(source), &document); d.err == nil && deep(&document, 0) {
			return nil, c.failed(d.first+1, "leave it out with exclude", "its values are nested deeper than %d", maxDepth)
		}
		switch {
		case d.err == nil && len(document.Content) > 0:
			d.root = document.Content[0]
		case d.err != nil && !c.lenient(source):
			line, message := yamlError(d.err)
			return nil, c.failed(d.first+max(line, 1), "correct it, or leave it out with exclude", "it cannot be parsed: %s", message)
		}
		all = append(all, d)
		if c.ctx.Err() != nil {
			return nil, c.ctx.Err()
		}
	}
	return all, nil
}

// surrogates are escapes of JSON that YAML does not have.
var surrogates = lazily(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// plainJSON makes JSON such that it is YAML, with everything where it was. Tabs stand in JSON only between values.
func plainJSON(source string) string {
	return surrogates.ReplaceAllString(strings.ReplaceAll(source, "\t", " "), `\ufffd`)
}

// values is how many values there are at most.
func values(source string) int {
	n := 0
	for i := range len(source) {
		switch source[i] {
		case ',', ':', '[', '{', '\n', '?':
			n++
		case '-':
			if i+1 < len(source) && (source[i+1] == ' ' || source[i+1] == '\t') {
				n++
			}
		}
	}
	return n
}

func deep(n *yaml.Node, depth int) bool {
	if depth > maxDepth {
		return true
	}
	for _, child := range n.Content {
		if deep(child, depth+1) {
			return true
		}
	}
	return false
}

var yamlLine = lazily(`(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?(.*)`)

func yamlError(err error) (line int, message string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(m[1])
	return line, brief(m[2])
}

// get returns the value of a key of a map, and nil where there is none.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n = resolved(n); n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
				break
			}
		}
		n = found
	}
	return resolved(n)
}

// resolved follows an alias, one step.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// scalar is the value of a scalar.
func scalar(n *yaml.Node) string {
	if n = resolved(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// settings adds a document of settings: a chunk for each key of several lines, with the comment before it.
func (c *cutter) settings(d yamlDocument) {
	c.declarations(nil, c.keys(d.root, d.first, d.last, 0), d.first, d.last)
}

// keys are the keys of a map, as declarations.
func (c *cutter) keys(n *yaml.Node, offset, last, depth int) []declared {
	if n == nil || n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 && n.Line == lastLine(n) || depth > maxDepth {
		return nil
	}
	var all []declared
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		d := declared{name: key.Value, first: offset + key.Line - 1, last: last}
		if i+2 < len(n.Content) {
			d.last = offset + n.Content[i+2].Line - 2
		}
		for d.first > offset && strings.HasPrefix(strings.TrimSpace(c.lines[d.first-1]), "#") && (len(all) == 0 || d.first-1 > offset+n.Content[i-2].Line-1) {
			d.first--
		}
		if len(all) > 0 {
			all[len(all)-1].last = d.first - 1
		}
		d.members = c.keys(value, offset, d.last, depth+1)
		all = append(all, d)
	}
	for i := range all { // What the next one took is not a member's.
		all[i].members = within(all[i].members, all[i].last)
	}
	return all
}

// within cuts declarations at a line.
func within(all []declared, last int) []declared {
	for i := range all {
		if all[i].last > last {
			all[i].last = last
			all[i].members = within(all[i].members, last)
		}
	}
	return all
}

// lastLine is the line in which the last value begins.
func lastLine(n *yaml.Node) int {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	return n.Line
}
