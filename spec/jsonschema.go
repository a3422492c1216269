package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// knownDrafts are the values of $schema that the validator takes.
var knownDrafts = []string{"", "https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema#"}

// readSchema reads a JSON Schema that refers to nothing but its own definitions, and whose validation ends.
func readSchema(raw json.RawMessage) (*jsonschema.Schema, *jsonschema.Resolved, error) {
	schema := &jsonschema.Schema{}
	if err := json.Unmarshal(raw, schema); err != nil {
		return nil, nil, err
	}
	if !slices.Contains(knownDrafts, schema.Schema) {
		return nil, nil, fmt.Errorf("$schema is %q, and drafts 2020-12 and 07 are known", shorten(schema.Schema, 80))
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, nil, err
	}
	if err := checkReferences(plain, true); err != nil {
		return nil, nil, err
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return nil, nil, err
	}
	w := weigher{root: schema, of: map[*jsonschema.Schema]int{}}
	for _, s := range slices.Concat([]*jsonschema.Schema{schema}, slices.Collect(maps.Values(schema.Defs)), slices.Collect(maps.Values(schema.Definitions))) {
		if w.weigh(s, nil) > maxWeight {
			return nil, nil, errors.New("to check one value would take too long: a $ref leads back to itself without looking into a property or an item, or too many schemas stand for one value")
		}
	}
	return schema, resolved, nil
}

// checkReferences refuses references of forms that are not followed, wherever they are.
func checkReferences(value any, root bool) error {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			text, isText := v[name].(string)
			simple := text == "#" || strings.Count(text, "/") == 2 && (strings.HasPrefix(text, "#/$defs/") || strings.HasPrefix(text, "#/definitions/"))
			switch {
			case isText && name == "$ref" && !simple:
				return fmt.Errorf("$ref is %q: refer to # or to a definition, as #/$defs/NAME", shorten(text, 80))
			case isText && (name == "$dynamicRef" || name == "$recursiveRef" || name == "$id" && !root):
				return fmt.Errorf("%s is not followed here: refer to a definition, as $ref: \"#/$defs/NAME\"", name)
			}
			if err := checkReferences(v[name], false); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := checkReferences(item, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// referred returns the schema that a reference leads to, or nil.
func referred(root *jsonschema.Schema, ref string) *jsonschema.Schema {
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return root.Defs[name]
	}
	if name, ok := strings.CutPrefix(ref, "#/definitions/"); ok {
		return root.Definitions[name]
	}
	return root
}

// maxWeight is how many schemas may stand for one value.
const maxWeight = 10_000

// weigher counts the schemas that one value is validated against. One that leads back to itself would never end.
type weigher struct {
	root *jsonschema.Schema
	of   map[*jsonschema.Schema]int
}

func (w weigher) weigh(s *jsonschema.Schema, above []*jsonschema.Schema) int {
	if s == nil {
		return 0
	}
	if known, ok := w.of[s]; ok {
		return known
	}
	if slices.Contains(above, s) {
		return maxWeight + 1
	}
	above = append(slices.Clip(above), s)
	same := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, []*jsonschema.Schema{s.Not, s.If, s.Then, s.Else},
		slices.Collect(maps.Values(s.DependentSchemas)), slices.Collect(maps.Values(s.DependencySchemas)))
	if s.Ref != "" {
		same = append(same, referred(w.root, s.Ref))
	}
	sum := 1
	for _, next := range same {
		sum = min(sum+w.weigh(next, above), maxWeight+1)
	}
	w.of[s] = sum
	return sum
}
