package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxSaid is how much of a line of an agent beneath is held back until it ends, in bytes.
const maxSaid = 4 << 10

// tellBeneath shows what an agent does that was given a task by another one: in whole lines with its name, since several may be
// at work at once, and further to the right the further down it is.
func (a *asking) tellBeneath(e reconciler.Event) {
	indent := strings.Repeat("  ", e.Task.Depth)
	line := func(format string, args ...any) {
		a.endLine()
		fmt.Fprintf(a.progress, "%s%s\n", indent, fmt.Sprintf(format, args...))
	}
	said := a.beneath[e.Task.Run]
	if e.Type == reconciler.Delta {
		lines := strings.Split(said+e.Text, "\n")
		said = lines[len(lines)-1]
		for _, text := range lines[:len(lines)-1] {
			line("%s: %s", e.Task.Agent, text)
		}
		if len(said) < maxSaid {
			if a.beneath == nil {
				a.beneath = map[spec.RunID]string{}
			}
			a.beneath[e.Task.Run] = said
			return
		}
	}
	delete(a.beneath, e.Task.Run)
	if strings.TrimSpace(said) != "" {
		line("%s: %s", e.Task.Agent, said)
	}
	switch e.Type {
	case reconciler.Asked:
		if e.Request.Kind == spec.RequestTool {
			line("· %s: %s", e.Task.Agent, toolCall(e.Request))
		}
	case reconciler.Proposed:
		line("· %s: %s: %s", e.Task.Agent, proposalName(*e.Proposal), e.Proposal.Title)
	case reconciler.RunRetrying:
		line("· %s: %v", e.Task.Agent, e.Err)
	case reconciler.RunWaiting:
		line("· %s: waits for %s", e.Task.Agent, e.Text)
	case reconciler.RunFinished:
		line("· %s: %s", e.Task.Agent, cmp.Or(whyEnded(*e.Outcome), "done"))
	}
}
