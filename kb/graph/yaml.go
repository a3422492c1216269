package graph

import (
	"bytes"
	"iter"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a YAML value, with aliases followed. A value that is not there has no node: all that is asked of it is empty.
type value struct {
	c    *collector
	node *yaml.Node
	add  int // What is added to lines, because documents are parsed one by one.
}

// follow returns what an alias stands for, and counts the value.
func (v value) follow(n *yaml.Node) value {
	for range 8 {
		if n == nil || n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.AliasNode || !v.c.count(n.Line+v.add) {
		return value{c: v.c}
	}
	return value{v.c, n, v.add}
}

func (c *collector) count(line int) bool {
	c.values++
	if c.values == maxValues {
		c.problem(line, "the file holds more than %d values (aliases count each time they are used): what follows is left out", maxValues)
	}
	return c.values < maxValues
}

func (v value) there() bool { return v.node != nil }

func (v value) line() int {
	if v.node == nil {
		return 0
	}
	return v.node.Line + v.add
}

// get descends into mappings.
func (v value) get(keys ...string) value {
	for _, key := range keys {
		v = v.key(key)
	}
	return v
}

func (v value) key(key string) value {
	if v.node == nil || v.node.Kind != yaml.MappingNode {
		return value{c: v.c}
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == key {
			return v.follow(v.node.Content[i+1])
		}
	}
	return value{c: v.c}
}

// text is a scalar as it is written, and "" for anything else.
func (v value) text() string {
	if v.node == nil || v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" {
		return ""
	}
	return v.node.Value
}

// items yields the values of a sequence.
func (v value) items() iter.Seq[value] {
	return func(yield func(value) bool) {
		if v.node == nil || v.node.Kind != yaml.SequenceNode {
			return
		}
		for _, n := range v.node.Content {
			if item := v.follow(n); item.there() && !yield(item) {
				return
			}
		}
	}
}

// texts yields the values of a sequence, or the one value that stands where it may.
func (v value) texts() iter.Seq[value] {
	if v.node != nil && v.node.Kind == yaml.ScalarNode {
		return func(yield func(value) bool) { yield(v) }
	}
	return v.items()
}

// pairs yields the keys and values of a mapping.
func (v value) pairs() iter.Seq2[value, value] {
	return func(yield func(value, value) bool) {
		if v.node == nil || v.node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if key := v.follow(v.node.Content[i]); key.there() && !yield(key, v.follow(v.node.Content[i+1])) {
				return
			}
		}
	}
}

// labels are the texts of a mapping.
func (v value) labels() map[string]string {
	m := map[string]string{}
	for key, value := range v.pairs() {
		m[key.text()] = value.text()
	}
	return m
}

// last is the last line of a value, as far as its parts say: the lines of a text in block style count, since they are in it.
func last(n *yaml.Node, depth int) int {
	if depth > 64 || n.Kind == yaml.AliasNode {
		return n.Line
	}
	if n.Kind == yaml.ScalarNode {
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return n.Line + 1 + strings.Count(strings.TrimRight(n.Value, "\n"), "\n")
		}
		return n.Line
	}
	if len(n.Content) == 0 {
		return n.Line
	}
	return max(n.Line, last(n.Content[len(n.Content)-1], depth+1))
}

// document is one of a YAML file.
type document struct {
	value
	first, last int
}

// separator finds the first line that ends a document: --- or ..., and maybe more behind a blank. It returns where the line begins and
// ends, without its newline, or -1.
func separator(data []byte) (begin, end int) {
	for begin < len(data) {
		line := data[begin:]
		if at := bytes.IndexByte(line, '\n'); at >= 0 {
			line = line[:at]
		}
		if len(line) >= 3 && (string(line[:3]) == "---" || string(line[:3]) == "...") && (len(line) == 3 || strings.IndexByte(" \t\r", line[3]) >= 0) {
			return begin, begin + len(line)
		}
		begin += len(line) + 1
	}
	return -1, -1
}

// documents yields those of a YAML file. They are parsed one by one, so that one that is broken takes no other with it.
func (c *collector) documents(data []byte) iter.Seq[document] {
	return func(yield func(document) bool) {
		line := 0
		for len(data) > 0 {
			text, rest, skipped := data, []byte(nil), 0
			if begin, end := separator(data); begin >= 0 {
				text, rest, skipped = data[:begin], data[end:], 1
				// What stands behind the marker belongs to the next document: "--- # comment", "--- {a: 1}".
				if len(bytes.TrimSpace(data[begin+3:end])) > 0 {
					rest, skipped = data[begin+3:], 0
				} else if len(rest) > 0 {
					rest = rest[1:]
				}
			}
			if d, ok := c.document(text, line); ok && !yield(d) {
				return
			}
			line += bytes.Count(text, []byte{'\n'}) + skipped
			data = rest
		}
	}
}

func (c *collector) document(text []byte, line int) (document, bool) {
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 || (trimmed[0] == '#' && onlyComments(trimmed)) {
		return document{}, false
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		at, why := yamlError(err)
		c.problem(line+at, "this is no YAML: %s", why)
		return document{}, false
	}
	if len(root.Content) != 1 {
		return document{}, false
	}
	v := value{c, nil, line}.follow(root.Content[0])
	if !v.there() {
		return document{}, false
	}
	end := line + bytes.Count(bytes.TrimRight(text, " \t\r\n"), []byte{'\n'}) + 1
	return document{v, v.line(), end}, true
}

func onlyComments(text []byte) bool {
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return false
		}
	}
	return true
}

var yamlErrorRE = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func yamlError(err error) (int, string) {
	m := yamlErrorRE.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, "it does not parse"
	}
	at, _ := strconv.Atoi(m[1])
	return max(at, 1), m[2]
}

// readYAML tells by a file's name or else by what is in it what it is.
func readYAML(c *collector, data []byte) {
	base := strings.ToLower(path.Base(c.Path))
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	folders := strings.Split(path.Dir(c.Path), "/")
	switch {
	case slices.Contains(folders, "templates") && bytes.Contains(data, []byte("{{")):
		c.Problems = append(c.Problems, Problem{1, "this is a template of Helm: what it declares is known when it is rendered", true})
		return
	case len(folders) >= 2 && folders[len(folders)-1] == "workflows" && folders[len(folders)-2] == ".github":
		for d := range c.documents(data) {
			c.workflow(d.value)
		}
		return
	}
	compose := base == "compose" || base == "docker-compose" || strings.HasPrefix(base, "compose.") || strings.HasPrefix(base, "docker-compose.")
	values := base == "values" || strings.HasPrefix(base, "values-") || strings.HasPrefix(base, "values.") || strings.HasSuffix(base, "-values") || strings.HasSuffix(base, ".values")
	for d := range c.documents(data) {
		switch apiVersion, kind := d.get("apiVersion").text(), d.get("kind").text(); {
		case base == "chart" && d.get("name").there():
			c.chart(d)
		case base == "kustomization" && (apiVersion == "" || group(apiVersion) == "kustomize.config.k8s.io"), group(apiVersion) == "kustomize.config.k8s.io":
			c.kustomization(d.value)
		case compose && d.get("services").there():
			c.compose(d)
		case apiVersion != "" && kind != "":
			c.object(d, 0)
		case values:
			c.images(c.file(), d.value)
		}
	}
}

// group is the API group of an apiVersion.
func group(apiVersion string) string {
	g, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return g
}

// object reads a Kubernetes resource or an entity of Backstage's catalog, which are written alike.
func (c *collector) object(d document, depth int) {
	kind, g := d.get("kind").text(), group(d.get("apiVersion").text())
	switch {
	case g == "backstage.io" || strings.HasSuffix(g, ".backstage.io"):
		c.backstage(d)
	case g == groupRelations:
		c.relations(d)
	case kind == "List" && g == "" && depth < 4:
		for item := range d.get("items").items() {
			c.object(document{item, item.line(), max(item.line(), last(item.node, 0)+item.add)}, depth+1)
		}
	default:
		c.resource(d, g, kind)
	}
}
