package plan

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// judgement says what a difference in a field does to permissions. A nil one says that it does nothing.
type judgement func(d difference, to *judged)

// judged takes what a judgement finds.
type judged struct {
	ref               spec.Ref
	widened, narrowed *permissions
	wider             bool
}

func (j *judged) widen(code, format string, values ...string) {
	j.wider = true
	j.widened.add(j.ref, code, format, values...)
}

func (j *judged) narrow(code, format string, values ...string) {
	j.narrowed.add(j.ref, code, format, values...)
}

// judge notes what a difference does to permissions, and reports whether it widens them.
func (d difference) judge(ref spec.Ref, widened, narrowed *permissions) bool {
	to := &judged{ref: ref, widened: widened, narrowed: narrowed}
	if j := judgeOf(d.kind, d.path).judge; j != nil {
		j(d, to)
	}
	return to.wider
}

// judge is a row of the tables below.
type judge struct {
	// path is that of a field. A * stands for a name, and a ** at the end for all that is beneath.
	path  string
	judge judgement
	// whole says that the field is taken as one value: the path ends in no **.
	whole bool
}

// harmless is for fields that are no permission: what they do to behaviour is shown, and not marked.
var harmless judgement

// judges say for the fields of each kind what they do to permissions; the first row that matches counts. A field that is
// not in a table is one of which that cannot be told: any difference in it widens permissions. So a field that is added to
// the language is marked until somebody has thought about it.
var judges = table(map[spec.Kind][]judge{
	spec.KindFleet: {
		{path: "defaults.**", judge: harmless}, // What agents become by them is told of each agent.
		{path: "ceilings.*", judge: raised(math.Inf(1))},
		{path: "approvers.**", judge: harmless}, // See fleet.go for this one and the next two.
		{path: "signatures.**", judge: harmless},
		{path: "ledger.**", judge: harmless},
		{path: "proposals.expires", judge: raised((72 * time.Hour).Seconds())},
		{path: "proposals.labels", judge: harmless},
		{path: "proposals.reviewers", judge: lost},
		{path: "proposals.maxOpen", judge: raised(math.Inf(1))},
		{path: "store.maxBytes", judge: harmless},
		{path: "store.retention", judge: harmless},
		{path: "suspend", judge: isUnset},
		{path: "windows", judge: guard},
		{path: "telemetry.content", judge: isSet},
	},
	spec.KindPolicy: {
		{path: "rules.**", judge: harmless}, // See policy.go.
	},
	spec.KindToolServer: {
		{path: "suspend", judge: isUnset},
		{path: "windows", judge: guard},
		{path: "timeout", judge: raised(30)},
		{path: "tools.*.effect", judge: effect},
		{path: "tools.*.timeout", judge: toolTimeout},
		{path: "tools.*.precondition", judge: ofWrite(guard)},
		{path: "tools.*.idempotent", judge: ofWrite(isSet)},
		{path: "tools.*.concurrency", judge: ofWrite(raised(1))},
		{path: "tools.*.limit", judge: ofWrite(guard)},
		{path: "tools.*.summary", judge: ofWrite(unknown)}, // It is what a reviewer goes by.
		{path: "tools.*.target", judge: ofWrite(unknown)},
		{path: "tools.*.touches", judge: ofWrite(unknown)}, // Its owners approve.
	},
	spec.KindModel: {
		{path: "name", judge: harmless},
		{path: "rules", judge: harmless},
		{path: "recording", judge: harmless},
		{path: "keepAlive", judge: harmless},
		{path: "retry.**", judge: harmless},
		{path: "timeouts.**", judge: harmless},
		{path: "context.**", judge: harmless},
		{path: "cache.ttl", judge: harmless},
		{path: "rate.*", judge: raised(math.Inf(1))},
		{path: "budget.*", judge: raised(math.Inf(1))},
		{path: "parameters.*", judge: parameter},
	},
	// Of what they say, boundaries and locked sections bind agents, and of each agent it is told which it has lost.
	spec.KindPersona: {{path: "role"}, {path: "tone"}, {path: "goals"}, {path: "boundaries"}, {path: "extends"}},
	spec.KindPrompt:  {{path: "text"}, {path: "extends"}, {path: "parameters.**"}, {path: "sections.**"}},
	spec.KindTrigger: {
		{path: "suspend", judge: isUnset},
		{path: "task", judge: harmless},
		{path: "onRevision.paths", judge: globs},
	},
	spec.KindKnowledgeSource: {
		{path: "description", judge: harmless},
		{path: "chunk.**", judge: harmless},
		{path: "graph", judge: harmless},
		{path: "labels.**", judge: harmless},
		{path: "web.refresh", judge: harmless},
		{path: "web.allow", judge: gained},
		{path: "files.include", judge: globs},
		{path: "files.exclude", judge: lost},
		{path: "git.include", judge: globs},
		{path: "git.exclude", judge: lost},
		{path: "history.agents", judge: globs},
		{path: "history.since", judge: raised(math.Inf(1))},
	},
	spec.KindEvaluation: {
		{path: "threshold", judge: lowered(1)},
		{path: "cases.*", judge: guard},
	},
	spec.KindWorkflow: {{path: "description", judge: harmless}},
	// The rows of agents are of their resolved form. See agent.go.
	spec.KindAgent: {
		{path: "description", judge: harmless},
		{path: "ordered", judge: isUnset},
		{path: "suspend", judge: isUnset},
		{path: "limits.tokens", judge: raised(math.Inf(1))},
		{path: "limits.cost", judge: raised(math.Inf(1))},
		{path: "limits.*", judge: raised(0)},
		{path: "memory", judge: granted},
		{path: "output", judge: guard},
		{path: "isolation.exec", judge: gained},
		{path: "isolation.require", judge: isolation},
		{path: "scale.isolateRuns", judge: isUnset},
		{path: "scale.concurrency", judge: raised(8)},
		{path: "scale.warm", judge: harmless},
		{path: "scale.idle", judge: harmless},
	},
})

func table(rows map[spec.Kind][]judge) map[spec.Kind][]judge {
	for _, list := range rows {
		for i := range list {
			list[i].whole = !strings.HasSuffix(list[i].path, "**")
		}
	}
	return rows
}

// judgeOf is the row that a field is judged by.
func judgeOf(kind spec.Kind, path []string) judge {
	for _, j := range judges[kind] {
		if matches(strings.Split(j.path, "."), path) {
			return j
		}
	}
	return judge{judge: unknown}
}

func matches(pattern, path []string) bool {
	for i, step := range pattern {
		switch {
		case step == "**":
			return true // Of the field itself too: it is there, or not.
		case i >= len(path) || step != "*" && step != path[i]:
			return false
		}
	}
	return len(pattern) == len(path)
}

// connections are the fields by which Mainstay reaches what is outside.
var connections = []string{"command", "endpoint", "env", "headers", "provider", "url"}

// unknown is for fields of which it cannot be told what they permit.
func unknown(d difference, to *judged) {
	code := "field"
	switch {
	case isSecret(d.path, d.before) && isSecret(d.path, d.after):
		code = "secret"
	case slices.Contains(connections, d.path[0]):
		code = "connection"
	}
	switch {
	case d.secret() && d.before == nil:
		to.widen(code, "was given the secret %s as %s", Value(d.after), d.name())
	case d.before == nil:
		to.widen(code, "set %s to %s", d.name(), Value(d.after))
	case d.after == nil:
		to.widen(code, "lost %s, which was %s", d.name(), Value(d.before))
	default:
		before, after := values(d.before, d.after)
		to.widen(code, "changed %s from %s to %s", d.name(), before, after)
	}
}

// raised is for limits. unset is the number that holds where the field is not there.
func raised(unset float64) judgement {
	return func(d difference, to *judged) { d.compare(to, number(d.before, unset), number(d.after, unset)) }
}

// lowered is for numbers of which the lower one permits more.
func lowered(unset float64) judgement {
	return func(d difference, to *judged) { d.compare(to, -number(d.before, unset), -number(d.after, unset)) }
}

// compare is for fields that permit more the higher what they weigh is.
func (d difference) compare(to *judged, before, after float64) {
	text := func(v any) string {
		if v == nil {
			return "unset"
		}
		return Value(v)
	}
	switch {
	case math.IsNaN(before) || math.IsNaN(after):
		unknown(d, to)
	case after > before:
		to.widen("limit", "loosened %s from %s to %s", d.name(), text(d.before), text(d.after))
	case after < before:
		to.narrow("limit", "tightened %s from %s to %s", d.name(), text(d.before), text(d.after))
	}
}

// number is a number or a duration in seconds. It is NaN where the value is neither.
func number(v any, unset float64) float64 {
	switch v := v.(type) {
	case nil:
		return unset
	case int64:
		return float64(v)
	case float64:
		return v
	case string:
		if d, err := spec.ParseDuration(v); err == nil {
			return time.Duration(d).Seconds()
		}
	}
	return math.NaN()
}

// toolTimeout is for the timeout of a tool that was declared, and is. Its default is its server's.
func toolTimeout(d difference, to *judged) {
	if !d.had || !d.has { // The tool is declared only now, or no more.
		return
	}
	of := func(v any, root map[string]any) float64 { return number(v, number(root["timeout"], 30)) }
	d.compare(to, of(d.before, d.roots[0]), of(d.after, d.roots[1]))
}

// isSet is for fields that permit more where they are true, and isUnset for those that permit less.
func isSet(d difference, to *judged) { d.compare(to, truth(d.before), truth(d.after)) }

func isUnset(d difference, to *judged) { d.compare(to, -truth(d.before), -truth(d.after)) }

func truth(v any) float64 {
	if v == true {
		return 1
	}
	return 0
}

// guard is for what holds something back: it may be added, and nothing else.
func guard(d difference, to *judged) {
	switch {
	case d.before == nil:
		to.narrow("guard", "gained %s", d.name())
	case d.after == nil:
		to.widen("guard", "lost %s, which was %s", d.name(), Value(d.before))
	default:
		before, after := values(d.before, d.after)
		to.widen("guard", "changed %s from %s to %s", d.name(), before, after)
	}
}

// granted is for what is a permission where it is there.
func granted(d difference, to *judged) {
	if d.after == nil {
		to.narrow("field", "lost %s", d.name())
		return
	}
	unknown(d, to)
}

// ofWrite is for fields of a tool that was a write tool, and is. Of any other it counts what has become of its effect.
func ofWrite(j judgement) judgement {
	return func(d difference, to *judged) {
		for _, root := range d.roots {
			tools, _ := root["tools"].(map[string]any)
			tool, _ := tools[d.path[1]].(map[string]any)
			if tool["effect"] != spec.EffectWrite {
				return
			}
		}
		j(d, to)
	}
}

// effect is for the effect of a tool. What is not declared is denied.
func effect(d difference, to *judged) {
	tool := d.path[1]
	before, _ := d.before.(string)
	after, _ := d.after.(string)
	before, after = cmp.Or(before, spec.EffectDenied), cmp.Or(after, spec.EffectDenied)
	switch {
	case before == after:
	case before == spec.EffectDenied && after == spec.EffectRead:
		to.widen("effect", "opened the tool %s, which was denied: it is called without an approval", tool)
	case before == spec.EffectDenied && after == spec.EffectWrite:
		to.widen("effect", "opened the tool %s, which was denied: each call needs an approval", tool)
	case before == spec.EffectWrite && after == spec.EffectRead:
		to.widen("effect", "changed the tool %s from write to read: it is called without an approval", tool)
	case after == spec.EffectDenied:
		to.narrow("effect", "closed the tool %s", tool)
	case before == spec.EffectRead && after == spec.EffectWrite:
		to.narrow("effect", "changed the tool %s from read to write: each call needs an approval", tool)
	default:
		unknown(d, to)
	}
}

// gained is for lists of which each item permits something, and lost for those of which each item holds something back.
func gained(d difference, to *judged) { d.items(to, true, nil) }

func lost(d difference, to *judged) { d.items(to, false, nil) }

// globs is for lists of globs, of which each permits the files that it matches.
func globs(d difference, to *judged) { d.items(to, true, covered) }

func (d difference) items(to *judged, permits bool, covered func(item string, by []string) bool) {
	before, beforeOK := texts(d.before)
	after, afterOK := texts(d.after)
	if !beforeOK || !afterOK {
		unknown(d, to)
		return
	}
	note := func(wider bool, format, item string) {
		if wider {
			to.widen("list", format, item, d.name())
		} else {
			to.narrow("list", format, item, d.name())
		}
	}
	for _, item := range after {
		if !slices.Contains(before, item) && (covered == nil || !covered(item, before)) {
			note(permits, "gained %s in %s", item)
		}
	}
	for _, item := range before {
		if !slices.Contains(after, item) && (covered == nil || !covered(item, after)) {
			note(!permits, "lost %s in %s", item)
		}
	}
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i, item := range list {
		text, isText := item.(string)
		ok = ok && isText
		out[i] = text
	}
	return out, ok || v == nil
}

// covered reports whether all that a glob matches is surely matched by one of the others, of which those that end with /**
// after a plain folder can be told, and ** itself.
func covered(glob string, by []string) bool {
	return slices.ContainsFunc(by, func(wide string) bool {
		folder, ok := strings.CutSuffix(wide, "**")
		return ok && (folder == "" || strings.HasSuffix(folder, "/")) && !strings.ContainsAny(folder, `*?[]{}\`) && strings.HasPrefix(glob, folder)
	})
}

// parameters are those of models that say how an answer is made, and permit nothing.
var parameters = []string{
	"frequency_penalty", "max_completion_tokens", "max_tokens", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_batch", "num_ctx", "num_gpu",
	"num_keep", "num_predict", "num_thread", "presence_penalty", "reasoning_effort", "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature",
	"tfs_z", "think", "top_k", "top_p", "typical_p",
}

// parameter is for what is passed to a provider as it is.
func parameter(d difference, to *judged) {
	if !slices.Contains(parameters, d.path[1]) {
		unknown(d, to)
	}
}

// isolation is for what a process must be shut in by: parts with + between them.
func isolation(d difference, to *judged) {
	split := func(v any) []string {
		text, _ := v.(string)
		return strings.FieldsFunc(text, func(r rune) bool { return r == '+' })
	}
	before, after := split(d.before), split(d.after)
	for _, part := range before {
		if !slices.Contains(after, part) {
			to.widen("guard", "lost %s in %s", part, d.name())
		}
	}
	for _, part := range after {
		if !slices.Contains(before, part) {
			to.narrow("guard", "gained %s in %s", part, d.name())
		}
	}
}

// addedKind notes what a resource permits by being there.
func (x *comparison) addedKind(r spec.Resource) {
	switch r.Kind {
	case spec.KindAction, spec.KindKnowledgeSource, spec.KindModel, spec.KindPersona, spec.KindPolicy, spec.KindPrompt:
		// An Action is told of by itself, a Policy rule by rule, and the others do nothing until an agent has them.
	case spec.KindEvaluation:
		x.narrowed.add(r.Ref, "guard", "joined the fleet")
	case spec.KindToolServer:
		s := x.after.Servers[r.Name]
		if s != nil && s.Spec.URL != "" {
			x.widened.add(r.Ref, "connection", "joined the fleet, at %s", Value(s.Spec.URL))
			return
		}
		var command []string
		if s != nil {
			command = s.Spec.Command
		}
		x.widened.add(r.Ref, "connection", "joined the fleet, with the command %s", Value(strings.Join(command, " ")))
	case spec.KindTrigger:
		for _, ref := range r.DependsOn {
			if ref.Kind == spec.KindAgent {
				x.widened.add(r.Ref, "trigger", "joined the fleet, and starts runs of %s", ref.Name)
				return
			}
		}
		x.widened.add(r.Ref, "trigger", "joined the fleet")
	default:
		x.widened.add(r.Ref, "resource", "joined the fleet")
	}
}

// removedKind notes what the absence of a resource permits.
func (x *comparison) removedKind(r spec.Resource) {
	switch r.Kind {
	case spec.KindAction, spec.KindPersona, spec.KindPolicy, spec.KindPrompt, spec.KindSkill, spec.KindModel:
	case spec.KindToolServer, spec.KindTrigger, spec.KindKnowledgeSource, spec.KindSkillSource, spec.KindWorkflow:
		x.narrowed.add(r.Ref, "resource", "left the fleet")
	default:
		x.widened.add(r.Ref, "guard", "left the fleet")
	}
}
