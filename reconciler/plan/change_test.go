package plan_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	adaKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKIRJBHmBlgMTWCUdc9aRPXOVZNYZ0fkCQYevmf17uU/"
	bobKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA1Hd1WbEG0/PqMN/27pRerf2Acxx6uStJzKh9qyX5nB"
)

// base is a small repository in which most things are declared once.
var base = map[string]string{
	"mainstay.yaml": `
spec:
  defaults: {model: default}
  ceilings: {turns: 200}
  approvers:
  - {name: Ada, key: ` + adaKey + `}
  signatures:
    signers:
    - {name: Ada, key: ` + adaKey + `}
  ledger:
    genesis: 0123456789abcdef0123456789abcdef01234567
    signers:
    - {name: reconciler, key: ` + bobKey + `}
  proposals: {expires: 24h, reviewers: [sam], maxOpen: 3}
`,
	"agents/patcher.md": `---
description: Patches.
persona: engineer
prompt: {name: house}
skills: [bumps]
tools:
- server: cluster
  allow: [get, restart]
files: {read: [manifests/**]}
proposals: {paths: [manifests/**]}
limits: {turns: 40}
output: {schema: {type: object}}
isolation: {require: landlock+seccomp}
scale: {isolateRuns: true, concurrency: 2}
---
Patch what is old.
`,
	"agents/helper.md":      "Help.\n",
	"skills/bumps/SKILL.md": "---\nname: bumps\ndescription: How to bump.\n---\nBump.\n",
	"personas/engineer.yaml": `
spec:
  role: You are an engineer.
  boundaries: [Never guess., Never hurry.]
`,
	"prompts/house.yaml": `
spec:
  text: Be kind.
  sections:
  - {name: safety, text: Never touch production., locked: true}
`,
	"models/default.yaml": `
spec: {provider: ollama, name: "qwen3:4b", endpoint: "http://127.0.0.1:11434", parameters: {temperature: 0}, budget: {tokensPerRun: 1000}}
`,
	"tools/cluster.yaml": `
spec:
  command: [cluster-server, --read-only]
  env:
  - {name: CLUSTER, value: shop}
  timeout: 10s
  tools:
    get: {effect: read}
    drop: {effect: denied}
    restart:
      effect: write
      summary: Restart
      target: [name]
      precondition: {tool: get, check: "result == 'ready'"}
`,
	"policies/guard.yaml": `
spec:
  rules:
  - {name: no-system, on: call, when: 'call.tool == "restart"', decision: deny}
  - {name: small, on: change, when: size(change.paths) > 3, decision: deny, reason: Small changes.}
`,
	"triggers/nightly.yaml": `
spec: {agent: patcher, schedule: {cron: "0 6 * * *"}, task: Look around.}
`,
	"triggers/changes.yaml": `
spec: {agent: patcher, onRevision: {paths: [manifests/**]}, task: Look at the changes.}
`,
	"knowledge/docs.yaml": `
spec: {files: {include: [docs/**], exclude: [docs/secret/**]}}
`,
	"evaluations/tidy.yaml": `
spec:
  agent: patcher
  threshold: 0.9
  cases:
  - {name: hello, task: Say hello., assert: [{contains: hello}]}
`,
}

// kinds are those of the folders, for the header that the files above go without.
var kinds = map[string]string{
	"personas": "Persona", "prompts": "Prompt", "models": "Model", "tools": "ToolServer", "policies": "Policy", "triggers": "Trigger",
	"knowledge": "KnowledgeSource", "evaluations": "Evaluation", "actions": "Action", "workflows": "Workflow",
}

// load loads files, to which the header is added.
func load(t testing.TB, files map[string]string) *spec.Fleet {
	t.Helper()
	root := fstest.MapFS{}
	for path, text := range files {
		folder, name, _ := strings.Cut(path, "/")
		kind := kinds[folder]
		if path == "mainstay.yaml" {
			kind, name = "Fleet", "shop.yaml"
		}
		if kind != "" {
			text = "apiVersion: mainstay.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + strings.TrimSuffix(name, ".yaml") + "}" + text
		}
		root[path] = &fstest.MapFile{Data: []byte(text)}
	}
	f, problems := spec.Load(root, spec.LoadOptions{})
	if problems.HasErrors() {
		t.Fatalf("problems:\n%s", problems)
	}
	return f
}

// edited is base with texts replaced in files: path, old and new, and so on. An old text of "" is the whole file, and a new
// one of "-" then removes it.
func edited(t testing.TB, edits ...string) map[string]string {
	t.Helper()
	files := maps.Clone(base)
	for edit := range slices.Chunk(edits, 3) {
		path, old, text := edit[0], edit[1], edit[2]
		switch {
		case old == "" && text == "-":
			delete(files, path)
		case old == "":
			files[path] = text
		case !strings.Contains(files[path], old):
			t.Fatalf("%s does not hold %q", path, old)
		default:
			files[path] = strings.Replace(files[path], old, text, 1)
		}
	}
	return files
}

// A file of encrypted secrets that is another one may hold a credential that may do more.
func TestSecretsThatCannotBeReadAreMarked(t *testing.T) {
	f := load(t, base)
	c := plan.Compare(f, f, plan.Paths{Known: true, Secrets: []string{"secrets/prod.yaml"}})
	want := []string{"Fleet/shop changed the secrets in secrets/prod.yaml, or only how they are encrypted"}
	if d := cmp.Diff(want, said(c.Widened)); d != "" || c.Empty() {
		t.Error(d)
	}
}

func said(list []plan.Permission) []string {
	var out []string
	for _, p := range list {
		var names []string
		for _, ref := range p.Resources {
			names = append(names, ref.String())
		}
		out = append(out, strings.Join(names, ", ")+" "+p.Text)
	}
	return out
}

// Each row is a change, and all that is said of permissions: what is widened begins with !.
func TestPermissions(t *testing.T) {
	tests := []struct {
		name  string
		edits []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"formatting and labels", []string{"models/default.yaml", "spec: {", "spec:   {"}, nil},
		{"the words of an agent, a persona and a task", []string{
			"agents/patcher.md", "Patch what", "Mend what", "agents/patcher.md", "Patches.", "Mends.", "personas/engineer.yaml", "an engineer", "a mechanic",
			"triggers/nightly.yaml", "Look around.", "Look up.", "skills/bumps/SKILL.md", "Bump.", "Bump it.", "prompts/house.yaml", "Be kind.", "Be nice."}, nil},

		{"an agent is new", []string{"agents/new.md", "", "---\ntools: [{server: cluster}]\nfiles: {read: [a/**]}\nmemory: {}\n---\nNew.\n"}, []string{
			"! Agent/new joined the fleet, with the model default", "! Agent/new gained the read tool cluster__get",
			"! Agent/new gained the write tool cluster__restart", "! Agent/new gained the files a/** to read", "! Agent/new set memory to \"{}\""}},
		{"an agent goes", []string{"agents/helper.md", "", "-"}, []string{"Agent/helper left the fleet"}},
		{"an agent gains a tool and loses one", []string{"agents/patcher.md", "[get, restart]", "[restart]", "agents/helper.md", "Help.", "---\ntools: [{server: cluster, allow: [restart]}]\n---\nHelp."}, []string{
			"! Agent/helper gained the write tool cluster__restart", "Agent/patcher lost the read tool cluster__get"}},
		{"a write tool is called without an approval", []string{
			"tools/cluster.yaml", "effect: write\n      summary: Restart\n      target: [name]\n      precondition: {tool: get, check: \"result == 'ready'\"}", "effect: read"}, []string{
			"! ToolServer/cluster changed the tool restart from write to read: it is called without an approval"}},
		{"a read tool needs an approval", []string{"tools/cluster.yaml", "precondition: {tool: get, check: \"result == 'ready'\"}", "", "tools/cluster.yaml", "get: {effect: read}", "get: {effect: write}"}, []string{
			"! ToolServer/cluster lost tools.restart.precondition, which was `{\"check\":\"result == 'ready'\",\"tool\":\"get\"}`",
			"ToolServer/cluster changed the tool get from read to write: each call needs an approval"}},
		{"a denied tool is opened", []string{"tools/cluster.yaml", "effect: denied", "effect: write"}, []string{
			"! ToolServer/cluster opened the tool drop, which was denied: each call needs an approval"}},
		{"an undeclared tool is opened", []string{"tools/cluster.yaml", "  tools:", "  tools:\n    peek: {effect: read, timeout: 1h}"}, []string{
			"! ToolServer/cluster opened the tool peek, which was denied: it is called without an approval"}},
		{"a tool is denied, another one is declared no more", []string{"tools/cluster.yaml", "    drop: {effect: denied}\n", "", "agents/patcher.md", "[get, restart]", "[get]",
			"tools/cluster.yaml", "effect: write\n      summary: Restart\n      target: [name]\n      precondition: {tool: get, check: \"result == 'ready'\"}", "effect: denied"}, []string{
			"Agent/patcher lost the write tool cluster__restart", "ToolServer/cluster closed the tool restart"}},
		{"a precondition is loosened", []string{"tools/cluster.yaml", "result == 'ready'", "true"}, []string{
			"! ToolServer/cluster changed tools.restart.precondition from `{\"check\":\"result == 'ready'\",\"tool\":\"get\"}` to '{\"check\":\"true\",\"tool\":\"get\"}'"}},
		{"a call may be made again", []string{"tools/cluster.yaml", "      target: [name]", "      target: [name]\n      idempotent: true"}, []string{
			"! ToolServer/cluster loosened tools.restart.idempotent from unset to true"}},
		{"what a reviewer reads, and what is one proposal", []string{"tools/cluster.yaml", "summary: Restart", "summary: Look", "tools/cluster.yaml", "target: [name]", "target: [name, id]"}, []string{
			"! ToolServer/cluster changed tools.restart.summary from Restart to Look", "! ToolServer/cluster changed tools.restart.target from '[\"name\"]' to '[\"name\",\"id\"]'"}},
		{"a server is another program", []string{"tools/cluster.yaml", ", --read-only", ""}, []string{
			"! ToolServer/cluster changed command from '[\"cluster-server\",\"--read-only\"]' to '[\"cluster-server\"]'"}},
		{"a server gets a secret, and another variable", []string{"tools/cluster.yaml", "value: shop}", "value: bank}\n  - {name: TOKEN, from: {env: SHOP_TOKEN}}"}, []string{
			"! ToolServer/cluster changed env.CLUSTER.value from shop to bank", "! ToolServer/cluster was given the secret '{\"env\":\"SHOP_TOKEN\"}' as env.TOKEN.from"}},
		{"a variable goes", []string{"tools/cluster.yaml", "  env:\n  - {name: CLUSTER, value: shop}\n", ""}, []string{
			"! ToolServer/cluster lost env.CLUSTER.value, which was shop"}},
		{"a call takes longer, and a server is quicker", []string{"tools/cluster.yaml", "timeout: 10s", "timeout: 5s", "tools/cluster.yaml", "get: {effect: read}", "get: {effect: read, timeout: 20s}"}, []string{
			"! ToolServer/cluster loosened tools.get.timeout from unset to 20s", "ToolServer/cluster tightened timeout from 10s to 5s"}},
		{"a server is new", []string{"tools/more.yaml", "", "\nspec: {command: [more, x], env: [{name: T, from: {env: T}}], tools: {a: {effect: write}}}"}, []string{
			"! ToolServer/more was given the secret '{\"env\":\"T\"}' as env.T.from", "! ToolServer/more joined the fleet, with the command \"more x\""}},

		{"paths are more, fewer and narrower", []string{"agents/patcher.md", "read: [manifests/**]", "read: [manifests/shop/**, docs/*.md]", "agents/patcher.md", "paths: [manifests/**]", "paths: [\"**\"]"}, []string{
			"! Agent/patcher gained the files docs/*.md to read", "! Agent/patcher gained the files ** to propose changes of", "Agent/patcher lost the files manifests/** to read"}},
		{"limits are raised and lowered", []string{"agents/patcher.md", "{turns: 40}", "{turns: 41, toolCalls: 1, wallTime: 1h}"}, []string{
			"! Agent/patcher loosened limits.turns from 40 to 41", "! Agent/patcher loosened limits.wallTime from 10m to 1h", "Agent/patcher tightened limits.toolCalls from 100 to 1"}},
		{"tokens are bounded", []string{"agents/patcher.md", "{turns: 40}", "{turns: 40, tokens: 1000}"}, []string{
			"Agent/patcher tightened limits.tokens from unset to 1000"}},
		{"a default is raised", []string{"mainstay.yaml", "{model: default}", "{model: default, limits: {turns: 50}}"}, []string{
			"! Agent/helper loosened limits.turns from 24 to 50"}},
		{"what is shared out", []string{"agents/patcher.md", "output:", "knowledge: [docs]\nagents: [helper]\nmemory: {scope: fleet}\noutput:"}, []string{
			"! Agent/patcher gained the knowledge docs", "! Agent/patcher gained the agent helper to give tasks to", "! Agent/patcher set memory to '{\"scope\":\"fleet\"}'"}},
		{"what holds an agent goes", []string{"agents/patcher.md", "output: {schema: {type: object}}\n", "", "agents/patcher.md", "landlock+seccomp", "landlock", "agents/patcher.md", "{isolateRuns: true, concurrency: 2}", "{concurrency: 4}"}, []string{
			"! Agent/patcher lost seccomp in isolation.require", "! Agent/patcher lost output, which was '{\"schema\":{\"type\":\"object\"}}'",
			"! Agent/patcher loosened scale.concurrency from 2 to 4", "! Agent/patcher loosened scale.isolateRuns from true to unset"}},
		{"an agent may execute a program", []string{"agents/patcher.md", "landlock+seccomp}", "landlock+seccomp, exec: [jq]}"}, []string{
			"! Agent/patcher gained jq in isolation.exec"}},
		{"an agent that is shut in by nothing may execute programs", []string{"agents/helper.md", "Help.", "---\nisolation: {exec: [jq, yq]}\n---\nHelp."}, []string{
			"! Agent/helper gained jq in isolation.exec", "! Agent/helper gained yq in isolation.exec"}},
		{"an agent is run by another program", []string{"agents/patcher.md", "skills:", "runtime: other\nskills:"}, []string{
			"! Agent/patcher changed the runtime from loop to other"}},
		{"a boundary and a locked section are changed", []string{"personas/engineer.yaml", "Never hurry.", "Never worry.", "prompts/house.yaml", "production", "staging"}, []string{
			"! Agent/patcher lost the boundary \"Never hurry.\"", "! Agent/patcher lost the binding section \"Safety Never touch production.\"",
			"Agent/patcher gained the boundary \"Never worry.\"", "Agent/patcher gained the binding section \"Safety Never touch staging.\""}},
		{"a section is not locked any more", []string{"prompts/house.yaml", ", locked: true", ""}, []string{
			"! Agent/patcher lost the binding section \"Safety Never touch production.\""}},
		{"an agent has no persona any more", []string{"agents/patcher.md", "persona: engineer\n", ""}, []string{
			"! Agent/patcher lost the boundary \"Never guess.\"", "! Agent/patcher lost the boundary \"Never hurry.\""}},

		{"a model is asked elsewhere", []string{"models/default.yaml", "http://127.0.0.1:11434", "https://llm.example.com", "models/default.yaml", "qwen3:4b", "qwen3:8b"}, []string{
			"! Model/default changed endpoint from http://127.0.0.1:11434 to https://llm.example.com"}},
		{"parameters of a model", []string{"models/default.yaml", "{temperature: 0}", "{temperature: 1, tools: all}"}, []string{
			"! Model/default set parameters.tools to all"}},
		{"a budget goes", []string{"models/default.yaml", ", budget: {tokensPerRun: 1000}", ""}, []string{
			"! Model/default loosened budget.tokensPerRun from 1000 to unset"}},
		{"an agent has another model", []string{"models/big.yaml", "", "\nspec: {provider: ollama, name: big, endpoint: \"https://llm.example.com\"}", "agents/helper.md", "Help.", "---\nmodel: big\n---\nHelp."}, []string{
			"! Agent/helper changed the model from \"default (ollama qwen3:4b http://127.0.0.1:11434)\" to \"big (ollama big https://llm.example.com)\""}},
		{"a model falls back", []string{"models/default.yaml", "provider: ollama", "provider: ollama, fallbacks: [{model: big}]", "models/big.yaml", "", "\nspec: {provider: openai, name: big, apiKey: {env: KEY}}"}, []string{
			"! Model/big was given the secret '{\"env\":\"KEY\"}' as apiKey", "! Model/default set fallbacks to '[{\"model\":\"big\"}]'"}},

		{"a rule goes, and another one is reworded", []string{"policies/guard.yaml", "  - {name: no-system, on: call, when: 'call.tool == \"restart\"', decision: deny}\n", "", "policies/guard.yaml", "Small changes.", "Small ones."}, []string{
			"! Policy/guard lost the rule no-system: 'deny every call where call.tool == \"restart\"'"}},
		{"a rule is loosened", []string{"policies/guard.yaml", "decision: deny}", "decision: propose}"}, []string{
			"! Policy/guard lost the rule no-system: 'deny every call where call.tool == \"restart\"'"}},
		{"a rule holds always", []string{"policies/guard.yaml", "when: 'call.tool == \"restart\"', ", ""}, []string{
			"Policy/guard gained the rule no-system: \"deny every call\""}},
		{"a condition is another one", []string{"policies/guard.yaml", "> 3", "> 4"}, []string{
			"! Policy/guard lost the rule small: \"deny every change where size(change.paths) > 3\"", "Policy/guard gained the rule small: \"deny every change where size(change.paths) > 4\""}},
		{"a rule moves to another policy, under another name", []string{"policies/guard.yaml", "  - {name: no-system, on: call, when: 'call.tool == \"restart\"', decision: deny}\n", "",
			"policies/more.yaml", "", "\nspec: {rules: [{name: other, on: call, when: 'call.tool == \"restart\"', decision: deny}]}"}, nil},
		{"a policy goes", []string{"policies/guard.yaml", "", "-"}, []string{
			"! Policy/guard lost the rule no-system: 'deny every call where call.tool == \"restart\"'",
			"! Policy/guard lost the rule small: \"deny every change where size(change.paths) > 3\""}},
		{"a rule lets writes through", []string{"policies/guard.yaml", "  rules:", "  rules:\n  - {name: notes, on: call, when: 'call.tool == \"note\"', decision: allow}"}, []string{
			"! Policy/guard gained the rule notes, by which write tools are called without an approval: 'allow every call where call.tool == \"note\"'"}},
		{"a rule lets through what was denied", []string{"policies/guard.yaml", "decision: deny}", "decision: allow}"}, []string{
			"! Policy/guard lost the rule no-system: 'deny every call where call.tool == \"restart\"'",
			"! Policy/guard gained the rule no-system, by which write tools are called without an approval: 'allow every call where call.tool == \"restart\"'"}},
		{"a limit of calls is added", []string{"policies/guard.yaml", "  rules:", "  rules:\n  - {name: few, on: call, decision: limit, limit: {calls: 3, per: 1h}}"}, []string{
			"Policy/guard gained the rule few: \"limit every call to 3 in 1h\""}},

		{"a trigger is new", []string{"triggers/more.yaml", "", "\nspec: {agent: helper, schedule: {cron: '@hourly'}, task: Help.}"}, []string{
			"! Trigger/more joined the fleet, and starts runs of helper"}},
		{"a trigger in an agent's file is new", []string{"agents/helper.md", "Help.", "---\ntriggers: [{name: often, schedule: {cron: '@hourly'}, task: Help.}]\n---\nHelp."}, []string{
			"! Trigger/helper-often joined the fleet, and starts runs of helper"}},
		{"a trigger is due more often, and waits for other files", []string{"triggers/nightly.yaml", "0 6", "* *", "triggers/changes.yaml", "manifests/**", "charts/**"}, []string{
			"! Trigger/changes gained charts/** in onRevision.paths", "! Trigger/nightly changed schedule.cron from \"0 6 * * *\" to \"* * * * *\"",
			"Trigger/changes lost manifests/** in onRevision.paths"}},
		{"a trigger goes", []string{"triggers/nightly.yaml", "", "-"}, []string{"Trigger/nightly left the fleet"}},

		{"approvers are more", []string{"mainstay.yaml", "  signatures:", "  - {name: Bob, key: " + bobKey + "}\n  signatures:"}, []string{
			"! Fleet/shop gained the approver Bob with the key SHA256:BOB"}},
		{"an approver is renamed", []string{"mainstay.yaml", "{name: Ada,", "{name: Ada L,"}, nil},
		{"nobody approves, no signature is asked for, nothing is remembered", []string{
			"mainstay.yaml", "  approvers:\n  - {name: Ada, key: " + adaKey + "}\n", "", "mainstay.yaml", "  signatures:\n    signers:\n    - {name: Ada, key: " + adaKey + "}\n", "",
			"mainstay.yaml", "0123456789abcdef0123456789abcdef01234567", "76543210fedcba9876543210fedcba9876543210"}, []string{
			"! Fleet/shop lost its last approver: whoever writes the next list of approvers is believed",
			"! Fleet/shop no longer demands signatures: every commit of the branch runs",
			"! Fleet/shop pins another ledger, 76543210fedcba9876543210fedcba9876543210 instead of 0123456789abcdef0123456789abcdef01234567: what the old one says was executed is forgotten",
			"Fleet/shop lost the approver Ada with the key SHA256:ADA"}},
		{"signatures are demanded otherwise", []string{"mainstay.yaml", "  signatures:", "  signatures:\n    mode: tag\n    authors: ['*@example.com']"}, []string{
			"! Fleet/shop demands signatures by mode tag instead of head", "Fleet/shop names the authors of commits"}},
		{"ceilings and proposals", []string{"mainstay.yaml", "{turns: 200}", "{turns: 300}", "mainstay.yaml", "{expires: 24h, reviewers: [sam], maxOpen: 3}", "{expires: 48h}"}, []string{
			"! Fleet/shop loosened ceilings.turns from 200 to 300", "! Fleet/shop loosened proposals.expires from 24h to 48h",
			"! Fleet/shop loosened proposals.maxOpen from 3 to unset", "! Fleet/shop lost sam in proposals.reviewers"}},
		{"a ceiling goes", []string{"mainstay.yaml", "  ceilings: {turns: 200}\n", ""}, []string{"! Fleet/shop loosened ceilings.turns from 200 to unset"}},
		{"data leaves", []string{"mainstay.yaml", "  proposals:", "  telemetry: {endpoint: \"http://otel.example.com\", content: true}\n  forge: {provider: github, credential: {env: TOKEN}}\n  proposals:"}, []string{
			"! Fleet/shop was given the secret '{\"env\":\"TOKEN\"}' as forge.credential", "! Fleet/shop set forge.provider to github",
			"! Fleet/shop loosened telemetry.content from unset to true", "! Fleet/shop set telemetry.endpoint to http://otel.example.com"}},

		{"knowledge is more", []string{"knowledge/docs.yaml", "[docs/**]", "[docs/**, notes/**]", "knowledge/docs.yaml", ", exclude: [docs/secret/**]", ""}, []string{
			"! KnowledgeSource/docs lost docs/secret/** in files.exclude", "! KnowledgeSource/docs gained notes/** in files.include"}},
		{"an evaluation asks for less", []string{"evaluations/tidy.yaml", "0.9", "0.5", "evaluations/tidy.yaml", "contains: hello", "contains: h"}, []string{
			"! Evaluation/tidy changed cases.hello from '{\"assert\":[{\"contains\":\"hello\"}],\"task\":\"Say hello.\"}' to '{\"assert\":[{\"contains\":\"h\"}],\"task\":\"Say hello.\"}'",
			"! Evaluation/tidy loosened threshold from 0.9 to 0.5"}},
		{"an evaluation goes", []string{"evaluations/tidy.yaml", "", "-"}, []string{"! Evaluation/tidy left the fleet"}},
		{"a workflow is new", []string{"workflows/w.yaml", "", "\nspec: {steps: [{name: a, agent: helper, task: Help.}]}"}, []string{"! Workflow/w joined the fleet"}},
	}
	before := load(t, base)
	keys := strings.NewReplacer(before.Approvers[0].Fingerprint(), "SHA256:ADA", before.Ledger.Signers[0].Fingerprint(), "SHA256:BOB")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := plan.Compare(before, load(t, edited(t, tt.edits...)), plan.Paths{Known: true})
			var got []string
			for _, text := range said(c.Widened) {
				got = append(got, "! "+keys.Replace(text))
			}
			for _, text := range said(c.Narrowed) {
				got = append(got, keys.Replace(text))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if (len(tt.edits) == 0) != c.Empty() && tt.name != "formatting and labels" {
				t.Errorf("it is said that nothing changes: %v", c.Empty())
			}
		})
	}
}
