package repair

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// arguments mends the arguments of a call. repaired says what was mended, and problem what is wrong else, each as the end of a sentence
// about them.
func arguments(raw, schema json.RawMessage) (mended json.RawMessage, repaired, problem string) {
	value, err := decode(raw)
	if err != nil {
		return nil, "", "are not JSON: " + err.Error()
	}
	if text, ok := value.(string); ok {
		if value, err = lenient(text); err != nil {
			return nil, "", "are not JSON: " + err.Error()
		}
		repaired = "were in quotes"
	}
	if value == nil {
		value = map[string]any{}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, "", "are not a JSON object"
	}
	mended, faults := fit(object, schema)
	if len(faults) == 0 {
		return mended, repaired, ""
	}
	var s map[string]any
	if json.Unmarshal(schema, &s) == nil {
		cast, _ := coerce(object, s).(map[string]any)
		if other, still := fit(cast, schema); len(still) == 0 {
			return other, "had values of other types than the tool takes", ""
		}
	}
	return nil, "", "do not fit its schema: " + strings.Join(faults, "; ")
}

// fit writes arguments, and says what of them does not fit the schema.
func fit(object map[string]any, schema json.RawMessage) (json.RawMessage, []string) {
	raw, err := plugins.Canonical(object)
	if err != nil {
		return nil, []string{err.Error()}
	}
	return raw, spec.SchemaFaults(schema, raw)
}

// decode reads one JSON value, and keeps every digit of its numbers. Nothing is null.
func decode(raw []byte) (any, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("they end too early")
	} else if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return value, nil
}

// lenient reads JSON also where commas stand before a closing bracket.
func lenient(text string) (any, error) {
	value, err := decode([]byte(text))
	if err == nil {
		return value, nil
	}
	if other := withoutTrailingCommas(text); other != text {
		if value, err := decode([]byte(other)); err == nil {
			return value, nil
		}
	}
	return nil, err
}

// withoutTrailingCommas leaves out the commas that only blanks divide from a closing bracket, but not those in strings.
func withoutTrailingCommas(text string) string {
	var out strings.Builder
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\' && i+1 < len(text):
			out.WriteByte(c)
			i++
		case c == '"':
			inString = !inString
		case c == ',' && !inString:
			if rest := strings.TrimLeft(text[i+1:], " \t\r\n"); rest != "" && (rest[0] == '}' || rest[0] == ']') {
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// maxDepth bounds how deep values are looked into.
const maxDepth = 32

// coerce gives values the types that the schema wants, where only one value can be meant: a number in quotes, a text without them, JSON
// in a string, and null for a property that can be left out. What it changes is a copy.
func coerce(value any, schema map[string]any) any { return coerceAt(value, schema, 0) }

func coerceAt(value any, schema map[string]any, depth int) any {
	if depth > maxDepth {
		return value
	}
	types := typesOf(schema)
	if text, ok := value.(string); ok && len(types) > 0 && !slices.Contains(types, "string") {
		if other, err := decode([]byte(strings.TrimSpace(text))); err == nil && other != nil {
			if _, still := other.(string); !still {
				value = other // Whether it is of the right type now the schema tells.
			}
		}
		switch lower := strings.ToLower(strings.TrimSpace(text)); {
		case slices.Contains(types, "boolean") && (lower == "true" || lower == "false"):
			value = lower == "true"
		}
	}
	switch v := value.(type) {
	case json.Number:
		if len(types) == 1 && types[0] == "string" {
			return v.String()
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		out := make(map[string]any, len(v))
		for name, item := range v {
			its, _ := properties[name].(map[string]any)
			if types := typesOf(its); item == nil && len(types) > 0 && !slices.Contains(types, "null") && !slices.Contains(required, any(name)) {
				continue
			}
			out[name] = coerceAt(item, its, depth+1)
		}
		return out
	case []any:
		items, _ := schema["items"].(map[string]any)
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = coerceAt(item, items, depth+1)
		}
		return out
	}
	return value
}

func typesOf(schema map[string]any) []string {
	switch t := schema["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var all []string
		for _, one := range t {
			if name, ok := one.(string); ok {
				all = append(all, name)
			}
		}
		return all
	}
	return nil
}
