// Package plan computes the steps from what is observed to what is declared. It is a function of its arguments: no
// clock, no disk, no network, no log. The same inputs give the same steps in the same order.
package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// Observed is what runs and what is settled.
type Observed struct {
	// Agents are the agents that runs can be given to, by the digest they were started with.
	Agents map[spec.AgentName]spec.Digest
	// Settled are the actions that need nothing more: they have a receipt, or only a person can move them on.
	Settled map[spec.ActionID]bool
}

// Verb is what a step does.
type Verb string

// The verbs, in the order in which their steps are applied.
const (
	Stop    Verb = "stop"
	Replace Verb = "replace"
	Start   Verb = "start"
	Execute Verb = "execute"
)

var order = map[Verb]int{Stop: 0, Replace: 1, Start: 2, Execute: 3}

// Step is one thing to do.
type Step struct {
	Verb Verb `json:"verb"`
	// Ref is the resource concerned: an Agent, or an Action for execute.
	Ref spec.Ref `json:"ref"`
	// From is the digest that runs, for stop and replace; To is the declared one, for replace, start and execute.
	From spec.Digest `json:"from,omitempty"`
	To   spec.Digest `json:"to,omitempty"`
	// Why is one sentence for people.
	Why string `json:"why"`
}

// String is the step as `mainstay plan` prints it.
func (s Step) String() string { return fmt.Sprintf("%-8s%-32s %s", s.Verb, s.Ref, s.Why) }

// Diff returns the steps that make what is observed what fleet declares: agents stop before replacements and starts, and
// actions come last, each sorted by name. An agent whose digest is unchanged gets no step.
func Diff(observed Observed, fleet *spec.Fleet) []Step {
	var steps []Step
	known := 0
	for name, declared := range fleet.Agents {
		running, ok := observed.Agents[name]
		switch {
		case !ok:
			steps = append(steps, Step{Verb: Start, Ref: spec.Ref{Kind: spec.KindAgent, Name: string(name)}, To: declared.Digest,
				Why: "declared and not running"})
			continue
		case declared.Digest != running:
			steps = append(steps, Step{Verb: Replace, Ref: spec.Ref{Kind: spec.KindAgent, Name: string(name)}, From: running, To: declared.Digest,
				Why: fmt.Sprintf("digest %s becomes %s", running.Short(), declared.Digest.Short())})
		}
		known++
	}
	if known < len(observed.Agents) { // Mostly all that runs is declared, and there is no need to look for what is not.
		for name, running := range observed.Agents {
			if _, ok := fleet.Agents[name]; !ok {
				steps = append(steps, Step{Verb: Stop, Ref: spec.Ref{Kind: spec.KindAgent, Name: string(name)}, From: running, Why: "no longer declared"})
			}
		}
	}
	for id, action := range fleet.Actions {
		if !observed.Settled[id] {
			steps = append(steps, Step{Verb: Execute, Ref: spec.Ref{Kind: spec.KindAction, Name: string(id)}, To: action.Digest,
				Why: action.Spec.Summary})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(order[a.Verb], order[b.Verb]), cmp.Compare(a.Ref.Name, b.Ref.Name))
	})
	return steps
}
