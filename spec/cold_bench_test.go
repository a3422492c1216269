package spec_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkColdLoad loads ten thousand resources for the first time, and for comparison decodes the same bytes with
// sigs.k8s.io/yaml alone, into maps. The first takes at most twice the CPU of the second.
func BenchmarkColdLoad(b *testing.B) {
	files := manyResources(10_000)
	size := 0
	for _, f := range files {
		size += len(f.Data)
	}
	b.Run("spec.Load", func(b *testing.B) {
		b.SetBytes(int64(size))
		for b.Loop() {
			if fleet, problems := spec.Load(files, spec.LoadOptions{}); len(problems) > 0 || len(fleet.Resources) != 10_000 {
				b.Fatal(problems)
			}
		}
	})
	b.Run("sigs.k8s.io/yaml", func(b *testing.B) {
		b.SetBytes(int64(size))
		for b.Loop() {
			for _, f := range files {
				var value any
				if err := yaml.Unmarshal(f.Data, &value); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// manyResources is a repository with this many resources as a large organisation has them: for each team a model, a
// persona, a prompt, a tool server, a policy and triggers, and all others agents.
func manyResources(resources int) fstest.MapFS {
	files := fstest.MapFS{}
	left := resources
	add := func(folder, name, kind, spec string) {
		if left > 0 {
			left--
			head := fmt.Sprintf("apiVersion: mainstay.dev/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n  labels:\n    team: platform\nspec:\n", kind, name)
			files[folder+"/"+name+".yaml"] = &fstest.MapFile{Data: []byte(head + spec)}
		}
	}
	left--
	files["mainstay.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: many}\nspec: {defaults: {model: m0}}\n")}
	for team := 0; left > 0; team++ {
		t := fmt.Sprint(team)
		add("models", "m"+t, "Model", "  provider: ollama\n  name: qwen3:4b\n  parameters:\n    temperature: 0.2\n    seed: 1\n    num_ctx: 8192\n")
		add("personas", "p"+t, "Persona", "  role: You look after the services of team "+t+".\n  tone: Plain and brief.\n  goals:\n  - Keep the services running.\n  - Tell people what they need to know.\n  boundaries:\n  - Never guess.\n")
		add("prompts", "look"+t, "Prompt", "  text: |\n    Look at {{ what }} of team "+t+" carefully.\n    Say what you found in at most five sentences.\n  parameters:\n    what: {description: What to look at, default: the services}\n")
		add("tools", "cluster"+t, "ToolServer", "  command: [cluster-server, --team, \""+t+"\"]\n  timeout: 10s\n  tools:\n    status: {effect: read}\n    logs: {effect: read}\n    restart:\n      effect: write\n      target: [name, namespace]\n")
		add("policies", "guard"+t, "Policy", "  rules:\n  - name: no-system\n    on: call\n    when: call.server == \"cluster"+t+"\" && call.arguments.namespace == \"kube-system\"\n    decision: deny\n    reason: the system's own namespace is not the agents'\n")
		for i := range 44 {
			name := fmt.Sprintf("agent-%d-%d", team, i)
			add(fmt.Sprintf("agents/team-%d", team), name, "Agent", fmt.Sprintf("  description: Looks after service %d of team %d.\n  model: m%d\n  persona: p%d\n  prompt:\n    name: look%d\n    with: {what: \"service %d\"}\n  tools:\n  - server: cluster%d\n    allow: [status, logs, restart]\n  files:\n    read: [\"manifests/team-%d/**\", \"docs/**\"]\n  limits:\n    turns: 20\n    wallTime: 5m\n  instructions: |\n    Look at the deployments of the service, and at what its logs say of the last hour.\n    1. Ask for the status of each deployment.\n    2. Where one is not ready, read its logs and find the first error.\n    3. Propose a restart only where the logs show that it helps, and say why.\n    Stop when all of them are ready, or when you cannot find out more.\n", i, team, team, team, team, i, team, team))
		}
		add("triggers", "daily"+t, "Trigger", fmt.Sprintf("  agent: agent-%d-0\n  schedule: {cron: \"0 6 * * 1-5\", timeZone: Europe/Berlin}\n  task: Look at everything as of {{ revision }}.\n", team))
	}
	return files
}
