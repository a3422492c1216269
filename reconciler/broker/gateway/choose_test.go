package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/gateway"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

const routed = `apiVersion: mainstay.dev/v1alpha1
kind: Fleet
metadata: {name: f}
spec: {defaults: {model: front}}
---
apiVersion: mainstay.dev/v1alpha1
kind: Model
metadata: {name: front}
spec:
  provider: scripted
  rules: [{text: x}]
  routes:
  - {when: 'request.labels["tier"] == "gold"', model: large}
  - {when: request.tokens > 1000, model: long}
  - {when: 'request.task.contains("urgent") && request.turn == 1', model: shared}
`

func other(name, rest string) string {
	return fmt.Sprintf("---\napiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: %s}\nspec: {provider: scripted, rules: [{text: x}]%s}\n", name, rest)
}

// TestRoutesChooseByWhatIsAsked goes from the files to the decision. A route that needs a label of an agent without labels does not hold.
func TestRoutesChooseByWhatIsAsked(t *testing.T) {
	fleetFile, models, _ := strings.Cut(routed, "---\n")
	fleet, err := spec.Load(fstest.MapFS{
		"mainstay.yaml": {Data: []byte(fleetFile)},
		"models/all.yaml": {Data: []byte(models + other("large", "") + other("long", `, routes: [{when: 'request.agent == "gold"', model: large}]`) +
			other("shared", ", split: [{model: large, weight: 1}]"))},
		"agents/plain.md":  {Data: []byte("Hello.\n")},
		"agents/gold.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: gold, labels: {tier: gold}}\nspec: {instructions: Hello.}\n")},
	}, spec.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &peers{tries: map[string][]try{"front": {says("")}, "large": {says("")}, "long": {says("")}, "shared": {says("")}}}
	for _, test := range []struct {
		agent, task string
		size, turn  int
		model, why  string
	}{
		{"plain", "look", 10, 1, "front", ""},
		{"gold", "look", 10, 1, "large", "route 1 of front"},
		{"plain", "look", 10_000, 1, "long", "route 2 of front"},
		{"plain", "urgent", 10, 1, "large", "route 3 of front, split of shared"},
		{"plain", "urgent", 10, 2, "front", ""},
	} {
		agent := fleet.Agents[spec.AgentName(test.agent)]
		_, d, err := p.gateway(nil).Ask(t.Context(), agent.Model, gateway.Asking{
			Run: "r", Agent: agent, Task: test.task, Turn: test.turn, Request: model.Request{
				Messages: []plugins.Message{{Role: plugins.RoleUser, Text: strings.Repeat("x", test.size)}},
			},
		}, nil)
		if err != nil || d.Model != test.model || d.Why != test.why {
			t.Errorf("%+v: %+v, %v", test, d, err)
		}
	}
}
