package model_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

func TestSchemasAreStrictWhereTheyCanBe(t *testing.T) {
	for text, want := range map[string]bool{
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`:                                    true,
		`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`:                                                                 false,
		`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`:                                                     false,
		`{"type":"object","properties":{"a":{"type":"array","items":{"type":"object"}}},"required":["a"],"additionalProperties":false}`:           false,
		`{"type":"object","properties":{"type":{"enum":[{"type":"object"}]}},"required":["type"],"additionalProperties":false}`:                   true,
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"required":["a"],"additionalProperties":false,"$defs":{"b":{"type":"object"}}}`: false,
	} {
		var schema any
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			t.Fatal(err)
		}
		if got := model.Strict(schema); got != want {
			t.Errorf("strict is %v of %s", got, text)
		}
	}
}

func TestOpenObjectsAreClosed(t *testing.T) {
	var schema, want map[string]any
	for text, into := range map[string]*map[string]any{
		`{"type":"object","properties":{"type":{"type":"object","additionalProperties":true},"b":{"anyOf":[{"type":"object"},{"type":"null"}]},"c":{"items":{"type":"object"}}}}`:                                                                                        &schema,
		`{"type":"object","additionalProperties":false,"properties":{"type":{"type":"object","additionalProperties":true},"b":{"anyOf":[{"type":"object","additionalProperties":false},{"type":"null"}]},"c":{"items":{"type":"object","additionalProperties":false}}}}`: &want,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, model.Closed(schema)); diff != "" {
		t.Error(diff)
	}
}
