package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxTask is the longest task that an agent gives to another one, in bytes.
const maxTask = 64 << 10

// toolOf is the name of the tool that gives a task to an agent.
func toolOf(agent spec.AgentName) string { return spec.AgentsServer + "__" + string(agent) }

// delegate returns the agent that a tool gives a task to, if the caller may.
func delegate(caller *spec.Agent, tool string) (spec.AgentName, bool) {
	to, ok := strings.CutPrefix(tool, spec.AgentsServer+"__")
	return spec.AgentName(to), ok && slices.Contains(caller.Delegates, spec.AgentName(to))
}

var taskSchema = json.RawMessage(`{"type":"object","properties":{"task":{"type":"string",` +
	`"description":"What it is to do, with all that it needs to know: it sees nothing of this conversation."}},"required":["task"],"additionalProperties":false}`)

// delegates are the tools that give tasks to other agents.
func (b *Broker) delegates(ctx context.Context, revision spec.Revision, agent *spec.Agent) ([]Tool, error) {
	var list []Tool
	for _, name := range agent.Delegates {
		description := ""
		if b.opts.Describe != nil {
			var err error
			if description, err = b.opts.Describe(ctx, revision, name); err != nil {
				return nil, &Unavailable{What: "agent " + string(name), Err: err}
			}
		}
		tool := delegateTool(name, description)
		tool.Description = b.opts.Redactor.Text(tool.Description)
		list = append(list, tool)
	}
	return list, nil
}

func delegateTool(name spec.AgentName, description string) Tool {
	if description != "" {
		description = ": " + description
	}
	return Tool{
		Name:        toolOf(name),
		Description: fmt.Sprintf("Give a task to the agent %s%s The answer is what it says in the end.", name, sentence(description)),
		InputSchema: taskSchema,
	}
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	if text = strings.TrimSpace(text); strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// delegate makes a task for another agent of a tool call. The effect of the tool is read, because to ask another agent changes
// nothing: what that one may do is decided when it asks, about itself. A policy may deny it, by server and tool.
func (c toolCall) delegate(to spec.AgentName) (Reply, error) {
	var args struct {
		Task string `json:"task"`
	}
	if err := c.decode(&args); err != nil {
		return Reply{}, err
	}
	if strings.TrimSpace(args.Task) == "" {
		return Reply{}, refuse("the task for %s is empty: say what it is to do", to)
	}
	if len(args.Task) > maxTask {
		return Reply{}, refuse("the task for %s is %d bytes long, at most %d are allowed", to, len(args.Task), maxTask)
	}
	return Reply{Delegation: &spec.Delegation{Agent: to, Text: args.Task, Rule: c.decision.Rule}}, nil
}

// Concluded is the answer to a request that has become another agent's task, once its run has ended: the result of a tool is what
// the agent said, and it has failed where the run has. All of it was free of secrets before.
func Concluded(request spec.Request, child spec.Task, outcome spec.Outcome) spec.Answer {
	if outcome.Phase != spec.PhaseSucceeded {
		return spec.Answer{Error: fmt.Sprintf("agent %s did not do the task (run %s): %s: %s", child.Agent, child.Run, outcome.Reason, outcome.Message)}
	}
	var answer spec.Answer
	var err error
	if request.Kind == spec.RequestCheck {
		answer, err = reviewed(child.Agent, outcome.Output)
	} else {
		answer.Body, err = plugins.Canonical(plugins.ToolResult{Text: outcome.Output})
	}
	if err != nil {
		return spec.Answer{Error: fmt.Sprintf("the answer of agent %s cannot be passed on: %v", child.Agent, err)}
	}
	return answer
}
