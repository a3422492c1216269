package broker

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/mainstay-dev/mainstay/plugins"
)

// writeYAML writes a value, in its JSON form, as YAML that every reader takes for the same value. Keys are sorted. Only
// plain words go without quotes: what a model puts into an argument must be no merge key, date or number to anyone.
func writeYAML(v any) (string, error) {
	raw, err := plugins.Canonical(v)
	if err != nil {
		return "", err
	}
	value, err := decodeExact(raw)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(yamlNode(value)); err != nil {
		return "", err
	}
	return out.String(), nil
}

func yamlNode(value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name := yamlString(key)
			if name.Style == yaml.LiteralStyle {
				name.Style = yaml.DoubleQuotedStyle
			}
			node.Content = append(node.Content, name, yamlNode(v[key]))
		}
		return node
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			node.Content = append(node.Content, yamlNode(item))
		}
		return node
	case string:
		return yamlString(v)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: v.String()}
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	default:
		// decodeExact makes nothing else; the text is at least no other value.
		return yamlString(fmt.Sprint(v))
	}
}

var (
	plainRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)
	// wordsRE are what YAML 1.1 or 1.2 takes for something else than text.
	wordsRE = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// yamlString writes a string: bare where it is plain words, as a block where it is lines that a reviewer can read, and in
// double quotes, which hide nothing, otherwise.
func yamlString(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.DoubleQuotedStyle}
	switch {
	case plainRE.MatchString(text) && !wordsRE.MatchString(text):
		node.Style = 0
	case isLines(text):
		node.Style = yaml.LiteralStyle
	}
	return node
}

// isLines reports whether text is two lines or more, without anything that is not seen: no space at an end, no control or
// format characters.
func isLines(text string) bool {
	first, rest, ok := strings.Cut(text, "\n")
	if !ok || rest == "" || first == "" {
		return false
	}
	if strings.HasPrefix(text, " ") || strings.HasSuffix(text, "\n\n") {
		return false
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimRight(line, " ") != line {
			return false
		}
		for _, r := range line {
			if r != ' ' && !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' || r == '\uFEFF' {
				return false
			}
		}
	}
	return true
}
