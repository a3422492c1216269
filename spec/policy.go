package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

func (l *loader) resolvePolicies() []*Policy {
	var out []*Policy
	for _, name := range names(l.policies) {
		e := l.policies[name]
		out = append(out, resolved(l, e.document, "", func() (*Policy, []Ref) { p := l.policy(e); return p, p.DependsOn }))
	}
	return out
}

func (l *loader) policy(e *entry[PolicySpec]) *Policy {
	p := &Policy{Resource: l.resource(e.document)}
	seen := map[string]int{}
	for i, rule := range e.written.Rules {
		n := e.spec.at("rules", i)
		if first, ok := seen[rule.Name]; ok && rule.Name != "" {
			l.error(n.at("name"), fmt.Sprintf("the first is in line %d", first), "two rules have the name %q", rule.Name)
		}
		seen[rule.Name] = n.at("name").line
		p.Rules = append(p.Rules, l.rule(e.document, n, rule))
		p.DependsOn = append(p.DependsOn, l.ruleTrusts(n, rule)...)
	}
	slices.SortFunc(p.DependsOn, compareRefs)
	p.DependsOn = slices.Compact(p.DependsOn)
	p.Digest = l.digest(p.Place, e.written)
	return p
}

func (l *loader) rule(d *document, n *node, rule PolicyRule) Rule {
	out := Rule{PolicyRule: rule}
	switch rule.On {
	case OnCall:
		out.Condition = l.condition(callLanguage, n.at("when"), "when", rule.When)
	case OnChange:
		out.Condition = l.condition(changeLanguage, n.at("when"), "when", rule.When)
	case OnRun:
		out.Condition = l.condition(runLanguage, n.at("when"), "when", rule.When)
	}
	switch {
	case rule.Decision == DecisionAllow && rule.On == OnCall && strings.TrimSpace(rule.When) == "":
		l.missing(d, n.at("when"), `write when: call.tool == "NAME"`, "the rule allows every call of every write tool without a review")
	case rule.Decision == DecisionPropose && rule.On == OnChange:
		l.error(n.at("decision"), "write decision: deny, or leave the rule out", "a change is always a proposal already")
	case slices.Contains([]string{DecisionAllow, DecisionLimit, DecisionPropose}, rule.Decision) && (rule.On == OnChange || rule.On == OnRun):
		l.error(n.at("decision"), "write decision: deny", "decision %s is for calls, and this rule is on %s", rule.Decision, rule.On)
	}
	if rule.Decision != "" && (rule.Limit != nil) != (rule.Decision == DecisionLimit) {
		l.missing(d, n.at("limit"), "decision: limit goes with limit: {calls: 10}", "the rule needs a limit exactly where its decision is limit")
	}
	l.ruleApprovers(n, rule)
	return out
}

// ruleTrusts checks which knowledge a rule trusts, and returns it.
func (l *loader) ruleTrusts(n *node, rule PolicyRule) []Ref {
	if len(rule.Trusts) > 0 && rule.Decision != DecisionAllow && rule.Decision != "" && n.has("decision") {
		l.error(n.keyOf("trusts"), "leave it out, or write decision: allow", "to trust knowledge is to let calls be made without a review, and the decision is %s", rule.Decision)
	}
	var refs []Ref
	for i, name := range rule.Trusts {
		if known(l, n.at("trusts", i), KindKnowledgeSource, name, l.knowledge) {
			refs = append(refs, Ref{KindKnowledgeSource, name})
		}
	}
	return refs
}

// ruleApprovers checks who a rule says may approve.
func (l *loader) ruleApprovers(n *node, rule PolicyRule) {
	if rule.Approvers == nil {
		return
	}
	if rule.Decision != DecisionPropose && rule.Decision != "" && n.has("decision") {
		l.error(n.keyOf("approvers"), "write decision: propose", "approvers approve what is proposed, and the decision is %s", rule.Decision)
	}
	var known []string
	for _, k := range l.out.Approvers {
		known = append(known, k.Name)
	}
	for i, name := range rule.Approvers {
		if !l.alone && !slices.Contains(known, name) {
			l.absent(n.at("approvers", i), KindFleet, near.Hint(name, known, "mainstay.yaml lists them under spec.approvers"), "unknown approver %q", name)
		}
	}
}
