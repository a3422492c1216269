package spec_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/spec"
)

// checkLoad holds for every input: there is a fleet or an error, every problem is one line with a file, and loading again
// says the same.
func checkLoad(t *testing.T, root fstest.MapFS, opts spec.LoadOptions) *spec.Fleet {
	fleet, problems := spec.Load(root, opts)
	if (fleet == nil) != problems.HasErrors() || (problems.Err() != nil) != problems.HasErrors() {
		t.Fatalf("a fleet: %t, errors: %t", fleet != nil, problems.HasErrors())
	}
	for _, p := range problems {
		text := p.String()
		if p.File == "" || p.Summary == "" || strings.ContainsAny(text, "\n\r") || !utf8.ValidString(text) || p.Line < 0 || p.Column < 0 {
			t.Fatalf("the problem %q (%#v) cannot be shown", text, p)
		}
		if f, ok := root[p.File]; ok && p.Line > strings.Count(strings.ReplaceAll(string(f.Data), "\r", "\n"), "\n")+2 {
			t.Fatalf("the problem %q is behind the end of the file", text)
		}
	}
	again, problemsAgain := spec.Load(root, opts)
	if problems.String() != problemsAgain.String() || fleet != nil && fleet.Digest != again.Digest {
		t.Fatalf("loading twice is not the same:\n%s\n---\n%s", problems, problemsAgain)
	}
	return fleet
}

func FuzzLoad(f *testing.F) {
	files := copyOf(f, os.DirFS("testdata/complete"))
	for name, file := range files {
		f.Add(name, file.Data)
	}
	f.Add("agents/a.yaml", []byte(aliasBomb(5)))
	f.Add("agents/a.json", []byte(`{"a": [1, 2.5, "x", null, {"b": true}]}`))
	f.Add("policies/a.yaml", []byte("? [a]\n: b\n--- |\n x\n...\n%YAML 1.2\n"))
	f.Add("overlays/prod/a.json", []byte(`{"apiVersion": "mainstay.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "triage"}, "spec": {"prompt": null, "tools": [null]}}`))
	f.Add("overlays/prod/b/c.yaml", []byte("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: cluster}\nspec: {tools: {restart: {precondition: {<<: {check: null}}}}}\n"))
	f.Add("overlays/Prod/a.yaml", []byte("kind: Fleet\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if len(data) > 64<<10 || !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r") {
			t.Skip()
		}
		root := fstest.MapFS{}
		for n, file := range files {
			root[n] = file
		}
		root[name] = &fstest.MapFile{Data: data}
		checkLoad(t, root, spec.LoadOptions{})
		checkLoad(t, root, spec.LoadOptions{Env: "prod"})
	})
}

func FuzzMarkdown(f *testing.F) {
	f.Add("---\nmodel: default\n---\nHello.\n")
	f.Add("---\n---\n")
	f.Add("\ufeff--- \r\ndescription: x\r\n---\r\n\r\nHello. {{ a }}\r\n")
	f.Add("---\ntext: a\n")
	f.Add("<!-- a -->\n---\nname: s\ndescription: d\nmetadata: {a: 1}\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			t.Skip()
		}
		root := tree("agents/a.md", text)
		if fleet := checkLoad(t, root, spec.LoadOptions{}); fleet != nil && !strings.HasPrefix(fleet.Agents["a"].Instructions, "# Instructions\n\n") && !strings.Contains(fleet.Agents["a"].Instructions, "\n# Instructions\n") {
			t.Fatalf("the instructions are %q", fleet.Agents["a"].Instructions)
		}
		root["prompts/p.md"] = &fstest.MapFile{Data: []byte(text)}
		root["skills/s/SKILL.md"] = &fstest.MapFile{Data: []byte(text)}
		root["triggers/t.md"] = &fstest.MapFile{Data: []byte(text)}
		root["overlays/prod/a.yaml"] = &fstest.MapFile{Data: []byte(agentHead + "spec: {tools: null, instructions: Bye.}\n")}
		checkLoad(t, root, spec.LoadOptions{Env: "prod"})
	})
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"${ arguments.name }", "a ${ arguments.n + 1 } b", "$${x}", "${ '}' }", "${ \"\"\"}\"\"\" }", "${ r'\\' }", "${ {'a': [1]} }", "${ 1 // }\n}", "${"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			t.Skip()
		}
		vars := map[string]any{"arguments": map[string]any{"name": "web", "n": 1}}
		template, err := spec.NewTemplate(text)
		if err != nil {
			return
		}
		value, err := template.Value(vars)
		if err != nil {
			return
		}
		if _, err := spec.Canonical(value); err != nil && utf8.ValidString(text) {
			t.Fatalf("%q renders as %v, which is not JSON: %v", text, value, err)
		}
		if !strings.Contains(text, "${") {
			if rendered, err := template.Text(vars); err != nil || rendered != text {
				t.Fatalf("%q has no expression, and renders as %q (%v)", text, rendered, err)
			}
		}
	})
}
