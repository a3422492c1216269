package spec

import (
	"regexp"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// stepPlaceholder is `{{ parameter }}` or `{{ steps.NAME }}`.
var stepPlaceholder = regexp.MustCompile(`\{\{[ \t]*((?:steps\.)?[A-Za-z_][A-Za-z0-9_-]*)[ \t]*\}\}`)

func (l *loader) checkWorkflows() {
	for _, name := range names(l.workflows) {
		e := l.workflows[name]
		w, n := e.written, e.spec
		steps := map[string]int{}
		for i, s := range w.Steps {
			if first, ok := steps[s.Name]; ok && s.Name != "" {
				l.error(n.at("steps", i, "name"), "rename or remove one of them", "two steps have the name %q: also at %s", s.Name, n.at("steps", first, "name").place())
				continue
			}
			steps[s.Name] = i
		}
		var depends []Ref
		for i, s := range w.Steps {
			at := n.at("steps", i)
			if s.Agent != "" && known(l, at.at("agent"), KindAgent, s.Agent, l.agents) {
				depends = append(depends, Ref{KindAgent, s.Agent})
			}
			for j, need := range s.Needs {
				if l.once(at.at("needs", j), "step", s.Needs[:j], need) && !contains(steps, need) {
					l.error(at.at("needs", j), near.Hint(need, names(steps), "the workflow has no such step"), "unknown step %q", need)
				}
			}
			l.condition(stepsLanguage, at.at("when"), "when", s.When)
			l.stepTask(at.at("task"), w, s)
			if s.Join == "any" && len(s.Needs) < 2 {
				l.warn(at.at("join"), "leave it out", "join: any says nothing for a step that needs fewer than two")
			}
		}
		l.unreachable(e, steps)
		if w.Output != "" && !contains(steps, w.Output) {
			l.error(n.at("output"), near.Hint(w.Output, names(steps), "the workflow has no such step"), "unknown step %q", w.Output)
		}
		l.answer(e)
		l.other(e.document, w, depends...)
	}
}

func contains(steps map[string]int, name string) bool { _, ok := steps[name]; return ok }

// stepTask checks what a step's task is filled in with.
func (l *loader) stepTask(n *node, w WorkflowSpec, s WorkflowStep) {
	for _, at := range stepPlaceholder.FindAllStringSubmatchIndex(s.Task, -1) {
		name, place := s.Task[at[2]:at[3]], textAt(n, s.Task, at[0])
		if step, ok := strings.CutPrefix(name, "steps."); ok {
			if !slices.Contains(s.Needs, step) {
				l.errorAt(place, near.Hint(step, s.Needs, "add it to needs"), "the step does not need %q, whose answer the task holds", step)
			}
		} else if _, ok := w.Parameters[name]; !ok {
			l.errorAt(place, near.Hint(name, names(w.Parameters), "declare it under parameters"), "the task uses the parameter %q, which is not declared", name)
		}
	}
}

// unreachable reports the steps that can never start: those that wait for each other, those whose condition is always false,
// and those that need one of them.
func (l *loader) unreachable(e *entry[WorkflowSpec], steps map[string]int) {
	edges, dead := map[string][]string{}, map[string]string{}
	for _, s := range e.written.Steps {
		edges[s.Name] = s.Needs
		if strings.TrimSpace(s.When) == "false" {
			dead[s.Name] = "its condition is always false"
		}
	}
	for _, way := range cycles(edges) {
		for _, name := range way {
			if dead[name] == "" {
				dead[name] = "it waits for itself: " + strings.Join(way, " -> ")
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, s := range e.written.Steps {
			if dead[s.Name] != "" || len(s.Needs) == 0 {
				continue
			}
			lost := slices.DeleteFunc(slices.Clone(s.Needs), func(need string) bool { return dead[need] == "" })
			if len(lost) == len(s.Needs) || len(lost) > 0 && s.Join != "any" {
				dead[s.Name], changed = "it needs "+lost[0]+", which can never start", true
			}
		}
	}
	for name, i := range steps {
		if dead[name] != "" {
			l.error(e.spec.at("steps", i), "mend needs or when, or remove the step", "step %q can never start: %s", name, dead[name])
		}
	}
}

// answer reports a workflow of which nobody can say what its answer is.
func (l *loader) answer(e *entry[WorkflowSpec]) {
	if e.written.Output != "" {
		return
	}
	var last []string
	for _, s := range e.written.Steps {
		if !slices.ContainsFunc(e.written.Steps, func(other WorkflowStep) bool { return slices.Contains(other.Needs, s.Name) }) {
			last = append(last, s.Name)
		}
	}
	if len(last) > 1 {
		l.missing(e.document, e.spec, "write output: STEP", "the workflow ends with more than one step: %s", strings.Join(last, ", "))
	}
}
