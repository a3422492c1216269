package spec

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// What is checked in the kinds that this version does not reconcile. See kinds_later.go.

// other notes a resource of a kind that has no trusted form of its own.
func (l *loader) other(d *document, written any, dependsOn ...Ref) {
	r := l.resource(d)
	slices.SortFunc(dependsOn, compareRefs)
	r.DependsOn = slices.Compact(dependsOn)
	r.Digest = l.digest(r.Place, written)
	l.others[r.Ref] = kept(l, d, &r)
}

func (l *loader) checkSources() {
	for _, name := range names(l.sources) {
		e := l.sources[name]
		l.inRepository(e.spec.at("path"), e.written.Path)
		for i, skill := range e.written.Skills {
			if l.once(e.spec.at("skills", i), "skill", e.written.Skills[:i], skill) && l.skills[skill] != nil {
				l.error(e.spec.at("skills", i), "leave it out here, or remove the folder", "the skill %q is in this repository already: at %s", skill, l.skills[skill].Place.File)
			}
		}
		l.secret(e.document, e.spec.at("credential"), e.written.Credential)
		l.other(e.document, e.written)
	}
}

func (l *loader) checkEvaluations() {
	for _, name := range names(l.evaluations) {
		e := l.evaluations[name]
		w, n := e.written, e.spec
		var depends []Ref
		if w.Agent != "" && known(l, n.at("agent"), KindAgent, w.Agent, l.agents) {
			depends = append(depends, Ref{KindAgent, w.Agent})
		}
		if w.Model != "" && known(l, n.at("model"), KindModel, w.Model, l.models) {
			depends = append(depends, Ref{KindModel, w.Model})
		}
		var seen []string
		for i, c := range w.Cases {
			l.once(n.at("cases", i, "name"), "case", seen, c.Name)
			seen = append(seen, c.Name)
			for j, a := range c.Assert {
				depends = l.assertion(e.document, n.at("cases", i, "assert", j), a, depends)
			}
		}
		l.other(e.document, w, depends...)
	}
}

func (l *loader) assertion(d *document, n *node, a Assertion, depends []Ref) []Ref {
	set := 0
	for _, text := range []string{a.Contains, a.Excludes, a.Matches, a.CEL, a.Judge} {
		if text != "" {
			set++
		}
	}
	if set != 1 {
		l.missing(d, n, "write one item of the list for each", "an assertion is exactly one of contains, excludes, matches, cel and judge")
	}
	if _, err := regexp.Compile(a.Matches); err != nil {
		l.pattern(n.at("matches"), err)
	}
	l.condition(endedLanguage, n.at("cel"), "cel", a.CEL)
	if a.Judge != "" && known(l, n.at("judge"), KindAgent, a.Judge, l.agents) {
		depends = append(depends, Ref{KindAgent, a.Judge})
	}
	return depends
}

// pattern reports a regular expression that cannot be compiled.
func (l *loader) pattern(n *node, err error) {
	l.error(n, "write it in RE2's syntax", "the pattern cannot be read: %s", oneLine(strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
}

// deniedTools warns of write tools that no agent can ever call, because a rule denies them whoever calls them with whatever.
func (l *loader) deniedTools() {
	left := maxDeniedChecks
	for _, p := range l.out.Policies {
		for _, rule := range p.Rules {
			if rule.On != OnCall || rule.Decision != DecisionDeny || rule.Condition == nil {
				continue
			}
			for _, name := range names(l.servers) {
				e := l.servers[name]
				for _, tool := range names(e.written.Tools) {
					if left--; left < 0 {
						return
					}
					if e.written.Tools[tool].Effect == EffectWrite && rule.Condition.always(name, tool) {
						l.warn(e.spec.at("tools").keyOf(tool), "narrow the rule, or declare the tool with effect: denied",
							"the write tool %q can never be called: %s#%s denies every call of it", tool, p.Place.File, rule.Name)
					}
				}
			}
		}
	}
}

// maxDeniedChecks bounds how many pairs of a rule and a tool are looked at.
const maxDeniedChecks = 10_000

// always reports whether a condition over a call holds for every call of a write tool, whoever makes it with whatever
// arguments.
func (c *Condition) always(server, tool string) bool {
	if c.program == nil {
		return true
	}
	program := c.partial()
	if program == nil {
		return false
	}
	vars, err := cel.PartialVars(map[string]any{"call": map[string]any{"server": server, "tool": tool, "effect": EffectWrite}},
		cel.AttributePattern("call").QualString("agent"), cel.AttributePattern("call").QualString("arguments"))
	if err != nil {
		return false
	}
	value, _, err := program.Eval(vars)
	return err == nil && value.Value() == true
}
