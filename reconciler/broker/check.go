package broker

import (
	"encoding/json"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// check says whether an output is what the run must end with. One that passes all else may have a reviewer yet: the request
// then becomes that agent's task.
func (b *Broker) check(call Call) (Reply, error) {
	var body plugins.CheckRequest
	if err := json.Unmarshal(call.Request.Body, &body); err != nil {
		return Reply{}, refuse("the body of the check request is malformed: %v", err)
	}
	check := call.Agent.CheckOf(call.Task)
	if problem := check.Problem(body.Output); problem != nil {
		reply, err := answer(plugins.CheckAnswer{Problem: b.opts.Redactor.Text(problem.Text)})
		if reply.Answer != nil {
			reply.Answer.Rule = problem.Check
		}
		return reply, err
	}
	reviewer := check.Reviewer()
	if reviewer == "" {
		return answer(plugins.CheckAnswer{OK: true})
	}
	text, err := check.ReviewTask(call.Task.Text, body.Output)
	if err != nil {
		return Reply{}, refuse("the answer cannot be given to its reviewer: %v", err)
	}
	return Reply{Delegation: &spec.Delegation{Agent: reviewer, Text: text, Review: true}}, nil
}

// reviewed is the answer to a check, once the run of the reviewer has ended well. Its output is a verdict, and was checked to be
// one.
func reviewed(reviewer spec.AgentName, output string) (spec.Answer, error) {
	var verdict spec.Verdict
	if err := json.Unmarshal([]byte(output), &verdict); err != nil {
		return spec.Answer{}, err
	}
	if verdict.OK {
		verdict.Problem = ""
	}
	raw, err := plugins.Canonical(plugins.CheckAnswer(verdict))
	answer := spec.Answer{Body: raw}
	if !verdict.OK {
		answer.Rule = "agent " + string(reviewer)
	}
	return answer, err
}
