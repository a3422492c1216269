package spec

import (
	"fmt"
	"slices"
	"strings"
)

func (l *loader) resolvePolicies() []*Policy {
	var out []*Policy
	for _, name := range names(l.policies) {
		e := l.policies[name]
		p := &Policy{Resource: l.resource(e.document)}
		switch n := len(e.written.Rules); {
		case n == 0:
			l.missing(e.document, e.spec.at("rules"), "write rules, each with name, on and decision", "policy %q has no rules", name)
		case n > maxRules:
			l.error(e.spec.at("rules"), "", "policy %q has more than %d rules", name, maxRules)
			continue
		}
		seen := map[string]int{}
		for i, rule := range e.written.Rules {
			n := e.spec.at("rules", i)
			if rule.Name == "" {
				l.missing(e.document, n, "write name: what-it-guards, which is shown where it decides", "the rule has no name")
			} else if first, ok := seen[rule.Name]; ok {
				l.error(n.at("name"), fmt.Sprintf("the first is in line %d", first), "two rules have the name %q", rule.Name)
			} else if err := CheckName(rule.Name); err != nil {
				l.error(n.at("name"), "", "%s", err)
			}
			seen[rule.Name] = n.at("name").line
			p.Rules = append(p.Rules, l.rule(e.document, n, rule))
		}
		p.Digest = l.digest(p.Place, e.written)
		out = append(out, p)
	}
	return out
}

func (l *loader) rule(d *document, n *node, rule PolicyRule) Rule {
	out := Rule{PolicyRule: rule}
	kinds := []string{OnCall, OnChange}
	switch rule.On {
	case OnCall:
		out.Condition = l.condition(callLanguage, n, "when", rule.When)
	case OnChange:
		out.Condition = l.condition(changeLanguage, n, "when", rule.When)
	case "":
		l.missing(d, n.at("on"), "write on: call for tool calls, or on: change for file changes", "the rule is on nothing")
	default:
		l.error(n.at("on"), didYouMean(rule.On, kinds, "known are "+strings.Join(kinds, ", ")), "a rule cannot be on %q", rule.On)
	}
	decisions := []string{DecisionDeny, DecisionPropose}
	switch {
	case rule.Decision == "":
		l.missing(d, n.at("decision"), "write decision: deny or propose", "the rule decides nothing")
	case rule.Decision == DecisionAllow:
		l.error(n.at("decision"), "read tools are allowed unless a rule says otherwise, so leave the rule out", "no rule can allow: write tools always need an approval in this version")
	case !slices.Contains(decisions, rule.Decision):
		l.error(n.at("decision"), didYouMean(rule.Decision, decisions, "known are deny, propose"), "unknown decision %q", rule.Decision)
	case rule.Decision == DecisionPropose && rule.On == OnChange:
		l.error(n.at("decision"), "write decision: deny, or leave the rule out", "a change is always a proposal already")
	}
	return out
}
