// Package policy decides what an agent may do. [Decide] is for tool calls, [DecideChange] for proposed file changes,
// [DecideRun] for runs that are about to start. All are functions of their arguments alone: they read no clock and no disk, and log nothing.
//
// The defaults are strict: an undeclared tool is denied, a read tool is allowed, a write tool is proposed. Of all rules that
// hold the strictest wins: deny, then propose, then allow. Rules only ever tighten the defaults, but for one: where a rule
// allows a call of a write tool, and no other is stricter, it is made without a review; unless the run has read text of a knowledge
// source that the rule does not trust. The order of policies and of rules
// within them never matters.
package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// Call is a tool call as rules see it, in the variable `call`.
type Call struct {
	Agent  string
	Server string
	Tool   string
	// Effect is spec.EffectRead, EffectWrite or EffectDenied. Anything else means that the tool is not declared.
	Effect string
	// Arguments are JSON values.
	Arguments map[string]any
	// Sources are the knowledge sources whose text the run had read.
	Sources []string
}

// Change is a proposed change of files as rules see it, in the variable `change`.
type Change struct {
	Agent string
	Paths []string
}

// Run is a run that is about to start as rules see it, in the variable `run`.
type Run struct {
	Agent string
	Task  string
	// Trigger names what starts it; empty for `mainstay ask`.
	Trigger string
}

// Decision is what was decided, and by what.
type Decision struct {
	// Decision is spec.DecisionAllow, DecisionPropose or DecisionDeny.
	Decision string
	// Rule names what decided: `policies/production.yaml#no-restart`, or `default: ` and a sentence.
	Rule string
	// Reason is told to the agent and to people. It may be empty.
	Reason string
}

// The names of the defaults, as they appear in [Decision.Rule].
const (
	RuleUndeclared = "default: undeclared tools are denied"
	RuleDenied     = "default: denied tools are denied"
	RuleRead       = "default: read tools are allowed"
	RuleWrite      = "default: write tools are proposed"
	RuleChange     = "default: changes are proposed"
	RuleRun        = "default: runs are started"
)

// Decide decides about one tool call. A rule that cannot be evaluated denies, and the reason says why; one that would allow
// then allows nothing. Where several rules are equally strict, the one whose name sorts first is named; where a rule is as
// strict as the default, the rule is named, because it has a reason.
func Decide(call Call, policies []*spec.Policy) Decision {
	var base Decision
	switch call.Effect {
	case spec.EffectRead:
		base = Decision{Decision: spec.DecisionAllow, Rule: RuleRead}
	case spec.EffectWrite:
		base = Decision{Decision: spec.DecisionPropose, Rule: RuleWrite}
	case spec.EffectDenied:
		return Decision{Decision: spec.DecisionDeny, Rule: RuleDenied, Reason: "the tool server declares this tool with effect denied"}
	default:
		return Decision{Decision: spec.DecisionDeny, Rule: RuleUndeclared}
	}
	return strictest(base, spec.OnCall, call.vars(), policies)
}

// vars are the call as expressions see it.
func (c Call) vars() map[string]any {
	arguments := c.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	return map[string]any{"call": map[string]any{
		"agent":     c.Agent,
		"server":    c.Server,
		"tool":      c.Tool,
		"effect":    c.Effect,
		"arguments": arguments,
		"sources":   append([]string{}, c.Sources...),
	}}
}

// Approvers is a rule that says who may approve a call.
type Approvers struct {
	// Rule names it, as in a [Decision].
	Rule string
	// Names are those of the Fleet's approvers. Where the rule cannot be evaluated there are none, and Reason says why.
	Names  []string
	Reason string
}

// ApproversOf returns the rules that say who may approve a call, sorted by their names. An approver must be in each of them;
// where there is none, every approver may.
func ApproversOf(call Call, policies []*spec.Policy) []Approvers {
	var all []Approvers
	for _, p := range policies {
		for _, rule := range p.Rules {
			if rule.On != spec.OnCall || len(rule.Approvers) == 0 {
				continue
			}
			found, holds := evaluate(p, rule, call.vars())
			if !holds {
				continue
			}
			a := Approvers{Rule: found.Rule, Names: rule.Approvers, Reason: rule.Reason}
			if found.Decision == spec.DecisionDeny {
				a.Names, a.Reason = nil, found.Reason
			}
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b Approvers) int { return cmp.Compare(a.Rule, b.Rule) })
	return all
}

// Limits are the rules that limit how often such a call of a write tool is executed, sorted by name, each as it is written.
// Whether there is room is for whoever executes calls to count. An error says that a rule could not be evaluated.
func Limits(call Call, policies []*spec.Policy) ([]Limit, error) {
	var limits []Limit
	for _, p := range policies {
		for _, rule := range p.Rules {
			if rule.On != spec.OnCall || rule.Decision != spec.DecisionLimit || rule.Limit == nil {
				continue
			}
			if rule.Condition != nil {
				holds, err := rule.Condition.Holds(call.vars())
				if err != nil {
					return nil, fmt.Errorf("the rule %s could not be evaluated, so it denies: %w", ruleName(p, rule), err)
				}
				if !holds {
					continue
				}
			}
			limits = append(limits, Limit{Rule: ruleName(p, rule), RuleLimit: *rule.Limit, Reason: rule.Reason})
		}
	}
	slices.SortFunc(limits, func(a, b Limit) int { return strings.Compare(a.Rule, b.Rule) })
	return limits, nil
}

// Limit is a rule that limits a call.
type Limit struct {
	// Rule and Reason are as in a [Decision].
	Rule, Reason string
	spec.RuleLimit
}

func ruleName(p *spec.Policy, rule spec.Rule) string { return p.Place.File + "#" + rule.Name }

// DecideChange decides about a proposed change: propose, unless a rule denies it. Which paths the agent may touch at all
// is not decided here, because its own spec says so.
func DecideChange(change Change, policies []*spec.Policy) Decision {
	paths := make([]any, len(change.Paths))
	for i, p := range change.Paths {
		paths[i] = p
	}
	base := Decision{Decision: spec.DecisionPropose, Rule: RuleChange}
	return strictest(base, spec.OnChange, map[string]any{"change": map[string]any{
		"agent": change.Agent,
		"paths": paths,
	}}, policies)
}

// DecideRun decides whether a run may start: it may, unless a rule denies it.
func DecideRun(run Run, policies []*spec.Policy) Decision {
	base := Decision{Decision: spec.DecisionAllow, Rule: RuleRun}
	return strictest(base, spec.OnRun, map[string]any{"run": map[string]any{
		"agent":   run.Agent,
		"task":    run.Task,
		"trigger": run.Trigger,
	}}, policies)
}

// strictest is what the strictest rule that holds decides, or the default. A rule that allows takes the place of a default
// that proposes.
func strictest(base Decision, on string, vars map[string]any, policies []*spec.Policy) Decision {
	decided, byRule := base, false
	for _, p := range policies {
		for _, rule := range p.Rules {
			if rule.On != on {
				continue
			}
			found, holds := evaluate(p, rule, vars)
			if rule.Decision == spec.DecisionAllow && !trusts(rule, vars) {
				continue
			}
			if !holds || rule.Decision == spec.DecisionLimit && found.Decision != spec.DecisionDeny {
				continue
			}
			s, d := strictness(found.Decision), strictness(decided.Decision)
			loosens := !byRule && base.Rule == RuleWrite && found.Decision == spec.DecisionAllow
			if loosens || s > d || s == d && (!byRule || before(found, decided)) {
				decided, byRule = found, true
			}
		}
	}
	return decided
}

// trusts reports whether a rule that allows a call takes all that the run had read into account: text of a knowledge source may be what
// has the agent make the call.
func trusts(rule spec.Rule, vars map[string]any) bool {
	call, _ := vars["call"].(map[string]any)
	sources, _ := call["sources"].([]string)
	return !slices.ContainsFunc(sources, func(s string) bool { return !slices.Contains(rule.Trusts, s) })
}

// evaluate returns what the rule decides, and whether it has anything to say.
func evaluate(p *spec.Policy, rule spec.Rule, vars map[string]any) (Decision, bool) {
	name := ruleName(p, rule)
	holds := true
	if rule.Condition != nil {
		var err error
		holds, err = rule.Condition.Holds(vars)
		if err != nil && rule.Decision == spec.DecisionAllow {
			return Decision{}, false
		}
		if err != nil {
			return Decision{
				Decision: spec.DecisionDeny,
				Rule:     name,
				Reason:   fmt.Sprintf("the rule could not be evaluated, so it denies: %v", err),
			}, true
		}
	}
	decision := rule.Decision
	switch decision {
	case spec.DecisionAllow, spec.DecisionPropose:
	case spec.DecisionLimit:
		if call, _ := vars["call"].(map[string]any); call["effect"] != spec.EffectWrite {
			const reason = `only calls of write tools are counted, when they are executed, and a rule that limits others denies them: write call.effect == "write" into its condition`
			why := reason
			if rule.Reason != "" {
				why = rule.Reason + " (" + reason + ")"
			}
			return Decision{Decision: spec.DecisionDeny, Rule: name, Reason: why}, holds
		}
	default:
		decision = spec.DecisionDeny // It is deny, or a word that package spec has let through by mistake.
	}
	return Decision{Decision: decision, Rule: name, Reason: rule.Reason}, holds
}

// strictness orders decisions.
func strictness(decision string) int {
	switch decision {
	case spec.DecisionAllow:
		return 0
	case spec.DecisionPropose:
		return 1
	default:
		return 2
	}
}

// before makes the choice among equally strict rules independent of their order.
func before(a, b Decision) bool {
	if a.Rule != b.Rule {
		return a.Rule < b.Rule
	}
	return a.Reason < b.Reason
}
