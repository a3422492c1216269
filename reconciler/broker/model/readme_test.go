package model_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/spec"
)

// The models that README.md shows are ones that load.
func TestTheModelsOfTheReadmeLoad(t *testing.T) {
	readme, err := os.ReadFile("README.md")
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
		t.Fatal(problems)
	}
	for _, name := range []string{"azure", "claude", "litellm", "openai", "vllm"} {
		if m := fleet.Models[name]; m == nil || len(m.Later) > 0 {
			t.Errorf("model %s is %+v", name, m)
		}
	}
}
