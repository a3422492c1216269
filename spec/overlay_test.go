package spec_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestAnOverlayChangesWhatItNames(t *testing.T) {
	base := complete(t)
	prod, problems := spec.Load(os.DirFS("testdata/complete"), spec.LoadOptions{Env: "prod"})
	if len(problems) > 0 {
		t.Fatalf("problems:\n%s", problems)
	}
	a := prod.Agents["triage"]
	if !strings.Contains(a.Instructions, "# Instructions\n\nLook twice at the deployments.\n\nSay what you found, and page nobody.\n\n# Skills") {
		t.Errorf("the instructions are %q", a.Instructions)
	}
	if a.Limits.Turns != 60 || a.Limits.ToolCalls != 20 || a.Limits.WallTime != 5*time.Minute {
		t.Errorf("the limits are %+v", a.Limits)
	}
	if len(a.ProposePaths) > 0 || len(a.ReadPaths) != 1 || prod.Expires != 72*time.Hour {
		t.Errorf("null does not remove: %v, %v, %s", a.ProposePaths, a.ReadPaths, prod.Expires)
	}
	if s := prod.Servers["cluster"].Spec; len(s.Command) != 1 || s.Tools["scale"].Effect != spec.EffectDenied || s.Tools["restart"].Precondition == nil {
		t.Errorf("the tool server is %+v", s)
	}
	if a.Place.File != "agents/triage.md" || len(prod.Approvers) != 1 || prod.Ledger == nil {
		t.Errorf("the overlay changes more than it says: %+v", prod)
	}
	var changed []string
	for i, r := range prod.Resources {
		if r.Digest != base.Resources[i].Digest {
			changed = append(changed, r.String())
		}
	}
	if want := []string{"Fleet/complete", "Agent/reader", "Agent/triage", "ToolServer/cluster"}; !slices.Equal(changed, want) {
		t.Errorf("the digests of %v change", changed)
	}
}

func TestAnOverlayMakesWhatCouldHaveBeenWritten(t *testing.T) {
	for _, tt := range []struct{ name, file, written, patch, same string }{
		{"nothing", "agents/a.md", "Hello.\n", "{}", "Hello.\n"},
		{"what is there already", "agents/a.md", "---\nlimits: {turns: 3}\n---\nHello.\n", "{instructions: Hello., limits: {turns: 3}}", "---\nlimits: {turns: 3}\n---\nHello.\n"},
		{"a null for what is not there", "agents/a.md", "Hello.\n", "{persona: null, limits: {turns: null}}", "Hello.\n"},
		{"a field of a map", "agents/a.md", "---\nlimits: {turns: 3, toolCalls: 4}\n---\nHello.\n", "{limits: {turns: 5}}", "---\nlimits: {turns: 5, toolCalls: 4}\n---\nHello.\n"},
		{"a null for a field of a map", "agents/a.md", "---\nlimits: {turns: 3, toolCalls: 4}\n---\nHello.\n", "{limits: {turns: null}}", "---\nlimits: {toolCalls: 4}\n---\nHello.\n"},
		{"a null for a map", "agents/a.md", "---\nlimits: {turns: 3}\n---\nHello.\n", "{limits: null}", "Hello.\n"},
		{"a list", "agents/a.md", "---\nfiles: {read: [a, b]}\n---\nHello.\n", "{files: {read: [c]}}", "---\nfiles: {read: [c]}\n---\nHello.\n"},
		{"the text below the front matter", "agents/a.md", "---\ndescription: It greets.\n---\nHello.\n", "{instructions: Bye.}", "---\ndescription: It greets.\n---\nBye.\n"},
		{"a map for nothing", "agents/a.md", "---\nlimits:\n---\nHello.\n", "{limits: {turns: 5}}", "---\nlimits: {turns: 5}\n---\nHello.\n"},
		{"YAML", "agents/a.yaml", agentHead + "spec: {instructions: Hello., model: default}\n", "{instructions: Bye.}", agentHead + "spec: {instructions: Bye.}\n"},
		{"no spec", "agents/a.yaml", agentHead, "{instructions: Bye.}", agentHead + "spec: {instructions: Bye.}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(tt.file, tt.written)
			root["overlays/dev/any/thing.yaml"] = &fstest.MapFile{Data: []byte(agentHead + "spec: " + tt.patch + "\n")}
			merged, problems := spec.Load(root, spec.LoadOptions{Env: "dev"})
			same, wrong := spec.Load(tree(tt.file, tt.same), spec.LoadOptions{})
			if len(problems)+len(wrong) > 0 {
				t.Fatal(problems, wrong)
			}
			if merged.Digest != same.Digest || merged.Agents["a"].Digest != same.Agents["a"].Digest {
				t.Errorf("the digests are not those of\n%s", tt.same)
			}
		})
	}
}

func TestOverlaysThatAreNotAppliedChangeNothing(t *testing.T) {
	root := copyOf(t, os.DirFS("testdata/complete"))
	for name := range root {
		if strings.HasPrefix(name, "overlays/") {
			delete(root, name)
		}
	}
	without, problems := spec.Load(root, spec.LoadOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if with := complete(t); with.Digest != without.Digest {
		t.Error("the fleet's digest is another one")
	}
	root["overlays/dev/broken.yaml"] = &fstest.MapFile{Data: []byte(agentHead)}
	for _, env := range []string{"", "dev"} {
		_, problems := spec.Load(root, spec.LoadOptions{Env: env})
		if got := problems.String(); got != `overlays/dev/broken.yaml:3:18: unknown agent "a" (declare it in agents/)` {
			t.Errorf("the problems in %q are %s", env, got)
		}
	}
}

func TestProblemsOfAMergedResourceAreWhereTheyWereWritten(t *testing.T) {
	root := tree("agents/a.md", "---\nmodel: defualt\n---\nHello.\n")
	root["models/default.yaml"].Data = append(root["models/default.yaml"].Data, "---\napiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: big}\nspec:\n  provider: scripted\n  rules:\n  - text: hello\n"...)
	root["overlays/dev/all.yaml"] = &fstest.MapFile{Data: []byte(agentHead + "spec:\n  model: default\n---\n" +
		"apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: big}\nspec:\n  rules:\n  - text: |\n      one\n      ${ nothing }\n")}
	for env, want := range map[string]string{
		"":    `agents/a.md:2:8: unknown model "defualt" (did you mean "default"?)`,
		"dev": "overlays/dev/all.yaml:14:10: text: undeclared reference to 'nothing'",
	} {
		if _, problems := spec.Load(root, spec.LoadOptions{Env: env}); problems.String() != want {
			t.Errorf("the problems in %q are\n%s\nnot\n%s", env, problems, want)
		}
	}
}

func TestApproversAreThoseOfTheRootFile(t *testing.T) {
	for _, field := range []string{"approvers: []", "approvers: null", "ledger: null", "ledger: {signers: []}"} {
		root := tree("agents/a.md", "Hello.")
		root["overlays/dev/fleet.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec:\n  " + field + "\n")}
		name, _, _ := strings.Cut(field, ":")
		want := `overlays/dev/fleet.yaml:5:3: an overlay cannot change "` + name + `": approval is judged from mainstay.yaml alone (change it there)`
		for _, env := range []string{"", "dev"} {
			if _, problems := spec.Load(root, spec.LoadOptions{Env: env}); !strings.Contains(problems.String(), want) {
				t.Errorf("%s in %q: %s", field, env, problems)
			}
		}
	}
}

func TestAnUnknownEnvironmentIsAProblem(t *testing.T) {
	with := copyOf(t, os.DirFS("testdata/complete"))
	for _, tt := range []struct {
		root      fstest.MapFS
		env, want string
	}{
		{tree("agents/a.md", "Hello."), "prod", `overlays/prod: there is no overlay "prod"; there are none (make the folder, or leave the environment out)`},
		{with, "prd", `overlays/prd: there is no overlay "prd"; there are dev, prod (did you mean "prod"?)`},
		{with, "staging", `overlays/staging: there is no overlay "staging"; there are dev, prod (make the folder, or leave the environment out)`},
		{with, "../prod", `overlays: the overlay "../prod" is not a name: use lower-case letters, digits and hyphens, and begin and end with a letter or digit`},
		{with, "Prod", `overlays: the overlay "Prod" is not a name: use lower-case letters, digits and hyphens, and begin and end with a letter or digit`},
	} {
		fleet, problems := spec.Load(tt.root, spec.LoadOptions{Env: tt.env})
		if fleet != nil || problems.String() != tt.want {
			t.Errorf("%s: %s", tt.env, problems)
		}
	}
}
