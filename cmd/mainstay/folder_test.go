package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// A folder that is loaded once more, for another environment, gives what it gives when it is loaded alone; and a file that was
// written in between is read again.
func TestAFolderIsLoadedForEachEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	fleet := "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: default}}\n"
	model := "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: default}\nspec: {provider: scripted, rules: [{text: x}]}\n"
	turns := "apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: porter}\nspec: {limits: {turns: 7}}\n"
	write("mainstay.yaml", fleet)
	write("models/default.yaml", model)
	write("agents/porter.md", "Carry.\n")
	write("overlays/prod/agents.yaml", turns)
	write("overlays/test/agents.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: porter}\nspec: {persona: null}\n")
	files, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer files.root.Close()
	l := &loading{files: files}
	digests := map[string]spec.Digest{}
	for _, env := range append([]string{"", "prod", ""}, l.environments()...) {
		got, problems, err := l.load(t.Context(), env)
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		if want := loaded(t, dir, env); got.Digest != want.Digest {
			t.Errorf("%q: %s, want %s", env, got.Digest, want.Digest)
		}
		digests[env] = got.Digest
	}
	if len(digests) != 3 || digests[""] == digests["prod"] || digests[""] != digests["test"] {
		t.Error(digests)
	}
	write("agents/porter.md", "Carry on.\n")
	if got, _, err := l.load(t.Context(), ""); err != nil || got.Digest == digests[""] {
		t.Error("the old file was read", err)
	}
}
