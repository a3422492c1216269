package spec_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/spec"
)

// broken is a tree of which one entry cannot be read.
type broken struct {
	fstest.MapFS
	name string
}

func (b broken) Open(name string) (fs.File, error) {
	if name == b.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("input/output error")}
	}
	return b.MapFS.Open(name)
}

func (b broken) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == b.name {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("input/output error")}
	}
	return b.MapFS.ReadDir(name)
}

// These are the problems of files that an archive cannot hold.
func TestWhatCannotBeReadIsAProblem(t *testing.T) {
	skill := tree(".agents/skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n")
	many := tree("skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n")
	for i := range 1001 {
		many[fmt.Sprintf("skills/s/%04d", i)] = &fstest.MapFile{}
	}
	heavy, large := tree("skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n"), &fstest.MapFile{Data: make([]byte, 1<<20)}
	for i := range 65 {
		heavy[fmt.Sprintf("skills/s/%04d", i)] = large
	}
	heavy["skills/s/larger"] = &fstest.MapFile{Data: make([]byte, 1<<20+1)}
	secret := tree("tools/a.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: a}\n"+
		"spec: {command: [a], env: [{name: A, from: {sops: {file: secrets/a.yaml, key: a}}}], tools: {a: {effect: read}}}\n")
	secret["secrets/a.yaml"] = &fstest.MapFile{}
	folder := with(maps.Clone(secret), "secrets/a.yaml/inside")
	delete(folder, "secrets/a.yaml")
	program := tree("agents/a.jsonnet", "{}")
	for _, tt := range []struct {
		root fs.FS
		opts spec.LoadOptions
		want string
	}{
		{broken{tree("agents/a.md", "Hello."), "."}, spec.LoadOptions{}, ".: the folder cannot be read: input/output error"},
		{broken{tree("agents/a.md", "Hello."), "agents"}, spec.LoadOptions{}, "agents: the folder cannot be read: input/output error"},
		{broken{tree("agents/a.md", "Hello."), "agents/a.md"}, spec.LoadOptions{}, "agents/a.md: the file cannot be read: input/output error"},
		{broken{skill, ".agents"}, spec.LoadOptions{}, ".agents: the folder cannot be read: input/output error"},
		{broken{with(skill, ".agents/skills/s/more/text.md"), ".agents/skills/s/more"}, spec.LoadOptions{}, ".agents/skills/s/more: the folder cannot be read: input/output error"},
		{broken{skill, ".agents/skills/s/SKILL.md"}, spec.LoadOptions{}, ".agents/skills/s/SKILL.md: the file cannot be read: input/output error"},
		{broken{secret, "secrets/a.yaml"}, spec.LoadOptions{}, "secrets/a.yaml: it cannot be read: input/output error"},
		{folder, spec.LoadOptions{}, "secrets/a.yaml: it is not a regular file"},
		{many, spec.LoadOptions{}, "a skill holds at most 1000 files"},
		{heavy, spec.LoadOptions{}, "the files are larger than 64 MiB together"},
		{heavy, spec.LoadOptions{}, "skills/s/larger: warning: the file is larger than 1024 KiB, so agents will not see it (make it smaller)"},
		{tree("agents/"+strings.Repeat("a/", 100)+"a.md", "Hello."), spec.LoadOptions{}, "folders are nested deeper than 64 levels"},
		{tree("mainstay.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: a}\nspec: {provider: ollama, name: a}\n"), spec.LoadOptions{}, "mainstay.yaml: the file declares no Fleet (add a resource of kind: Fleet)"},
		{tree("agents/a.md", strings.Repeat("Hello. ", 100_000)), spec.LoadOptions{}, `the instructions of agent "a" are longer than 256 KiB with persona and prompt (move details into skills`},
		{program, spec.LoadOptions{}, "agents/a.jsonnet: Jsonnet is not evaluated here (write it as YAML, JSON or Markdown)"},
		{program, spec.LoadOptions{Jsonnet: func([]string, map[string]string) ([]spec.Evaluated, error) { return nil, errors.New("no process") }},
			"agents/a.jsonnet: Jsonnet cannot be evaluated: no process (try again)"},
	} {
		fleet, problems := spec.Load(tt.root, tt.opts)
		if fleet != nil || !strings.Contains(problems.String(), tt.want) {
			t.Errorf("the problems are\n%.2000s\nwithout %q", problems, tt.want)
		}
	}
}
