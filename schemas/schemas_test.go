package schemas_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/schemas/generator"
	"github.com/mainstay-dev/mainstay/spec"
)

// TestFilesAreCurrent makes everything again and compares it with what is committed.
func TestFilesAreCurrent(t *testing.T) {
	made, err := generator.Generate(filepath.Join("..", "spec"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what is made of package spec (%v): run go generate ./schemas and commit the result", name, err)
		}
	}
	for name := range schemas.Files() {
		if made[name] == nil {
			t.Errorf("%s is made by nobody: remove it", name)
		}
	}
}

func TestEveryKindHasItsFiles(t *testing.T) {
	for _, kind := range schemas.Kinds() {
		raw, ok := schemas.JSON(string(kind))
		var value map[string]any
		if !ok || json.Unmarshal(raw, &value) != nil || value["title"] != string(kind) {
			t.Errorf("%s has no JSON Schema", kind)
		}
		if _, ok := schemas.CRD(kind); !ok {
			t.Errorf("%s has no CustomResourceDefinition", kind)
		}
	}
	if _, ok := schemas.JSON(schemas.All); !ok {
		t.Error("there is no schema of all kinds")
	}
	if _, ok := schemas.FrontMatter(spec.KindAgent); !ok {
		t.Error("there is no schema of an agent's front matter")
	}
}

// TestDefinitionsAreStructural checks the rules of
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
// that an API server would refuse a definition for.
func TestDefinitionsAreStructural(t *testing.T) {
	for _, kind := range schemas.Kinds() {
		raw, _ := schemas.CRD(kind)
		var crd struct {
			Metadata struct{ Name string }
			Spec     struct {
				Names    struct{ Plural string }
				Group    string
				Versions []struct {
					Schema struct{ OpenAPIV3Schema map[string]any }
				}
			}
		}
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		if want := crd.Spec.Names.Plural + "." + crd.Spec.Group; crd.Metadata.Name != want {
			t.Errorf("%s is named %q, not %q", kind, crd.Metadata.Name, want)
		}
		structural(t, string(kind), crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
}

func structural(t *testing.T, where string, s map[string]any) {
	t.Helper()
	typ, isText := s["type"].(string)
	if !isText && s["x-kubernetes-preserve-unknown-fields"] != true {
		t.Errorf("%s has no type", where)
	}
	properties, _ := s["properties"].(map[string]any)
	if properties != nil && s["additionalProperties"] != nil {
		t.Errorf("%s has properties and additionalProperties", where)
	}
	if typ == "array" && s["items"] == nil {
		t.Errorf("%s has no items", where)
	}
	for _, forbidden := range []string{"oneOf", "const", "$ref", "x-later", "x-type", "definitions"} {
		if s[forbidden] != nil {
			t.Errorf("%s has %s", where, forbidden)
		}
	}
	if d, ok := s["default"]; ok && (typ == "integer" && reflect.TypeOf(d).Kind() != reflect.Float64 || typ == "string" && reflect.TypeOf(d).Kind() != reflect.String) {
		t.Errorf("%s has the default %v", where, d)
	}
	for name, p := range properties {
		structural(t, where+"."+name, p.(map[string]any))
	}
	for _, inner := range []string{"items", "additionalProperties"} {
		if p, ok := s[inner].(map[string]any); ok {
			structural(t, where+"[]", p)
		}
	}
	if required, ok := s["required"].([]any); ok {
		for _, name := range required {
			if properties[name.(string)] == nil {
				t.Errorf("%s requires %s, which it does not have", where, strings.TrimSpace(name.(string)))
			}
		}
	}
}
