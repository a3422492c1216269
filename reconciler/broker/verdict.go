package broker

import (
	"encoding/json"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// ruleUnread is the default that refuses to read a path.
const ruleUnread = "default: paths outside of the agent's files.read are denied"

// Verdict says what would be decided about a tool call of an agent, and by which rule, without doing anything. root is the
// folder of the repository that holds mainstay.yaml. It reports false where the body of the request is no tool call.
func Verdict(agent *spec.Agent, body json.RawMessage, policies []*spec.Policy, root string) (policy.Decision, bool) {
	var call plugins.ToolCall
	if json.Unmarshal(body, &call) != nil {
		return policy.Decision{}, false
	}
	asked := policy.Call{Agent: string(agent.Name), Tool: call.Name}
	if value, err := decodeExact(call.Arguments); err == nil {
		asked.Arguments, _ = value.(map[string]any)
	}
	for _, t := range builtins {
		if t.Name == call.Name && t.given(agent) {
			asked.Server, asked.Tool, asked.Effect = t.server, t.name, t.effect
		}
	}
	if to, ok := delegate(agent, call.Name); ok {
		asked.Server, asked.Tool, asked.Effect = spec.AgentsServer, string(to), spec.EffectRead
	}
	for _, t := range agent.Tools {
		if t.FullName() == call.Name {
			asked.Server, asked.Tool, asked.Effect = t.Server.Name, t.Name, t.Effect
		}
	}
	d := decideCall(asked, policies)
	if d.Decision == spec.DecisionDeny {
		return d, true
	}
	switch call.Name {
	case ReadFile:
		if path, ok := asked.Arguments["path"].(string); ok && !matchesAny(agent.ReadPaths, path) {
			return policy.Decision{Decision: spec.DecisionDeny, Rule: ruleUnread}, true
		}
	case ProposeChange:
		return changeVerdict(agent, call.Arguments, policies, root), true
	}
	return d, true
}

func changeVerdict(agent *spec.Agent, arguments json.RawMessage, policies []*spec.Policy, root string) policy.Decision {
	var args struct {
		Files []proposedEdit `json:"files"`
	}
	_ = json.Unmarshal(arguments, &args) // What cannot be read has no files.
	b := Broker{opts: Options{Root: root}}
	var paths []string
	for _, e := range args.Files {
		switch {
		case b.protected(e.Path):
			return policy.Decision{Decision: spec.DecisionDeny, Rule: ruleProtected}
		case !matchesAny(agent.ProposePaths, e.Path):
			return policy.Decision{Decision: spec.DecisionDeny, Rule: ruleOutside}
		}
		paths = append(paths, e.Path)
	}
	return policy.DecideChange(policy.Change{Agent: string(agent.Name), Paths: paths}, policies)
}
