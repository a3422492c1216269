package spec_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestAModelKnowsTheOthersThatAnswerForIt checks that a change of one that is only reached through another is a change of all
// that may lead there, and of the agent.
func TestAModelKnowsTheOthersThatAnswerForIt(t *testing.T) {
	cache := &spec.Cache{}
	load := func(last string) *spec.Fleet {
		t.Helper()
		model := func(name, rest string) *fstest.MapFile {
			return &fstest.MapFile{Data: fmt.Appendf(nil, "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: %s}\nspec: {provider: scripted, rules: [{text: %s}], %s}\n", name, name, rest)}
		}
		fleet, err := spec.Load(withIDs(fstest.MapFS{
			"mainstay.yaml":  {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: f}\nspec: {defaults: {model: a}}\n")},
			"agents/x.md":    {Data: []byte("Hello.\n")},
			"models/a.yaml":  model("a", "split: [{model: a, weight: 1}, {model: z, weight: 1}], routes: [{when: request.turn > 3, model: m}]"),
			"models/m.yaml":  model("m", "fallbacks: [{model: z}]"),
			"models/z.yaml":  {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: z}\nspec: {provider: scripted, rules: [{text: " + last + "}]}\n")},
			"models/no.yaml": model("no", "price: {input: 1}"),
		}), spec.LoadOptions{Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		return fleet
	}
	before, after := load("one"), load("two")
	names := func(models []*spec.Model) (all []string) {
		for _, m := range models {
			all = append(all, m.Name)
		}
		return all
	}
	a := before.Models["a"]
	if got := names(a.Others); !slices.Equal(got, []string{"m", "z"}) || a.Other("a") != a || a.Other("m") != before.Models["m"] || a.Other("no") != nil {
		t.Errorf("a has the others %v", got)
	}
	for name, changes := range map[string]bool{"a": true, "m": true, "z": true, "no": false} {
		if got := before.Models[name].Digest != after.Models[name].Digest; got != changes {
			t.Errorf("model %s changes: %v, want %v", name, got, changes)
		}
	}
	if after.Models["m"].Other("z") != after.Models["z"] || before.Agents["x"].Digest == after.Agents["x"].Digest {
		t.Error("the new one is not the one that is asked")
	}
}
