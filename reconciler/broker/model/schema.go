package model

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/plugins"
)

// outputName is what a schema of the answer is called where an API wants a name.
const outputName = "answer"

// object reads a JSON object, and leaves its numbers as they are written.
func object(raw json.RawMessage) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return value, nil
}

// schemaOf is a tool's input schema, with properties even where it has none, which some servers insist on.
func schemaOf(tool Tool) (map[string]any, error) {
	schema, err := object(json.RawMessage(cmp.Or(string(tool.InputSchema), "{}")))
	if err != nil {
		return nil, fmt.Errorf("input schema of tool %s: %w", tool.Name, err)
	}
	if schema == nil {
		schema = map[string]any{}
	}
	if schema["type"] == nil {
		schema["type"] = "object"
	}
	if schema["properties"] == nil {
		schema["properties"] = map[string]any{}
	}
	return schema, nil
}

// argumentsOf are the arguments of an earlier call, which are an object for every API.
func argumentsOf(call plugins.ToolUse) json.RawMessage {
	if object, err := object(call.Arguments); err != nil || object == nil {
		return json.RawMessage("{}")
	}
	return call.Arguments
}

// strict says whether a schema keeps to what OpenAI's strict mode asks for: every object names all of its properties as
// required, and allows no others (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas). A server
// is asked to keep to another schema as well as it can.
func strict(schema any) bool {
	switch node := schema.(type) {
	case []any:
		return !slices.ContainsFunc(node, func(one any) bool { return !strict(one) })
	case map[string]any:
		if node["type"] == "object" || node["properties"] != nil {
			properties, _ := node["properties"].(map[string]any)
			required, _ := node["required"].([]any)
			if node["additionalProperties"] != false || len(required) != len(properties) {
				return false
			}
			for _, name := range required {
				if text, ok := name.(string); !ok || properties[text] == nil {
					return false
				}
			}
		}
		for name, value := range node {
			if name == "properties" || name == "$defs" || name == "definitions" {
				for _, one := range asMap(value) {
					if !strict(one) {
						return false
					}
				}
			} else if name != "enum" && name != "const" && name != "default" && name != "examples" && !strict(value) {
				return false
			}
		}
	}
	return true
}

func asMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// closed is a schema in which objects that do not say whether they have other properties have none, which Anthropic's API
// insists on. What follows the closed schema follows the open one.
func closed(schema map[string]any) map[string]any {
	out := make(map[string]any, len(schema)+1)
	for name, value := range schema {
		switch name {
		case "properties", "$defs", "definitions":
			inner := map[string]any{}
			for key, one := range asMap(value) {
				inner[key] = one
				if node := asMap(one); node != nil {
					inner[key] = closed(node)
				}
			}
			value = inner
		case "items", "anyOf", "allOf", "oneOf":
			if node := asMap(value); node != nil {
				value = closed(node)
			} else if list, ok := value.([]any); ok {
				list = slices.Clone(list)
				for i, one := range list {
					if node := asMap(one); node != nil {
						list[i] = closed(node)
					}
				}
				value = list
			}
		}
		out[name] = value
	}
	if _, said := out["additionalProperties"]; !said && out["type"] == "object" {
		out["additionalProperties"] = false
	}
	return out
}
