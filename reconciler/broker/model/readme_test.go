package model_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/spec"
)

// The models that the READMEs show are ones that load, and nothing in them is only checked.
func TestTheModelsOfTheReadmesLoad(t *testing.T) {
	for file, names := range map[string][]string{
		"README.md":          {"azure", "claude", "litellm", "openai", "vllm"},
		"../../../README.md": {"default", "long"},
	} {
		readme, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(readme), "```yaml\n")
		text, _, _ = strings.Cut(text, "```\n")
		fleet, problems := spec.Load(fstest.MapFS{
			"mainstay.yaml":   {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: readme}\n")},
			"models/all.yaml": {Data: []byte(text)},
		}, spec.LoadOptions{})
		if len(problems) > 0 {
			t.Fatal(file, problems)
		}
		for _, name := range names {
			if m := fleet.Models[name]; m == nil || len(m.Later) > 0 {
				t.Errorf("%s: model %s is %+v", file, name, m)
			}
		}
	}
}
