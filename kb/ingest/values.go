package ingest

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// concealer finds the values of a YAML document that are secret.
type concealer struct {
	all   []*yaml.Node          // in the order of the document
	found map[*yaml.Node]string // what is left out, and what of it stays
}

// concealValues leaves out, of lines, what a document holds that is secret: the values of Kubernetes Secrets and of what encrypts them, what
// repeats a resource, Docker's logins, what SOPS knows of its keys, and settings that hold a credential by their name. The nodes lose
// their values too.
func concealValues(lines []string, d yamlDocument) {
	v := secretsOf(d)
	if len(v.found) == 0 {
		return
	}
	slices.SortStableFunc(v.all, func(a, b *yaml.Node) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	next := place{len(lines), 0}
	for _, n := range slices.Backward(v.all) {
		at := place{d.first + n.Line - 1, 0}
		if at.line >= len(lines) {
			continue
		}
		at.byte = byteOf(lines[at.line], n.Column-1)
		if keep, ok := v.found[n]; ok {
			strike(lines, at, next, n, keep+leftOut)
			n.Value = keep + leftOut
		}
		next = at
	}
}

func secretsOf(d yamlDocument) concealer {
	v := concealer{found: map[*yaml.Node]string{}}
	v.walk(d.root, "", false)
	return v
}

// secretValues are what concealValues leaves out.
func secretValues(d yamlDocument) []string {
	var all []string
	for n, keep := range secretsOf(d).found {
		all = append(all, strings.TrimPrefix(n.Value, keep))
	}
	return all
}

// byteOf is where a column is in a line, both from 0.
func byteOf(line string, column int) int {
	at := 0
	for ; column > 0 && at < len(line); column-- {
		_, n := utf8.DecodeRuneInString(line[at:])
		at += n
	}
	return at
}

// strike puts a text in place of a value: of its own characters where they can be told, or else of all until the next value.
func strike(lines []string, at, next place, n *yaml.Node, instead string) {
	line := lines[at.line]
	rest := line[at.byte:]
	length := 0
	switch {
	case n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		length = quoted(rest, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		length = quoted(rest, '\'')
	case n.Style == 0 && n.Value != "" && strings.HasPrefix(rest, n.Value):
		length = len(n.Value)
	}
	if length > 0 {
		lines[at.line] = line[:at.byte] + instead + rest[length:]
		return
	}
	if next.line == at.line && next.byte > at.byte {
		lines[at.line] = line[:at.byte] + instead + ", " + line[next.byte:]
		return
	}
	lines[at.line] = line[:at.byte] + instead
	for i := at.line + 1; i < min(next.line, len(lines)); i++ {
		lines[i] = ""
	}
}

// quoted is how long a text in quotes is that ends in this line, or 0.
func quoted(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case quote == '"' && s[i] == '\\':
			i++
		case s[i] == quote && quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return 0
}

// argument is a setting in one text: --password=VALUE, PASSWORD=VALUE.
var argument = lazily(`^(-{0,2}([A-Za-z_][\w.-]*)=)(.+)$`)

// walk goes through a document. Within what is secret, each value is found.
func (v *concealer) walk(n *yaml.Node, key string, secret bool) {
	v.all = append(v.all, n)
	switch n.Kind {
	case yaml.ScalarNode:
		switch m := argument.FindStringSubmatch(n.Value); {
		case secret:
			if n.Value != "" {
				v.found[n] = ""
			}
		case m != nil && (credentialName(m[2]) && literal(m[3]) || key == "literals of a secret"):
			v.found[n] = m[1]
		}
	case yaml.MappingNode:
		v.mapping(n, key, secret)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			v.walk(item, key, secret)
		}
	}
}

func (v *concealer) mapping(n *yaml.Node, under string, secret bool) {
	kind, name, encrypted := "", "", false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, resolved(n.Content[i+1])
		switch key {
		case "kind":
			if kind != "Secret" { // A key that is there twice does not hide it.
				kind = scalar(value)
			}
		case "name", "key":
			name = scalar(value)
		case "sops":
			encrypted = get(value, "mac") != nil || get(value, "lastmodified") != nil
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		v.all = append(v.all, key)
		inner, hide := key.Value, secret
		switch key.Value {
		case "data", "stringData":
			hide = hide || kind == "Secret"
		case "sops":
			hide = hide || encrypted
		case "kubectl.kubernetes.io/last-applied-configuration", ".dockerconfigjson", ".dockercfg", "identitytoken", "registrytoken", "client-key-data", "encryptedData":
			hide = true
		case "auth":
			hide = hide || value.Kind == yaml.ScalarNode && len(value.Value) >= 8 && !strings.Contains(value.Value, " ") && base64Text.MatchString(value.Value)
		case "secretGenerator":
			inner = "secrets that are made"
		case "literals":
			if under == "secrets that are made" {
				inner = "literals of a secret"
			}
		case "value":
			hide = hide || value.Kind == yaml.ScalarNode && credentialName(name) && literal(value.Value)
		default:
			if under == "secrets that are made" {
				inner = under
			}
			switch value.Kind {
			case yaml.ScalarNode:
				hide = hide || credentialName(key.Value) && !namesKey(key.Value, value.Value) && literal(value.Value) && value.Tag != "!!bool"
			case yaml.SequenceNode:
				hide = hide || credentialName(key.Value) && allScalars(value)
			}
		}
		v.walk(value, inner, hide)
	}
}

var base64Text = lazily(`^[A-Za-z0-9+/]+={0,2}$`)

func allScalars(n *yaml.Node) bool {
	return !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Kind != yaml.ScalarNode })
}
