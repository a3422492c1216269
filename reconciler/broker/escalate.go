package broker

import (
	"fmt"
	"path"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxReported is the most that a report shows of one text, in bytes.
const maxReported = 64 << 10

// Escalate makes the proposal that brings a run whose answer was refused before a person: it writes a report at the path that
// the agent's output names. It is a change like any other to policy and to protected paths, but for the agent's own
// proposals.paths, which say what the agent may change. An answer means that there is nothing to propose, and says why.
func (b *Broker) Escalate(call Call, outcome spec.Outcome) (Reply, error) {
	reply, err := b.escalate(toolCall{Call: call}, outcome)
	if refused, ok := err.(*refusal); ok {
		return Reply{Answer: &spec.Answer{Error: b.opts.Redactor.Text(refused.message), Rule: refused.rule}}, nil
	}
	return reply, err
}

func (b *Broker) escalate(c toolCall, outcome spec.Outcome) (Reply, error) {
	to := c.Agent.CheckOf(c.Task).Escalate
	if b.protected(to) {
		return Reply{}, &refusal{rule: ruleProtected, message: fmt.Sprintf("path %q is protected (%s)", to, ruleProtected)}
	}
	policies, err := b.opts.Policies()
	if err != nil {
		return Reply{}, &Unavailable{What: "policies", Err: err}
	}
	decided := policy.DecideChange(policy.Change{Agent: string(c.Agent.Name), Paths: []string{to}}, policies)
	if decided.Decision == spec.DecisionDeny {
		return Reply{}, denied("change of "+to, decided)
	}
	content := b.opts.Redactor.Text(report(c, outcome))
	edits, err := b.realEdits(c, []proposedEdit{{Path: to, Content: &content}})
	if err != nil {
		return Reply{}, err
	}
	key, err := proposalKey(c.Agent.Name, spec.ProposalChange, []string{to})
	if err != nil {
		return Reply{}, err
	}
	return Reply{Proposal: &spec.Proposal{
		Key: key, Kind: spec.ProposalChange, Agent: c.Agent.Name, Run: c.Task.Run, Exchange: c.N, Base: c.Task.Revision,
		Title: oneLine(fmt.Sprintf("Agent %s needs a person: its answer was refused", c.Agent.Name), maxTitle),
		Body:  changeBody(c, content), Files: edits, At: c.At,
	}}, nil
}

// report tells a person what an agent was asked, and why its answer was refused.
func report(c toolCall, outcome spec.Outcome) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Agent %s needs a person\n\nIts answer was refused, and it could not mend it. Do what it was asked to do, or change the agent. Merge this to keep\n"+
		"the report in `%s`; reject it to hear no more of this agent until that file changes.\n\n", c.Agent.Name, path.Clean(c.Agent.CheckOf(c.Task).Escalate))
	fmt.Fprintf(&text, "Run %s on %s", c.Task.Run, c.Task.Revision)
	if c.Task.Trigger != "" {
		fmt.Fprintf(&text, ", started by trigger %s", c.Task.Trigger)
	}
	text.WriteString(".\n")
	for _, part := range []struct{ title, text string }{
		{"What it was asked", c.Task.Text}, {"Why its answer was refused", outcome.Message}, {"What it had answered last", outcome.Output},
		{"What it had done", outcome.Done},
	} {
		if strings.TrimSpace(part.text) != "" {
			fmt.Fprintf(&text, "\n## %s\n\n%s", part.title, quoted(part.text))
		}
	}
	return text.String()
}

// quoted is text of unknown origin as a block of Markdown that shows it as it is.
func quoted(text string) string {
	text = spec.Visible(text)
	if len(text) > maxReported {
		text = strings.ToValidUTF8(text[:maxReported], "") + "…"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}
