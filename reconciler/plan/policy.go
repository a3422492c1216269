package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// policies compares the rules of all policies together, for it does not matter which policy holds a rule, nor what the rule
// is called.
func (x *comparison) policies() {
	x.held(x.before.Policies, x.after.Policies, &x.widened, "lost the rule %s: %s")
	x.held(x.after.Policies, x.before.Policies, &x.narrowed, "gained the rule %s: %s")
	x.allowed(x.after.Policies, x.before.Policies, &x.widened, "gained the rule %s, by which write tools are called without an approval: %s")
	x.allowed(x.before.Policies, x.after.Policies, &x.narrowed, "lost the rule %s, by which write tools are called without an approval: %s")
}

// allowed notes the rules of one side that allow what no rule of the other is sure to allow.
func (x *comparison) allowed(rules, by []*spec.Policy, to *permissions, format string) {
	same := map[string]bool{}
	for _, p := range by {
		for _, r := range p.Rules {
			same[sayings(r)] = true
		}
	}
	for _, p := range rules {
		for _, r := range p.Rules {
			if r.Decision == spec.DecisionAllow && !same[sayings(r)] {
				to.add(p.Ref, "policy", format, r.Name, sentence(r))
			}
		}
	}
}

// held notes the rules of one side that no rule of the other is sure to be as strict as.
func (x *comparison) held(rules, by []*spec.Policy, to *permissions, format string) {
	all, same := map[string][]spec.Rule{}, map[string]bool{}
	for _, p := range by {
		for _, r := range p.Rules {
			all[r.On] = append(all[r.On], r)
			same[sayings(r)] = true
		}
	}
	for _, p := range rules {
		for _, rule := range p.Rules {
			strict := same[sayings(rule)] || rule.Decision == spec.DecisionAllow // Mostly it is as it was.
			if !strict && !slices.ContainsFunc(all[rule.On], func(other spec.Rule) bool { return asStrict(other, rule) }) {
				to.add(p.Ref, "policy", format, rule.Name, sentence(rule))
			}
		}
	}
}

// sayings is all that a rule says, without its name and reason.
func sayings(r spec.Rule) string {
	limit := ""
	if r.Limit != nil {
		limit = fmt.Sprintf("%d %s", r.Limit.Calls, r.Limit.Per)
	}
	trusts := strings.Join(slices.Sorted(slices.Values(r.Trusts)), ",")
	return strings.Join(append([]string{r.On, r.Decision, limit, r.When, trusts}, r.Approvers...), "\x00")
}

// asStrict reports whether a rule surely refuses all that another one refuses.
func asStrict(rule, other spec.Rule) bool {
	if rule.When != "" && rule.When != other.When {
		return false
	}
	switch {
	case rule.Decision == spec.DecisionDeny:
		return true
	case rule.Decision != other.Decision:
		return false
	case rule.Decision == spec.DecisionPropose && len(other.Approvers) > 0:
		return len(rule.Approvers) > 0 && !slices.ContainsFunc(rule.Approvers, func(name string) bool { return !slices.Contains(other.Approvers, name) })
	case rule.Decision == spec.DecisionLimit && rule.Limit != nil && other.Limit != nil:
		return *rule.Limit == *other.Limit || rule.Limit.Per == other.Limit.Per && rule.Limit.Calls <= other.Limit.Calls
	}
	return rule.Decision != spec.DecisionLimit
}

// sentence is what a rule says, in short.
func sentence(r spec.Rule) string {
	text := r.Decision + " every " + r.On
	if r.Limit != nil {
		text = fmt.Sprintf("%s every %s to %s", r.Decision, r.On, strconv.Itoa(r.Limit.Calls))
		if r.Limit.Per != 0 {
			text += " in " + r.Limit.Per.String()
		}
	}
	if r.When != "" {
		text += " where " + r.When
	}
	if len(r.Approvers) > 0 {
		text += ", approved by " + strings.Join(r.Approvers, " or ")
	}
	if len(r.Trusts) > 0 {
		text += ", also after reading " + strings.Join(r.Trusts, " or ")
	}
	return shortened(text)
}
