package spec

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseError is what keeps a file from being read, and where.
type parseError struct {
	line, column  int
	summary, hint string
}

func (e *parseError) Error() string { return e.summary }

// parseYAML reads the documents in text, which begins after the first skip lines of f. Empty documents are left out.
func parseYAML(f *file, text string, skip int) (nodes []*node, err error) {
	defer func() {
		// The parser reads what anybody may have proposed: a fault in it must not end the process.
		if fault := recover(); fault != nil {
			nodes, err = nil, &parseError{summary: fmt.Sprintf("the YAML parser failed: %v", fault)}
		}
	}()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	c := &yamlConverter{file: f, skip: skip}
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nodes, nil
		} else if err != nil {
			return nil, yamlSyntax(text, skip, err)
		}
		if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" {
			continue
		}
		c.nodes = make([]node, 0, values(document.Content[0]))
		n, err := c.convert(document.Content[0], 0)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '([^']*)' referenced`)
)

// yamlSyntax turns the parser's error into one with a place.
func yamlSyntax(text string, skip int, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &parseError{}
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		e.line, _ = strconv.Atoi(m[1])
		message = strings.TrimPrefix(message, m[0])
	} else if m := yamlAnchor.FindStringSubmatch(message); m != nil {
		if before, _, ok := strings.Cut(text, "*"+m[1]); ok {
			e.line = strings.Count(before, "\n") + 1
		}
	}
	if e.line > 0 {
		e.line = min(e.line, strings.Count(text, "\n")+1) + skip
	}
	e.summary = "this is not YAML: " + oneLine(message)
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		e.hint = "put text that holds `: ` in quotes, and check the indentation"
	case strings.Contains(message, "cannot start any token"):
		e.hint = "indent with spaces, and put text that begins with a special character in quotes"
	case strings.Contains(message, "did not find expected"):
		e.hint = "check the indentation, and that every quote and bracket is closed"
	}
	return e
}

// yamlConverter turns the parser's nodes into ours, with aliases expanded and counted.
type yamlConverter struct {
	file  *file
	skip  int
	count int
	// nodes holds the nodes of a document, which live as long as one another. What aliases repeat does not fit.
	nodes []node
}

// values counts the nodes of a document.
func values(y *yaml.Node) int {
	n := 1
	for _, inner := range y.Content {
		n += values(inner)
	}
	return n
}

func (c *yamlConverter) node(y *yaml.Node) *node {
	line, column := y.Line+c.skip, y.Column
	if len(c.nodes) == cap(c.nodes) {
		return &node{file: c.file, line: line, column: column}
	}
	c.nodes = append(c.nodes, node{file: c.file, line: line, column: column})
	return &c.nodes[len(c.nodes)-1]
}

func (c *yamlConverter) convert(y *yaml.Node, depth int) (*node, error) {
	if y.Kind == yaml.AliasNode {
		return c.convert(y.Alias, depth+1)
	}
	n := c.node(y)
	if depth > maxDepth {
		return nil, &parseError{n.line, n.column, fmt.Sprintf("this is nested deeper than %d levels", maxDepth), "make it flatter"}
	}
	if c.count++; c.count > maxNodes {
		return nil, &parseError{n.line, n.column, fmt.Sprintf("the file holds more than %d values", maxNodes), "aliases count each time they are used; split the file"}
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = objectNode
		return n, c.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		n.items = make([]*node, 0, len(y.Content))
		for _, item := range y.Content {
			converted, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, converted)
		}
		return n, nil
	}
	return n, scalar(n, y)
}

// mapping converts the fields of an object. Fields that come from a merge key (`<<`) never replace the object's own.
func (c *yamlConverter) mapping(n *node, y *yaml.Node, depth int) error {
	var merged []field
	n.fields = make([]field, 0, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		converted, err := c.convert(value, depth+1)
		if err != nil {
			return err
		}
		if key.ShortTag() == "!!merge" {
			sources := []*node{converted}
			if converted.kind == listNode {
				sources = converted.items
			}
			for _, source := range sources {
				if source.kind != objectNode {
					return &parseError{key.Line + c.skip, key.Column, "`<<` wants a map, or a list of maps", "name an anchor that stands at a map"}
				}
				merged = append(merged, source.fields...)
			}
			continue
		}
		k, err := c.convert(key, depth+1)
		if err != nil {
			return err
		}
		name, ok := k.value.(string)
		if !ok {
			return &parseError{k.line, k.column, "a key is text, not " + k.describe(), "put the key in quotes"}
		}
		if first := n.get(name); first != nil {
			return &parseError{k.line, k.column, fmt.Sprintf("%q is written twice", name), fmt.Sprintf("the first is in line %d", n.keyOf(name).line)}
		}
		n.add(field{name, k, converted})
	}
	for _, f := range merged {
		if n.get(f.name) == nil {
			n.add(f)
		}
	}
	return nil
}

// ambiguous are numbers that YAML 1.1 and 1.2 read differently: 010 is 8 or 10, and 1_0 is 10 or text.
var ambiguous = regexp.MustCompile(`^[-+]?(0[0-9_]+|[0-9.]*[0-9]_[0-9_.]*([eE].*)?)$`)

// scalar sets the value of a node.
func scalar(n *node, y *yaml.Node) error {
	n.written = y.Value
	switch {
	case y.Style&yaml.LiteralStyle != 0:
		n.style = literalText
	case y.Style&yaml.FoldedStyle != 0:
		n.style = foldedText
	case y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		n.style = quotedText
	}
	switch tag := y.ShortTag(); tag {
	case "!!null":
		return nil
	case "!!str", "!!timestamp": // Times are text here: whoever needs one reads it strictly.
		n.value = y.Value
	case "!!bool", "!!int", "!!float":
		if ambiguous.MatchString(y.Value) {
			return &parseError{n.line, n.column, "the number " + y.Value + " is another one to other readers of YAML", "write it without leading zeros and underscores, or in quotes if it is text"}
		}
		var value any
		if err := y.Decode(&value); err != nil {
			return &parseError{n.line, n.column, oneLine(strings.TrimPrefix(err.Error(), "yaml: ")), ""}
		}
		switch v := value.(type) {
		case bool, int64:
			n.value = v
		case int:
			n.value = int64(v)
		case uint64:
			return &parseError{n.line, n.column, "the number " + y.Value + " is too large", "write it as text, in quotes"}
		case float64:
			if math.IsInf(v, 0) || math.IsNaN(v) {
				return &parseError{n.line, n.column, y.Value + " is not a number that JSON can hold", ""}
			}
			n.value = v
		}
	default:
		return &parseError{n.line, n.column, fmt.Sprintf("the tag %s is not read", tag), "leave it out"}
	}
	n.kind = scalarNode
	return nil
}
