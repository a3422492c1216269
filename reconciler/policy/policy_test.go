package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// newPolicy returns a checked policy in policies/<name>.yaml.
func newPolicy(t interface{ Fatal(...any) }, name string, rules ...spec.PolicyRule) *spec.Policy {
	p := &spec.Policy{}
	p.Kind, p.Name = spec.KindPolicy, name
	p.Place = spec.Place{File: "policies/" + name + ".yaml"}
	for _, r := range rules {
		condition, err := spec.NewCondition(r.On, r.When)
		if err != nil {
			t.Fatal(err)
		}
		p.Rules = append(p.Rules, spec.Rule{PolicyRule: r, Condition: condition})
	}
	return p
}

func TestDecide(t *testing.T) {
	production := newPolicy(t, "production",
		spec.PolicyRule{Name: "no-prod-restart", On: spec.OnCall, Decision: spec.DecisionDeny, Reason: "Production is restarted by people.",
			When: `call.tool == "restart" && call.arguments.namespace == "production"`},
		spec.PolicyRule{Name: "ask-for-logs", On: spec.OnCall, Decision: spec.DecisionPropose, When: `call.tool == "logs"`},
		spec.PolicyRule{Name: "no-changes", On: spec.OnChange, Decision: spec.DecisionDeny},
		spec.PolicyRule{Name: "comments", On: spec.OnCall, Decision: spec.DecisionAllow, When: `call.arguments.ticket == 1`},
	)
	blanket := newPolicy(t, "blanket",
		spec.PolicyRule{Name: "review-restarts", On: spec.OnCall, Decision: spec.DecisionPropose, Reason: "Restarts are reviewed.", When: `call.tool == "restart"`},
		spec.PolicyRule{Name: "grant", On: spec.OnCall, Decision: spec.DecisionAllow, When: `call.tool == "scale" || call.tool == "comment"`},
		spec.PolicyRule{Name: "review-comments", On: spec.OnCall, Decision: spec.DecisionPropose, When: `call.tool == "comment" && call.arguments.ticket == 1`},
		spec.PolicyRule{Name: "unknown-word", On: spec.OnCall, Decision: "permit", When: `call.tool == "exec"`},
	)
	policies := []*spec.Policy{production, blanket}
	restart := func(arguments map[string]any) policy.Call {
		return policy.Call{Agent: "triage", Server: "cluster", Tool: "restart", Effect: spec.EffectWrite, Arguments: arguments}
	}
	for _, test := range []struct {
		name     string
		call     policy.Call
		policies []*spec.Policy
		decision string
		rule     string
		reason   string
	}{
		{"a read tool is allowed", policy.Call{Tool: "get", Effect: spec.EffectRead}, policies, "allow", "default: read tools are allowed", ""},
		{"a write tool is proposed", policy.Call{Tool: "drain", Effect: spec.EffectWrite}, policies, "propose", "default: write tools are proposed", ""},
		{"a denied tool is denied", policy.Call{Tool: "drop", Effect: spec.EffectDenied}, nil, "deny", "default: denied tools are denied", "effect denied"},
		{"an undeclared tool is denied", policy.Call{Tool: "get"}, policies, "deny", "default: undeclared tools are denied", ""},
		{"an unknown effect is an undeclared tool", policy.Call{Tool: "get", Effect: "reed"}, nil, "deny", "default: undeclared tools are denied", ""},
		{"the strictest rule wins", restart(map[string]any{"namespace": "production"}), policies, "deny", "policies/production.yaml#no-prod-restart", "by people"},
		{"a rule that does not hold says nothing", restart(map[string]any{"namespace": "staging"}), policies, "propose", "policies/blanket.yaml#review-restarts", "reviewed"},
		{"a rule that cannot be evaluated denies", restart(map[string]any{}), policies, "deny", "policies/production.yaml#no-prod-restart", "could not be evaluated"},
		{"a rule that cannot be evaluated denies where there are no arguments", restart(nil), policies, "deny", "policies/production.yaml#no-prod-restart", "could not be evaluated"},
		{"a read tool can be made to ask", policy.Call{Tool: "logs", Effect: spec.EffectRead}, policies, "propose", "policies/production.yaml#ask-for-logs", ""},
		{"a rule grants a write", policy.Call{Tool: "scale", Effect: spec.EffectWrite}, policies, "allow", "policies/blanket.yaml#grant", ""},
		{"no rule grants a denied tool", policy.Call{Tool: "scale", Effect: spec.EffectDenied}, policies, "deny", "default: denied tools are denied", ""},
		{"no rule grants an undeclared tool", policy.Call{Tool: "scale"}, policies, "deny", "default: undeclared tools are denied", ""},
		{"propose beats allow", policy.Call{Tool: "comment", Effect: spec.EffectWrite, Arguments: map[string]any{"ticket": 1}}, policies, "propose", "policies/blanket.yaml#review-comments", ""},
		{"a grant that cannot be evaluated grants nothing", policy.Call{Tool: "comment", Effect: spec.EffectWrite}, policies[:1], "propose", "default: write tools are proposed", ""},
		{"a decision that is none denies", policy.Call{Tool: "exec", Effect: spec.EffectRead}, policies, "deny", "policies/blanket.yaml#unknown-word", ""},
		{"a rule about changes is not about calls", policy.Call{Tool: "get", Effect: spec.EffectRead}, []*spec.Policy{production}, "allow", "default: read tools are allowed", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := policy.Decide(test.call, test.policies)
			if got.Decision != test.decision || got.Rule != test.rule || !strings.Contains(got.Reason, test.reason) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDecideChange(t *testing.T) {
	guard := newPolicy(t, "guard",
		spec.PolicyRule{Name: "small", On: spec.OnChange, When: "size(change.paths) > 2", Decision: spec.DecisionDeny, Reason: "At most two files."},
		spec.PolicyRule{Name: "not-by-triage", On: spec.OnChange, When: `change.agent == "triage" && change.paths.exists(p, p.startsWith("prod/"))`, Decision: spec.DecisionDeny},
		spec.PolicyRule{Name: "calls", On: spec.OnCall, Decision: spec.DecisionDeny},
	)
	for _, test := range []struct {
		name           string
		change         policy.Change
		decision, rule string
	}{
		{"a change is proposed", policy.Change{Agent: "triage", Paths: []string{"dev/a.yaml"}}, "propose", "default: changes are proposed"},
		{"a rule denies by number", policy.Change{Agent: "triage", Paths: []string{"a", "b", "c"}}, "deny", "policies/guard.yaml#small"},
		{"a rule denies by path and agent", policy.Change{Agent: "triage", Paths: []string{"prod/a"}}, "deny", "policies/guard.yaml#not-by-triage"},
		{"another agent may", policy.Change{Agent: "patcher", Paths: []string{"prod/a"}}, "propose", "default: changes are proposed"},
		{"a change of nothing is decided too", policy.Change{Agent: "triage"}, "propose", "default: changes are proposed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := policy.DecideChange(test.change, []*spec.Policy{guard}); got.Decision != test.decision || got.Rule != test.rule {
				t.Errorf("got %+v", got)
			}
		})
	}
}

var strictness = map[string]int{spec.DecisionAllow: 0, spec.DecisionPropose: 1, spec.DecisionDeny: 2}

// drawPolicies draws policies of rules that hold, do not hold, or cannot be evaluated.
func drawPolicies(t *rapid.T) []*spec.Policy {
	var policies []*spec.Policy
	for i := range rapid.IntRange(0, 4).Draw(t, "policies") {
		var rules []spec.PolicyRule
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			rules = append(rules, drawRule(t))
		}
		policies = append(policies, newPolicy(t, string(rune('a'+i)), rules...))
	}
	return policies
}

func drawRule(t *rapid.T) spec.PolicyRule {
	return spec.PolicyRule{
		Name:     rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "name"),
		On:       spec.OnCall,
		When:     rapid.SampledFrom([]string{"", "true", "false", `call.tool == "restart"`, `call.arguments.n > 1`, `call.effect == "read"`}).Draw(t, "when"),
		Decision: rapid.SampledFrom([]string{"allow", "propose", "deny"}).Draw(t, "decision"),
		Reason:   rapid.SampledFrom([]string{"", "because", "for that"}).Draw(t, "reason"),
		Trusts:   rapid.SampledFrom([][]string{nil, {"handbook"}, {"handbook", "wiki"}}).Draw(t, "trusts"),
	}
}

func drawCall(t *rapid.T) policy.Call {
	call := policy.Call{
		Agent: "triage", Server: "cluster",
		Tool:   rapid.SampledFrom([]string{"restart", "get"}).Draw(t, "tool"),
		Effect: rapid.SampledFrom([]string{spec.EffectRead, spec.EffectWrite, spec.EffectDenied, ""}).Draw(t, "effect"),
	}
	if rapid.Bool().Draw(t, "has arguments") {
		call.Arguments = map[string]any{"n": rapid.IntRange(0, 3).Draw(t, "n")}
	}
	call.Sources = rapid.SampledFrom([][]string{nil, {"handbook"}, {"handbook", "wiki"}, {"wiki"}}).Draw(t, "sources")
	return call
}

// One thing loosens a decision: a rule that allows, of a write tool about which no rule says anything.
func TestAddingARuleLoosensNothingButADefaultThatProposes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call, policies, rule := drawCall(t), drawPolicies(t), drawRule(t)
		before := policy.Decide(call, policies)
		after := policy.Decide(call, append(policies, newPolicy(t, "z", rule)))
		if strictness[after.Decision] < strictness[before.Decision] &&
			(before.Rule != policy.RuleWrite || rule.Decision != spec.DecisionAllow || after.Rule != "policies/z.yaml#"+rule.Name) {
			t.Fatalf("%+v became %+v", before, after)
		}
	})
}

func TestTheOrderOfPoliciesAndRulesNeverMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call, policies := drawCall(t), drawPolicies(t)
		want := policy.Decide(call, policies)
		var shuffled []*spec.Policy
		for _, p := range rapid.Permutation(policies).Draw(t, "order") {
			q := *p
			q.Rules = slices.Clone(rapid.Permutation(p.Rules).Draw(t, "order of rules"))
			shuffled = append(shuffled, &q)
		}
		if got := policy.Decide(call, shuffled); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestAnUndeclaredToolIsAlwaysDenied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call, policies := drawCall(t), drawPolicies(t)
		call.Effect = rapid.StringMatching(`[a-z]{0,8}`).Filter(func(s string) bool {
			return s != spec.EffectRead && s != spec.EffectWrite
		}).Draw(t, "effect")
		if got := policy.Decide(call, policies); got.Decision != spec.DecisionDeny {
			t.Fatalf("got %+v", got)
		}
	})
}

// What decides about a write is the strictest rule that holds, whatever else there is: deny, then propose, then allow. Where no
// rule holds it is proposed.
func TestTheStrictestRuleThatHoldsDecidesAboutAWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call, policies := drawCall(t), drawPolicies(t)
		call.Effect = spec.EffectWrite
		want, named := -1, map[string]bool{policy.RuleWrite: true}
		for _, p := range policies {
			for _, r := range p.Rules {
				holds, err := r.Condition.Holds(map[string]any{"call": map[string]any{"agent": call.Agent, "server": call.Server,
					"tool": call.Tool, "effect": call.Effect, "arguments": call.Arguments, "sources": call.Sources}})
				s := strictness[r.Decision]
				if s == 0 && slices.ContainsFunc(call.Sources, func(read string) bool { return !slices.Contains(r.Trusts, read) }) {
					continue // It trusts less than the run has read.
				}
				switch {
				case err != nil && s == 0, err == nil && !holds:
					continue
				case err != nil:
					s = 2
				}
				if s > want {
					want, named = s, map[string]bool{}
				}
				if s == want {
					named[p.Place.File+"#"+r.Name] = true
				}
			}
		}
		if want < 0 {
			want = strictness[spec.DecisionPropose]
		}
		if got := policy.Decide(call, policies); strictness[got.Decision] != want || !named[got.Rule] {
			t.Fatalf("got %+v, want strictness %d by one of %v", got, want, named)
		}
	})
}

func TestWhoMayApproveIsSaidByEveryRuleThatHolds(t *testing.T) {
	policies := []*spec.Policy{newPolicy(t, "teams",
		spec.PolicyRule{Name: "sre", On: spec.OnCall, Decision: spec.DecisionPropose, When: `call.server == "cluster"`, Approvers: []string{"Ada", "Grace"}},
		spec.PolicyRule{Name: "production", On: spec.OnCall, Decision: spec.DecisionPropose, When: `call.arguments.namespace == "production"`, Approvers: []string{"Grace"}, Reason: "Grace knows it."},
		spec.PolicyRule{Name: "plain", On: spec.OnCall, Decision: spec.DecisionPropose},
	)}
	call := policy.Call{Server: "cluster", Tool: "restart", Effect: spec.EffectWrite, Arguments: map[string]any{"namespace": "production"}}
	got := policy.ApproversOf(call, policies)
	if len(got) != 2 || got[0].Rule != "policies/teams.yaml#production" || got[0].Reason != "Grace knows it." || !slices.Equal(got[1].Names, []string{"Ada", "Grace"}) {
		t.Errorf("got %+v", got)
	}
	call.Arguments = nil
	if got := policy.ApproversOf(call, policies); len(got) != 2 || got[0].Names != nil || !strings.Contains(got[0].Reason, "could not be evaluated") {
		t.Errorf("a rule that cannot be evaluated names nobody: %+v", got)
	}
	call.Server, call.Arguments = "other", map[string]any{"namespace": "staging"}
	if got := policy.ApproversOf(call, policies); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestARuleThatLimitsIsForWhoeverExecutes(t *testing.T) {
	calm := newPolicy(t, "calm",
		spec.PolicyRule{Name: "restarts", On: spec.OnCall, Decision: spec.DecisionLimit, Limit: &spec.RuleLimit{Calls: 2}, Reason: "Be calm.", When: `call.tool == "restart"`},
		spec.PolicyRule{Name: "all", On: spec.OnCall, Decision: spec.DecisionLimit, Limit: &spec.RuleLimit{Calls: 9}, When: `call.server == "cluster"`},
		spec.PolicyRule{Name: "drains", On: spec.OnCall, Decision: spec.DecisionLimit, Limit: &spec.RuleLimit{Calls: 1}, When: `call.tool == "drain" && call.arguments.node == "one"`},
	)
	restart := policy.Call{Agent: "triage", Server: "cluster", Tool: "restart", Effect: spec.EffectWrite}
	if d := policy.Decide(restart, []*spec.Policy{calm}); d.Decision != spec.DecisionPropose || d.Rule != policy.RuleWrite {
		t.Errorf("a call within limits is %+v", d)
	}
	limits, err := policy.Limits(restart, []*spec.Policy{calm})
	if err != nil || len(limits) != 2 || limits[0].Rule != "policies/calm.yaml#all" || limits[1].Rule != "policies/calm.yaml#restarts" || limits[1].Calls != 2 {
		t.Errorf("its limits are %+v, %v", limits, err)
	}
	drain := policy.Call{Agent: "triage", Server: "cluster", Tool: "drain", Effect: spec.EffectWrite}
	if _, err := policy.Limits(drain, []*spec.Policy{calm}); err == nil || !strings.Contains(err.Error(), "policies/calm.yaml#drains could not be evaluated, so it denies") {
		t.Errorf("a limit that cannot be evaluated: %v", err)
	}
	if d := policy.Decide(drain, []*spec.Policy{calm}); d.Decision != spec.DecisionDeny {
		t.Errorf("a call whose limit cannot be evaluated is %+v", d)
	}
	read := policy.Call{Agent: "triage", Server: "cluster", Tool: "get", Effect: spec.EffectRead}
	if d := policy.Decide(read, []*spec.Policy{calm}); d.Decision != spec.DecisionDeny || !strings.HasPrefix(d.Reason, "only calls") || !strings.Contains(d.Reason, `write call.effect == "write" into its condition`) {
		t.Errorf("a read tool that a rule limits is %+v", d)
	}
}

// Text of a source that a rule does not trust may be why the call is made: it is for a person then, as without the rule.
func TestAllowTrustsOnlyTheKnowledgeThatItNames(t *testing.T) {
	policies := []*spec.Policy{newPolicy(t, "tickets",
		spec.PolicyRule{Name: "comments", On: spec.OnCall, Decision: spec.DecisionAllow, When: `call.tool == "comment"`, Trusts: []string{"handbook"}})}
	for _, row := range []struct {
		sources        []string
		decision, rule string
	}{
		{nil, spec.DecisionAllow, "policies/tickets.yaml#comments"},
		{[]string{"handbook"}, spec.DecisionAllow, "policies/tickets.yaml#comments"},
		{[]string{"handbook", "wiki"}, spec.DecisionPropose, policy.RuleWrite},
		{[]string{"wiki"}, spec.DecisionPropose, policy.RuleWrite},
	} {
		got := policy.Decide(policy.Call{Tool: "comment", Effect: spec.EffectWrite, Sources: row.sources}, policies)
		if got.Decision != row.decision || got.Rule != row.rule {
			t.Errorf("after reading %v: %+v", row.sources, got)
		}
	}
	if got := policy.Decide(policy.Call{Tool: "get", Effect: spec.EffectRead, Sources: []string{"wiki"}}, policies); got.Decision != spec.DecisionAllow {
		t.Errorf("a read tool needs no trust: %+v", got)
	}
	guarded := newPolicy(t, "wiki", spec.PolicyRule{Name: "no-wiki", On: spec.OnCall, Decision: spec.DecisionDeny, When: `call.effect == "write" && "wiki" in call.sources`})
	if got := policy.Decide(policy.Call{Tool: "drain", Effect: spec.EffectWrite, Sources: []string{"wiki"}}, []*spec.Policy{guarded}); got.Decision != spec.DecisionDeny {
		t.Errorf("rules see what was read: %+v", got)
	}
}
