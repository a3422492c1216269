package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxSaid bounds what is shown of a model's last words, in bytes.
const maxSaid = 1 << 10

// done says what a run has done so far, in a few lines for people: how much was used, what became of each proposal and of each
// task for another agent, and what the model said last. It is empty where nothing was done.
func (s *state) done() string {
	var lines []string
	if s.turns > 0 || s.calls > 0 {
		line := fmt.Sprintf("Until then: %s and %s", plural(s.turns, "turn"), plural(s.calls, "tool call"))
		if s.usage != (spec.Usage{}) {
			line += ", " + usageText(s.usage)
		}
		lines = append(lines, line+".")
	}
	said := ""
	for _, x := range s.exchanges {
		switch {
		case x.proposal != nil && x.proposal.Kind == spec.ProposalDirect:
			lines = append(lines, fmt.Sprintf("Action %s was begun without a review: %s", x.proposal.Action, oneLine(x.proposal.Title, maxLine)))
		case x.proposal != nil:
			lines = append(lines, fmt.Sprintf("Proposal %s is %s: %s", x.proposal.Key, decision(x), oneLine(x.proposal.Title, maxLine)))
		case x.child != nil:
			lines = append(lines, fmt.Sprintf("Agent %s %s in run %s: %s", x.child.Agent, progress(x), x.child.Run, oneLine(x.child.Text, maxLine)))
		case x.request.Kind == spec.RequestModel && x.answer != nil:
			var body struct {
				Text string `json:"text"`
			}
			if json.Unmarshal(x.answer.Body, &body) == nil && strings.TrimSpace(body.Text) != "" {
				said = body.Text
			}
		}
	}
	if said != "" {
		lines = append(lines, "The model said last: "+oneLine(said, maxSaid))
	}
	return clip(strings.Join(lines, "\n"), 4*maxMessage)
}

// decision says what became of an exchange's proposal, in one word.
func decision(x *exchange) string {
	if x.answer == nil {
		return "open"
	}
	if state, _ := decided(x.answer); state != "" {
		return state
	}
	return "decided"
}

// decided reads the decision about a proposal from the answer that it made.
func decided(a *spec.Answer) (state, reason string) {
	var body struct {
		Structured struct {
			State  string `json:"state"`
			Reason string `json:"reason"`
		} `json:"structured"`
	}
	if json.Unmarshal(a.Body, &body) != nil {
		return "", a.Error
	}
	return oneLine(body.Structured.State, maxLane), body.Structured.Reason
}

// progress says how far another agent has come with a task.
func progress(x *exchange) string {
	switch {
	case x.answer == nil:
		return "had a task"
	case x.answer.Error != "":
		return "failed at a task"
	}
	return "did a task"
}

// escalate brings a run whose answer was refused before a person, where its agent says so: as a proposal that writes a report.
func (w *work) escalate(ctx context.Context, outcome *spec.Outcome) error {
	check := w.agent.CheckOf(w.state.task)
	if check == nil || check.Escalate == "" {
		return nil
	}
	x := w.state.refused
	call := Call{Task: w.state.task, Agent: w.agent, N: x.n, At: x.at, Request: x.request}
	reply, err := w.opts.Broker.Escalate(ctx, call, *outcome)
	if err != nil {
		return fmt.Errorf("report what was refused: %w", err)
	}
	told := reply.Answer
	if reply.Proposal != nil {
		if told, err = w.opts.Proposals.Open(ctx, *reply.Proposal); err != nil {
			return fmt.Errorf("open proposal %s: %w", reply.Proposal.Key, err)
		}
	}
	if told != nil {
		_, reason := decided(told)
		outcome.Done = strings.TrimSpace(outcome.Done + "\nNo proposal tells of it: " + oneLine(reason, maxSaid))
		return nil
	}
	outcome.Escalated = reply.Proposal.Key
	w.observe(Event{Type: Proposed, Task: w.state.task, N: x.n, Request: &x.request, Proposal: reply.Proposal})
	return nil
}

// usageText is what was used, for people.
func usageText(u spec.Usage) string {
	text := fmt.Sprintf("%d+%d tokens", u.Input, u.Output)
	if money := u.Money(); money != "" {
		text += " for " + money
	}
	return text
}
