package spec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	yamlv3 "go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/spec"
)

// compiled are the JSON Schemas as an independent validator reads them.
func compiled(t testing.TB) map[spec.Kind]*jsonschema.Schema {
	t.Helper()
	out := map[spec.Kind]*jsonschema.Schema{}
	for kind := range spec.Written {
		raw, err := os.ReadFile(filepath.Join("..", "schemas", "json", strings.ToLower(string(kind))+".json"))
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("schema.json", value); err != nil {
			t.Fatal(err)
		}
		if out[kind], err = c.Compile("schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// forms are texts that match each pattern.
var forms = map[string][]string{
	"commit": {strings.Repeat("a1", 20)}, "digest": {"sha256:" + strings.Repeat("0f", 32)}, "name": {"a", "web-1", "x--y"}, "header": {"X-Api", "Accept"},
	"key": {"0123456789abcdef"}, "repository": {"https://example.com/a.git", "git@example.com:a.git", "ssh://git@example.com/a"},
	"revision": {"main@sha1:" + strings.Repeat("a1", 20)}, "url": {"https://example.com", "http://127.0.0.1:11434/v1?a=b"}, "variable": {"TOKEN", "_x1"},
	"runtime":    {"loop", "web-1", "/opt/agents/triage", "/root/.local/bin/mainstay_x+1@2"},
	"executable": {"jq", "python3.11", "/usr/bin/g++", "/opt/.tools/x_1@2"},
	"owner":      {"@ada", "@shop/sre", "ada@example.com"},
	"subdomain":  {"forge", "forge.example-1.com"}, "datakey": {"token", ".dockerconfigjson", "tls.crt", "_A"},
	"person": {"ada@example.com", "*@example.com"},
}

var written = slices.Sorted(maps.Keys(spec.Written))

// valid draws a value that is as the rules of its field say. Of fields that need not be there some are.
func valid(t *rapid.T, of reflect.Type, r *spec.Rules) any {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	least, most := bound(r, true, 0), bound(r, false, 3)
	switch {
	case of == reflect.TypeFor[spec.Duration]():
		d, _ := spec.ParseDuration("1m")
		for _, b := range []string{r.Min, r.Max} {
			if edge, err := spec.ParseDuration(b); err == nil && (b == r.Min && edge > d || b == r.Max && edge < d) {
				d = edge
			}
		}
		return d.String()
	case of.Kind() == reflect.Struct && bareField(of) && r != nil && r.Required && rapid.Bool().Draw(t, "bare"):
		return rapid.SampledFrom([]string{"", "x"}).Draw(t, "text")
	case of.Kind() == reflect.Struct:
		out := map[string]any{}
		for _, f := range spec.RulesOf(of) {
			if f.Required || rapid.IntRange(0, 4).Draw(t, f.Name) == 0 {
				out[f.Name] = valid(t, of.FieldByIndex(f.Index).Type, &f)
			}
		}
		if len(out) == 0 && r != nil && r.Required {
			f := spec.RulesOf(of)[0]
			out[f.Name] = valid(t, of.FieldByIndex(f.Index).Type, &f)
		}
		return out
	case of.Kind() == reflect.Slice:
		out := []any{}
		items := spec.Rules{Required: true}
		if r != nil {
			items.Enum, items.Pattern = r.Enum, r.Pattern
		}
		for range rapid.IntRange(max(int(least), required(r)), max(min(int(most), 2), 1)).Draw(t, "items") {
			out = append(out, valid(t, of.Elem(), &items))
		}
		return out
	case of.Kind() == reflect.Map:
		out := map[string]any{}
		for i := range rapid.IntRange(required(r), 2).Draw(t, "fields") {
			out["f"+strconv.Itoa(i)] = valid(t, of.Elem(), nil)
		}
		return out
	case of.Kind() == reflect.String && r != nil && len(r.Enum) > 0:
		return rapid.SampledFrom(r.Enum).Draw(t, "enum")
	case of.Kind() == reflect.String && r != nil && r.Pattern != "":
		return rapid.SampledFrom(forms[r.Pattern]).Draw(t, "form")
	case of.Kind() == reflect.String:
		return strings.Repeat("é", max(int(least), required(r), rapid.IntRange(0, min(int(most), 3)).Draw(t, "length")))
	case of.Kind() == reflect.Bool:
		return rapid.Bool().Draw(t, "bool")
	case of.Kind() == reflect.Int:
		return max(int(least), required(r), rapid.IntRange(0, 3).Draw(t, "int"))
	case of.Kind() == reflect.Float64:
		return max(least, 0.5)
	}
	return rapid.SampledFrom([]any{nil, "x", 1, true, []any{1}, map[string]any{"a": nil}}).Draw(t, "any")
}

// bareField says that a text can take the place of a struct.
func bareField(of reflect.Type) bool {
	return slices.ContainsFunc(spec.RulesOf(of), func(r spec.Rules) bool { return r.Bare })
}

func required(r *spec.Rules) int {
	if r != nil && r.Required {
		return 1
	}
	return 0
}

func bound(r *spec.Rules, least bool, otherwise float64) float64 {
	if r == nil {
		return otherwise
	}
	text := r.Max
	if least {
		text = r.Min
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	return otherwise
}

// break1 changes one thing somewhere in a value: what it makes may be valid all the same.
func break1(t *rapid.T, value any) any {
	wrong := rapid.SampledFrom([]any{nil, "", "x", "A b", "-", 0, -1, 7, 1.5, 3.0, 1e12, true, []any{}, []any{nil}, []any{"x", "x"}, []any{map[string]any{}},
		map[string]any{}, map[string]any{"a": nil}, map[string]any{"nonsense": 1}, "long", "many"})
	switch v := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		switch how := rapid.IntRange(0, 9).Draw(t, "how"); {
		case how == 0 || len(keys) == 0:
			v["nonsense"] = 1
		case how == 1:
			delete(v, rapid.SampledFrom(keys).Draw(t, "removed"))
		case how < 4:
			key := rapid.SampledFrom(keys).Draw(t, "replaced")
			switch v[key] = wrong.Draw(t, "by"); v[key] {
			case "many":
				v[key] = slices.Repeat([]any{"x"}, 2000)
			case "long":
				v[key] = strings.Repeat("x", 20_000)
			}
		default:
			key := rapid.SampledFrom(keys).Draw(t, "within")
			v[key] = break1(t, v[key])
		}
		return v
	case []any:
		if len(v) > 0 && rapid.Bool().Draw(t, "inside") {
			i := rapid.IntRange(0, len(v)-1).Draw(t, "item")
			v[i] = break1(t, v[i])
			return v
		}
	}
	return wrong.Draw(t, "wrong")
}

// TestSchemasAgreeWithTheLoader draws resources and broken variants of them, and compares what the schemas say of their form
// with what the loader says. How long a duration may be is left out, since JSON Schema cannot say it.
func TestSchemasAgreeWithTheLoader(t *testing.T) {
	schemas := compiled(t)
	seen := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(written).Draw(t, "kind")
		var value any = map[string]any{"apiVersion": spec.APIVersion, "kind": string(kind), "metadata": map[string]any{"name": "a"}, "spec": valid(t, spec.Written[kind], nil)}
		breaks := rapid.IntRange(0, 2).Draw(t, "breaks")
		for range breaks {
			value = break1(t, value)
		}
		m, isMap := value.(map[string]any)
		if !isMap || m["kind"] != string(kind) {
			return // There is no telling which schema it would be.
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := yaml.JSONToYAML(raw)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		verdict := schemas[kind].Validate(decoded)
		problems := spec.Form(kind, ".json", raw)
		if (verdict == nil) != (len(problems) == 0) {
			t.Fatalf("of\n%.3000s\nthe schema says %.500v, and the loader %.500v", raw, verdict, problems)
		}
		if breaks == 0 && verdict != nil {
			t.Fatalf("what is drawn as valid is not: %s: %v", raw, verdict)
		}
		if inYAML := spec.Form(kind, ".yaml", asYAML); len(problems) > 0 != inYAML.HasErrors() {
			t.Fatalf("of\n%s\nthe loader does not say what it says of the same in JSON: %v", asYAML, problems)
		}
		seen[verdict == nil]++
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("of all that was drawn %d were valid and %d were not", seen[true], seen[false])
	}
}

// TestSchemasTakeWhatIsWritten validates every resource in the repositories that this project holds.
func TestSchemasTakeWhatIsWritten(t *testing.T) {
	schemas := compiled(t)
	count := 0
	for _, root := range []string{"testdata/complete", "../examples"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(path, "overlays") || strings.Contains(path, "manifests") || strings.Contains(path, "testdata/golden") {
				return err
			}
			if ext := filepath.Ext(path); ext != ".yaml" && ext != ".json" {
				return nil
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, one := range bytes.Split(raw, []byte("\n---\n")) {
				if !bytes.Contains(one, []byte(spec.APIVersion)) {
					continue
				}
				asJSON, err := one, error(nil)
				if filepath.Ext(path) == ".yaml" {
					var value any // The other library takes the key on for true, as YAML 1.1 does.
					if err = yamlv3.Unmarshal(one, &value); err == nil {
						asJSON, err = json.Marshal(value)
					}
				}
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				var head struct {
					APIVersion string    `json:"apiVersion"`
					Kind       spec.Kind `json:"kind"`
				}
				if json.Unmarshal(asJSON, &head) != nil || head.APIVersion != spec.APIVersion {
					continue
				}
				value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
				if err != nil {
					return err
				}
				if err := schemas[head.Kind].Validate(value); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				count++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count < 15 {
		t.Errorf("only %d resources were found", count)
	}
}
