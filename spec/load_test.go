package spec_test

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// complete loads the repository that holds every kind.
func complete(t *testing.T) *spec.Fleet {
	t.Helper()
	fleet, problems := spec.Load(os.DirFS("testdata/complete"), spec.LoadOptions{})
	if len(problems) > 0 {
		t.Fatalf("problems:\n%s", problems)
	}
	return fleet
}

func TestLoadListsEveryResource(t *testing.T) {
	var got []string
	for _, r := range complete(t).Resources {
		line := r.String()
		for _, d := range r.DependsOn {
			line += " " + d.String()
		}
		got = append(got, line)
		if !strings.HasPrefix(string(r.Digest), "sha256:") || len(r.Digest) != 71 || r.Place.File == "" {
			t.Errorf("%s has the digest %q and the place %q", r, r.Digest, r.Place)
		}
	}
	want := []string{
		"Fleet/complete",
		"Action/triage-01jcz3v5m8k2q4r6s8t0v2w4x6-3 ToolServer/cluster",
		"Agent/reader Model/local ToolServer/cluster",
		"Agent/triage Model/default Persona/engineer Prompt/look Skill/release-notes Skill/summarize ToolServer/cluster",
		"Model/default", "Model/local",
		"Persona/colleague", "Persona/engineer Persona/colleague",
		"Policy/guardrails", "Prompt/greet", "Prompt/look", "Skill/release-notes", "Skill/summarize", "ToolServer/cluster",
		"Trigger/changes Agent/triage", "Trigger/daily Agent/triage",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadResolvesAnAgent(t *testing.T) {
	fleet := complete(t)
	a := fleet.Agents["triage"]
	const want = `# Who you are

You are a platform engineer.

Tone: Plain and brief.

## Goals

- Be of help.
- Keep the services running.

## Boundaries

- Never guess.

# Instructions

Look carefully at the deployments.

Say what you found.

# Skills

Before you do what a skill is about, read it with the tool skills__read.

- release-notes: How to write release notes.
- summarize: How to summarize what was found. Use it before the last answer.
`
	if diff := cmp.Diff(want, a.Instructions); diff != "" {
		t.Error(diff)
	}
	if a.Model != fleet.Models["default"] || a.Model.Script == nil || a.Runtime != "loop" {
		t.Errorf("the defaults are not applied: model %v, runtime %q", a.Model, a.Runtime)
	}
	if want := (spec.RunLimits{Turns: 30, ToolCalls: 20, WallTime: 5 * time.Minute, OutputBytes: 262144}); a.Limits != want {
		t.Errorf("limits are %+v, not %+v", a.Limits, want)
	}
	var tools []string
	for _, tool := range a.Tools {
		tools = append(tools, tool.FullName()+" "+tool.Effect+" "+tool.Timeout.String())
	}
	if diff := cmp.Diff([]string{"cluster__restart write 10s", "cluster__scale write 10s", "cluster__status read 5s"}, tools); diff != "" {
		t.Error(diff)
	}
	if got := fleet.Agents["reader"]; got.Instructions != "# Instructions\n\nRead what you are asked to read.\n📖\n" || got.Runtime != "other-loop" {
		t.Errorf("reader is %+v", got)
	}
}

func TestLoadResolvesTheRest(t *testing.T) {
	fleet := complete(t)
	if len(fleet.Approvers) != 1 || fleet.Approvers[0].Name != "Robin" || fleet.Ledger == nil || len(fleet.Ledger.Signers) != 1 || fleet.Expires != 24*time.Hour {
		t.Errorf("the fleet is %+v", fleet)
	}
	if m := fleet.Models["local"].Spec; m.Endpoint != "" || m.Parameters["seed"] != int64(1) || m.Parameters["temperature"] != 0.5 {
		t.Errorf("model local is %+v", m)
	}
	tools := fleet.Servers["cluster"].Spec.Tools
	if p := tools["scale"].Precondition; p == nil || p.Tool != "status" || p.Check != "result.replicas > 0" {
		t.Errorf("the merge key is not merged: %+v", p)
	}
	if s := fleet.Skills["summarize"]; len(s.Files) != 2 || string(s.Files["scripts/count.sh"]) != "wc -w\n" {
		t.Errorf("skill summarize is %+v", s)
	}
	action := fleet.Actions["triage-01jcz3v5m8k2q4r6s8t0v2w4x6-3"]
	raw, err := os.ReadFile("testdata/complete/actions/triage-01jcz3v5m8k2q4r6s8t0v2w4x6-3.yaml")
	if err != nil || action.Digest != spec.DigestBytes(raw) {
		t.Errorf("the digest of an Action is %s, not that of its bytes (%v)", action.Digest, err)
	}
	if want := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC); !action.Expires.Equal(want) {
		t.Errorf("the action expires at %s", action.Expires)
	}
	changes, daily := fleet.Triggers[0], fleet.Triggers[1]
	if changes.Cron != nil || len(changes.Paths) != 1 || daily.Task != "Look at everything as of {{ revision }}." {
		t.Errorf("the triggers are %+v and %+v", changes, daily)
	}
	// A Friday, after the time: the next is on Monday at 6:30 in Berlin, where it is summer.
	next := daily.Cron.Next(time.Date(2026, 7, 3, 12, 0, 0, 0, time.UTC))
	if want := time.Date(2026, 7, 6, 4, 30, 0, 0, time.UTC); !next.Equal(want) {
		t.Errorf("the schedule is next due at %s, not %s", next, want)
	}
	rule := fleet.Policies[0].Rules[0]
	holds, err := rule.Condition.Holds(map[string]any{"call": map[string]any{"arguments": map[string]any{"namespace": "kube-system"}}})
	if err != nil || !holds {
		t.Errorf("the policy's rule holds: %t, %v", holds, err)
	}
	answer, err := fleet.Models["default"].Script.Answer(spec.Conversation{Messages: []spec.Message{{Role: "user", Text: "web is slow"}}})
	if err != nil || len(answer.Calls) != 1 || answer.Calls[0].Arguments["name"] != "web" {
		t.Errorf("the script answers %+v, %v", answer, err)
	}
}

// tree is a repository whose one agent is in a file with this content.
func tree(file, content string) fstest.MapFS {
	return fstest.MapFS{
		"mainstay.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: default}}\n")},
		"models/default.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: default}\n" +
			"spec: {provider: scripted, rules: [{text: hello}]}\n")},
		file: {Data: []byte(content)},
	}
}

func TestMarkdownIsReadAsPeopleWriteIt(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"front matter and body", "---\ndescription: It greets.\n---\nHello.\n", "Hello."},
		{"no front matter", "Hello.\n\nAnd more.\n", "Hello.\n\nAnd more."},
		{"empty front matter", "---\n---\nHello.\n", "Hello."},
		{"line ends of Windows and a byte order mark", "\ufeff---\r\ndescription: It greets.\r\n---\r\n\r\nHello.\r\nYou.\r\n", "Hello.\nYou."},
		{"rules within the body", "---\nmodel: default\n---\nHello.\n\n---\n\nYou.\n", "Hello.\n\n---\n\nYou."},
		{"instructions that are null in the front matter", "---\ninstructions:\n---\nHello.\n", "Hello."},
		{"comments and blanks behind the dashes", "---  \n# Nothing.\n--- \nHello.\n", "Hello."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fleet, problems := spec.Load(tree("agents/greeter.md", tt.content), spec.LoadOptions{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := fleet.Agents["greeter"].Instructions; got != "# Instructions\n\n"+tt.want+"\n" {
				t.Errorf("the instructions are %q", got)
			}
		})
	}
}

// inProcess evaluates programs without a process of their own. No test gives it one that does not end.
func inProcess(entries []string, files map[string]string) ([]spec.Evaluated, error) {
	places := func(of map[string]jsonnet.Place) map[string]spec.Place {
		out := map[string]spec.Place{}
		for pointer, p := range of {
			out[pointer] = spec.Place(p)
		}
		return out
	}
	var values []spec.Evaluated
	for _, entry := range entries {
		out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
		value := spec.Evaluated{JSON: out.JSON, Places: places(out.Places), Keys: places(out.Keys)}
		if f := out.Fault; f != nil {
			value.Fault = &spec.Problem{Place: spec.Place(f.Place), Summary: f.Summary, Hint: f.Hint}
		}
		values = append(values, value)
	}
	return values, nil
}

// The same slips give the same problems in each form, in the place where each was written.
func TestFormatsOfTheSameAgentHaveTheSameProblems(t *testing.T) {
	want := []string{
		`unknown model "defualt" (did you mean "default"?)`,
		`unknown field "skils" in the spec of an Agent (did you mean "skills"?)`,
		`"turns" is 0, and not between 1 and 1000`,
		`"wallTime": "soon" is not a duration (write a number and a unit, such as 30s, 10m or 72h)`,
		`the glob "/etc/**" begins with / (globs are over paths from the repository's root: leave the / out)`,
	}
	for _, tt := range []struct {
		file, content string
		places        []string
	}{
		{"agents/greeter.md", "---\nmodel: defualt\nskils: []\nlimits: {turns: 0, wallTime: soon}\nfiles: {read: [\"/etc/**\"]}\n---\nHello.\n",
			[]string{"2:8", "3:1", "4:17", "4:30", "5:16"}},
		{"agents/greeter.yaml", agentHead + "spec:\n  model: defualt\n  skils: []\n  limits: {turns: 0, wallTime: soon}\n  files: {read: [\"/etc/**\"]}\n  instructions: Hello.\n",
			[]string{"5:10", "6:3", "7:19", "7:32", "8:18"}},
		{"agents/greeter.json", `{"apiVersion": "mainstay.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "a"}, "spec": {
  "model": "defualt",
  "skils": [],
  "limits": {"turns": 0, "wallTime": "soon"},
  "files": {"read": ["/etc/**"]},
  "instructions": "Hello."}}`, []string{"2:12", "3:3", "4:23", "4:38", "5:22"}},
		{"agents/greeter.jsonnet", `local mainstay = import 'mainstay.libsonnet';
local slow = { wallTime: 'soon' };
mainstay.agent('a', {
  model: 'defualt',
  skils: [],
  limits: { turns: 0 } + slow,
  files: { read: ['/etc/**'] },
  instructions: 'Hello.',
})`, []string{"4:10", "5:3", "6:20", "2:26", "7:19"}},
	} {
		t.Run(path.Ext(tt.file), func(t *testing.T) {
			_, problems := spec.Load(tree(tt.file, tt.content), spec.LoadOptions{Jsonnet: inProcess})
			var got, all []string
			for _, p := range problems {
				got = append(got, p.String())
			}
			for i, text := range want {
				all = append(all, tt.file+":"+tt.places[i]+": "+text)
			}
			slices.Sort(got)
			slices.Sort(all)
			if diff := cmp.Diff(all, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFormatsOfTheSameAgentHaveTheSameDigest(t *testing.T) {
	var first *spec.Agent
	for _, tt := range []struct{ file, content string }{
		{"agents/greeter.md", "---\ndescription: It greets.\nlimits: {turns: 3, wallTime: 60s}\n---\nHello.\n"},
		{"agents/greeter.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: greeter}\nspec:\n  limits: {wallTime: 1m, turns: 3} # short\n  instructions: Hello.\n"},
		{"agents/any.json", `{"kind":"Agent","apiVersion":"mainstay.dev/v1alpha1","metadata":{"name":"greeter"},"spec":{"model":"default","instructions":"Hello.\n","limits":{"turns":3,"wallTime":"1m0s"}}}`},
		{"agents/any.jsonnet", `local greeting = 'Hello.'; (import 'mainstay.libsonnet').agent('greeter', {limits: {turns: 1 + 2, wallTime: '1m'}, instructions: greeting})`},
	} {
		fleet, problems := spec.Load(tree(tt.file, tt.content), spec.LoadOptions{Jsonnet: inProcess})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		a := fleet.Agents["greeter"]
		if first == nil {
			first = a
		}
		if a.Digest != first.Digest {
			t.Errorf("%s has the digest %s, not %s", tt.file, a.Digest, first.Digest)
		}
	}
}

func TestAnAgentsDigestChangesWithWhatShapesIt(t *testing.T) {
	base := os.DirFS("testdata/complete")
	before := complete(t)
	for _, tt := range []struct {
		name, file, old, new string
		changes              bool
	}{
		{"its instructions", "agents/triage.md", "Say what", "Tell what", true},
		{"its tools' effects", "tools/cluster.yaml", "scale:\n      effect: write", "scale:\n      effect: write\n      idempotent: true", true},
		{"its server's command", "tools/cluster.yaml", "--verbose", "--quiet", true},
		{"a skill's script", "skills/summarize/scripts/count.sh", "-w", "-l", true},
		{"its persona's ancestor", "personas/colleague.md", "Never guess.", "Never lie.", true},
		{"its prompt's default", "prompts/look.md", "carefully", "quickly", true},
		{"its model's rules", "models/default.yaml", "I will look.", "Let me look.", true},
		{"the fleet's limits", "mainstay.yaml", "wallTime: 5m", "wallTime: 6m", true},
		{"what it executes", "agents/triage.md", "---\n", "---\nisolation: {exec: [jq]}\n", true},
		{"its description", "agents/triage.md", "not well.", "not so well.", false},
		{"another model", "models/default.yaml", "seed: 1", "seed: 2", false},
		{"a policy", "policies/guardrails.json", "> 3", "> 4", false},
		{"a comment", "tools/cluster.yaml", "timeout: 10s", "timeout: 10s # short", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := copyOf(t, base)
			f := root[tt.file]
			changed := strings.Replace(string(f.Data), tt.old, tt.new, 1)
			if changed == string(f.Data) {
				t.Fatalf("%s does not hold %q", tt.file, tt.old)
			}
			root[tt.file] = &fstest.MapFile{Data: []byte(changed)}
			after, problems := spec.Load(root, spec.LoadOptions{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := after.Agents["triage"].Digest != before.Agents["triage"].Digest; got != tt.changes {
				t.Errorf("the digest changes: %t, want %t", got, tt.changes)
			}
			if same := after.Digest == before.Digest; same != (tt.name == "a comment") {
				t.Errorf("the fleet's digest is the same: %t", same)
			}
		})
	}
}

func TestLoadRootReadsTheRootFileAlone(t *testing.T) {
	root := copyOf(t, os.DirFS("testdata/complete"))
	root["agents/broken.yaml"] = &fstest.MapFile{Data: []byte("{")}
	fleet, problems := spec.LoadRoot(root)
	if len(problems) > 0 || len(fleet.Approvers) != 1 || fleet.Ledger == nil || fleet.Expires != 24*time.Hour || len(fleet.Agents) != 0 {
		t.Errorf("the root is %+v with\n%s", fleet, problems)
	}
	if _, problems := spec.LoadRoot(fstest.MapFS{}); !problems.HasErrors() {
		t.Error("a folder without a root file has no problem")
	}
}

func TestWrittenIsWhatTheFileSaysAfterTheOverlay(t *testing.T) {
	fleet := complete(t)
	ref := spec.Ref{Kind: spec.KindAgent, Name: "triage"}
	if got := fleet.Written(ref)["instructions"]; got != "Say what you found." {
		t.Errorf("the body of a Markdown file is written as %q", got)
	}
	if got := fleet.Written(spec.Ref{Kind: spec.KindSkill, Name: "summarize"}); got != nil {
		t.Errorf("a skill is written as %v", got)
	}
}
