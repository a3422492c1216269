package broker

import (
	"context"
	"encoding/json"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxDirect bounds the file of a call without a review, in bytes: the ledger and the run's summary keep it.
const maxDirect = 64 << 10

// direct turns a call into one that is executed without a review.
func (c toolCall) direct(p spec.Proposal, call *spec.DirectCall) (Reply, error) {
	if len(call.File) > maxDirect {
		return Reply{}, refuse("the arguments of %s are too large for a call without a review: with all that the ledger keeps of it they are %d bytes, at most %d are allowed",
			c.name, len(call.File), maxDirect)
	}
	p.Kind, p.Agent, p.Run, p.Exchange, p.Base = spec.ProposalDirect, c.Agent.Name, c.Task.Run, c.N, c.Task.Revision
	p.Action, p.At, p.Direct = c.actionID(), c.At, call
	return Reply{Proposal: &p, Rule: call.Rule}, nil
}

// begun returns the call without a review that a request has become already, or nil. It is finished as it was begun, whatever
// the policies say by now: its effect may have happened.
func (b *Broker) begun(ctx context.Context, c toolCall, t spec.Tool) (*spec.Proposal, error) {
	if !c.Restarted || t.Effect != spec.EffectWrite || b.opts.Begun == nil {
		return nil, nil
	}
	call, err := b.opts.Begun(ctx, c.actionID())
	if err != nil {
		return nil, &Unavailable{What: "the ledger, which knows whether " + c.name + " was called", Err: err}
	}
	if call == nil {
		return nil, nil
	}
	reply, err := c.direct(spec.Proposal{Title: b.summary(c, t)}, call)
	return reply.Proposal, err
}

// Executed returns the answer that an agent gets to a call without a review. Result is what the tool returned as the ledger
// keeps it: its structured result, or else its text as a JSON string. Failed says that it was not done as it was asked for, and
// message why; where it was done and nothing was returned, message is what a person has found out.
func (b *Broker) Executed(p spec.Proposal, failed bool, result json.RawMessage, message string) spec.Answer {
	out := plugins.ToolResult{IsError: failed}
	var text string
	if json.Unmarshal(result, &text) == nil {
		out.Text = text
	} else {
		out.Structured = result
	}
	if failed || len(result) == 0 {
		out.Text = message
	}
	reply, err := b.result(out)
	if err != nil {
		return spec.Answer{Error: p.Title + ": what the tool returned cannot be read: " + b.opts.Redactor.Error(err).Error(), Rule: p.Direct.Rule}
	}
	reply.Answer.Rule = p.Direct.Rule
	return *reply.Answer
}
