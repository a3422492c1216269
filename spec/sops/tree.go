package sops

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"go.yaml.in/yaml/v3"
)

// tree is what a file holds, in its order: fields, items or a value.
type tree struct {
	fields []field
	names  map[string]bool // of fields
	items  []*tree
	value  any // nil, bool, int64, float64, string or time.Time
}

type field struct {
	name  string
	value *tree
}

// plain returns the tree without its order.
func (t *tree) plain() any {
	switch {
	case t.fields != nil:
		all := map[string]any{}
		for _, f := range t.fields {
			all[f.name] = f.value.plain()
		}
		return all
	case t.items != nil:
		all := []any{}
		for _, item := range t.items {
			all = append(all, item.plain())
		}
		return all
	}
	return t.value
}

// into decodes the tree as JSON would be.
func (t *tree) into(v any) error {
	raw, err := json.Marshal(t.plain())
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// builder makes trees within the bounds.
type builder struct{ values int }

// next counts one value at a depth.
func (b *builder) next(depth int) error {
	if b.values++; b.values > maxValues || depth > maxDepth {
		return wrong("split it", "it holds more than %d values, or is nested deeper than %d levels", maxValues, maxDepth)
	}
	return nil
}

func (t *tree) add(name string, value *tree) error {
	if t.names == nil {
		t.names = map[string]bool{}
	}
	if t.names[name] {
		return wrong("remove one of them", "it holds %q twice", name)
	}
	t.names[name] = true
	t.fields = append(t.fields, field{name, value})
	return nil
}

// Parsers' own errors may quote what stands in the file, so they are not told.
func unreadable(format string) error {
	return wrong("look at it with an editor; sops writes what can be read", "it cannot be read as %s", format)
}

func readYAML(content []byte) (*tree, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) != 1 {
		return nil, unreadable("YAML")
	}
	if err := decoder.Decode(&more); err != io.EOF {
		return nil, wrong("put each into a file of its own", "it holds more than one document")
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, unreadable("a map in YAML")
	}
	return new(builder).yaml(top, 0)
}

func (b *builder) yaml(n *yaml.Node, depth int) (*tree, error) {
	if err := b.next(depth); err != nil {
		return nil, err
	}
	t := &tree{}
	switch n.Kind {
	case yaml.MappingNode:
		t.fields = []field{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
				return nil, wrong("put its name into quotes, and encrypt the file anew", "the name of a field in line %d is not a text", key.Line)
			}
			value, err := b.yaml(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			if err := t.add(key.Value, value); err != nil {
				return nil, err
			}
		}
	case yaml.SequenceNode:
		t.items = []*tree{}
		for _, item := range n.Content {
			value, err := b.yaml(item, depth+1)
			if err != nil {
				return nil, err
			}
			t.items = append(t.items, value)
		}
	case yaml.ScalarNode:
		var value any
		if err := n.Decode(&value); err != nil {
			return nil, unreadable("YAML")
		}
		switch v := value.(type) {
		case int:
			value = int64(v)
		case nil, bool, int64, float64, string, time.Time:
		default:
			return nil, wrong("put it into quotes, and encrypt the file anew", "the value in line %d is of a kind that SOPS does not know", n.Line)
		}
		t.value = value
	default:
		return nil, wrong("write out what it stands for, and encrypt the file anew", "there is an alias in line %d, which SOPS resolves", n.Line)
	}
	return t, nil
}

func readJSON(content []byte) (*tree, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	t, err := new(builder).json(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF || t.fields == nil {
		return nil, unreadable("one JSON object")
	}
	return t, nil
}

func (b *builder) json(d *json.Decoder, depth int) (*tree, error) {
	if err := b.next(depth); err != nil {
		return nil, err
	}
	token, err := d.Token()
	if err != nil {
		return nil, unreadable("JSON")
	}
	t := &tree{}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			t.fields = []field{}
		} else {
			t.items = []*tree{}
		}
		for d.More() {
			name := ""
			if v == '{' {
				token, err := d.Token()
				if err != nil {
					return nil, unreadable("JSON")
				}
				name = token.(string) // The decoder takes no other.
			}
			value, err := b.json(d, depth+1)
			if err != nil {
				return nil, err
			}
			if v == '[' {
				t.items = append(t.items, value)
			} else if err := t.add(name, value); err != nil {
				return nil, err
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, unreadable("JSON")
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			t.value = n
		} else if f, err := v.Float64(); err == nil {
			t.value = f
		} else {
			return nil, unreadable("JSON")
		}
	default:
		t.value = v
	}
	return t, nil
}
