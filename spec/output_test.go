package spec_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// triageSchema has most of what a schema can say.
const triageSchema = `{
  "$defs": {"owner": {"type": "object", "properties": {"team": {"type": "string", "minLength": 2}}, "required": ["team"]}},
  "type": "object",
  "required": ["severity", "items"],
  "additionalProperties": false,
  "properties": {
    "severity": {"enum": ["low", "high"]},
    "items": {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "object", "properties": {
      "name": {"type": "string", "pattern": "^[a-z]+$"}, "count": {"type": "integer", "minimum": 1, "maximum": 9}, "owner": {"$ref": "#/$defs/owner"}}}},
    "note": {"type": ["string", "null"], "maxLength": 5},
    "either": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 10}]},
    "not a name": {"const": 1},
    "but": {"not": {"type": "string"}},
    "tags": {"type": "object", "patternProperties": {"^x-": {"type": "boolean"}}, "additionalProperties": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 2}}
  }
}`

func outputCheck(t testing.TB, schema string, verify ...spec.Verification) *spec.OutputCheck {
	t.Helper()
	o := spec.Output{Verify: verify}
	if schema != "" {
		if err := json.Unmarshal([]byte(schema), &o.Schema); err != nil {
			t.Fatal(err)
		}
	}
	c, err := spec.NewOutputCheck(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAProblemOfAnAnswerNamesPlaceFaultAndWhatIsAllowed holds for a whole line of the problem, or its beginning.
func TestAProblemOfAnAnswerNamesPlaceFaultAndWhatIsAllowed(t *testing.T) {
	c := outputCheck(t, triageSchema)
	for output, want := range map[string][]string{
		`{"severity": "low", "items": [{"name": "web", "count": 3.0, "owner": {"team": "ops"}}], "note": null, "either": 10, "not a name": 1.0, "tags": {"x-a": true, "n": 4}}`: nil,
		" \n{\"severity\": \"low\", \"items\": [1e0]}\t": {"- `items[0]` is 1, and must be object"},
		`{"severity": "urgent", "items": []}`:            {"- `items` has 0 items, and must have at least 1", "- `severity` is \"urgent\", and must be one of \"low\", \"high\""},
		`{"items": [{"name": "Web", "count": 10, "owner": {}}], "sevrity": "low"}`: {
			"- the answer lacks the required property \"severity\"",
			"- the answer has the property \"sevrity\", which is not allowed; allowed are but, either, items, not a name, note, severity, tags",
			"- `items[0].name` is \"Web\", and must match the regular expression \"^[a-z]+$\"",
			"- `items[0].count` is 10, and must be at most 9", "- `items[0].owner` lacks the required property \"team\""},
		`{"severity": "low", "items": [{"count": 1.5}, {"owner": {"team": "a"}}]}`: {
			"- `items[0].count` is 1.5, and must be integer", "- `items[1].owner.team` has 1 character, and must have at least 2"},
		`{"severity": "low", "items": [{}, {}], "note": "too long", "either": 7, "not a name": 2, "but": "x", "tags": {"x-a": 1, "n": 3, "m": -2}}`: {
			"- `items` holds {} twice, at 0 and 1", "- `note` has 8 characters, and must have at most 5",
			"- `either` is 7, and must fit any of these schemas: {\"type\":\"string\"}, {\"minimum\":10,\"type\":\"integer\"}",
			"- `[\"not a name\"]` is 2, and must be 1", "- `but` is \"x\", and must not fit the schema {\"type\":\"string\"}",
			"- `tags.x-a` is 1, and must be boolean", "- `tags.n` is 3, and must be a multiple of 2", "- `tags.m` is -2, and must be more than 0"},
		`[]`:                                    {"- the answer is an array, and must be object"},
		"```json\n{\"severity\": 1}\n```":       {"The answer is in a code fence, and must be JSON. Answer with the JSON value alone"},
		"Here it is: {}":                        {"The answer is not JSON: invalid character 'H' looking for beginning of value, at byte 1. Answer with the JSON value alone"},
		`{"severity": "low"} I hope this helps`: {"The answer goes on after its JSON value: \"I hope"},
		`{"severity": `:                         {"The answer is not JSON: it ends too early."},
		"":                                      {"The answer is empty, and must be JSON."},
		strings.Repeat("[", 100) + strings.Repeat("]", 100): {"The answer is too much: the value is nested deeper than 64 levels."},
	} {
		problem := c.Problem(output)
		if len(want) == 0 != (problem == nil) {
			t.Errorf("%s: %+v", output, problem)
			continue
		}
		for _, line := range want {
			if problem.Check != "output.schema" || !strings.Contains("\n"+problem.Text, "\n"+line) {
				t.Errorf("%s: %s says\n%s\nwithout %s", output, problem.Check, problem.Text, line)
			}
		}
	}
}

func TestVerificationsAreTriedInOrder(t *testing.T) {
	c := outputCheck(t, "", spec.Verification{Contains: "Sources:"}, spec.Verification{Excludes: "as an AI", Message: "Speak plainly."},
		spec.Verification{Matches: `(?m)^- `}, spec.Verification{CEL: "output.size() < 40"}, spec.Verification{CEL: "output.nothing == 1", Message: "No."})
	for output, want := range map[string]spec.OutputProblem{
		"":                                       {Check: "output.verify[0]", Text: `The answer must hold the text "Sources:".`},
		"SOURCES: As an AI":                      {Check: "output.verify[1]", Text: "Speak plainly."},
		"sources: none":                          {Check: "output.verify[2]", Text: "The answer must match the regular expression \"(?m)^- \"."},
		"sources:\n- " + strings.Repeat("x", 40): {Check: "output.verify[3]", Text: "The answer must be such that this CEL expression over `output` is true: output.size() < 40"},
	} {
		if got := c.Problem(output); got == nil || *got != want {
			t.Errorf("%q: %+v, want %+v", output, got, want)
		}
	}
	if got := c.Problem("sources:\n- a"); got == nil || !strings.HasPrefix(got.Text, "No. (The check could not be made: ") {
		t.Errorf("a check that cannot be made: %+v", got)
	}
	c = outputCheck(t, `{"type": "object"}`, spec.Verification{CEL: "output.count == 3 && output.name == 'web'"})
	if got := c.Problem(`{"count": 3.0, "name": "web"}`); got != nil {
		t.Errorf("of a JSON value: %+v", got)
	}
	if got := (*spec.OutputCheck)(nil).Problem("anything"); got != nil {
		t.Errorf("where nothing is asked: %+v", got)
	}
}

// TestASchemaWhoseCheckWouldNotEndIsRefused holds also for many schemas that stand for one value.
func TestASchemaWhoseCheckWouldNotEndIsRefused(t *testing.T) {
	doubling := `{"$defs": {"d0": {}`
	for i := 1; i < 40; i++ {
		before := string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		if i == 1 {
			before = "0"
		}
		doubling += `, "d` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `": {"allOf": [{"$ref": "#/$defs/d` + before + `"}, {"$ref": "#/$defs/d` + before + `"}]}`
	}
	doubling += `}, "$ref": "#/$defs/d39"}`
	for name, schema := range map[string]string{
		"itself":    `{"$ref": "#"}`,
		"a circle":  `{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}`,
		"doubling":  doubling,
		"elsewhere": `{"properties": {"a": {"$ref": "https://example.com/a"}}}`,
		"dynamic":   `{"$dynamicRef": "#a"}`,
	} {
		var o spec.Output
		if err := json.Unmarshal([]byte(schema), &o.Schema); err != nil {
			t.Fatal(name, err)
		}
		if _, err := spec.NewOutputCheck(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	tree := outputCheck(t, `{"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "additionalProperties": false}`)
	if got := tree.Problem(`{"left": {"right": {}}}`); got != nil {
		t.Errorf("a tree: %+v", got)
	}
	if got := tree.Problem(`{"left": {"right": {"up": 1}}}`); got == nil || !strings.Contains(got.Text, "`left.right` has the property \"up\"") {
		t.Errorf("a tree: %+v", got)
	}
}

// TestMoneyAddsUp checks that a sum does not depend on what it is made of, so that a limit is reached where it says.
func TestMoneyAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := &spec.Price{Input: float64(rapid.IntRange(1, 100).Draw(t, "cents")) / 100}
		price.Cached = price.Input / float64(rapid.IntRange(1, 10).Draw(t, "cheaper"))
		one := price.Of(spec.Usage{Input: 1000, Cached: 500})
		n := rapid.IntRange(1, 1000).Draw(t, "answers")
		var sum spec.Usage
		for range n {
			sum = sum.Add(one)
		}
		all := price.Of(spec.Usage{Input: 1000 * n, Cached: 500 * n})
		if math.Abs(sum.Cost-all.Cost) > 1e-9*float64(n) || sum.Input != all.Input || sum.Cached != all.Cached || sum.Currency != "USD" {
			t.Fatalf("%d answers of %v cost %+v, and all at once %v", n, one, sum, all)
		}
	})
	if got := (&spec.Price{Input: 4, Cached: 1, Output: 10}).Of(spec.Usage{Input: 3e6, Cached: 2e6, Output: 1e6}); got.Cost != 16 {
		t.Error(got)
	}
	if got := (&spec.Price{Input: 4}).Of(spec.Usage{Input: 3e6, Cached: 2e6}); got.Cost != 12 {
		t.Error(got)
	}
	if got := (*spec.Price)(nil).Of(spec.Usage{Input: 1, Output: 1}); got.Cost != 0 || got.Currency != "" {
		t.Error(got)
	}
	if got := (spec.Usage{Cost: 0.000012, Currency: "EUR"}).Money(); got != "0.000012 EUR" {
		t.Error(got)
	}
}

// FuzzProblem checks that no answer and no schema that is taken brings the check to its knees.
func FuzzProblem(f *testing.F) {
	f.Add(triageSchema, `{"severity": "low", "items": [{"name": "web"}]}`)
	f.Add(`{"type": ["string", "null"], "$defs": {"a": {"items": {"$ref": "#"}}}, "oneOf": [{"$ref": "#/$defs/a"}, true]}`, `[null, "x", {"a": [1e400]}]`)
	f.Add(`{"if": {"required": ["a"]}, "then": {"minProperties": 2}, "dependentSchemas": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": false}}`, `{"a": 1}`)
	f.Fuzz(func(t *testing.T, schema, output string) {
		var o spec.Output
		if json.Unmarshal([]byte(schema), &o.Schema) != nil {
			return
		}
		c, err := spec.NewOutputCheck(o)
		if err != nil {
			return
		}
		if problem := c.Problem(output); problem != nil && problem.Text == "" {
			t.Error("a problem without a word")
		}
	})
}
