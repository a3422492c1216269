package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// toolCall is a tool call whose tool is known and about which policy has decided.
type toolCall struct {
	Call
	name string
	raw  json.RawMessage // the arguments as the agent gave them
	// arguments are JSON values whose numbers are json.Number, so that a server gets every digit.
	arguments map[string]any
	decision  policy.Decision
	// undone is what the call undoes, where Mainstay makes it and no agent.
	undone *Undone
}

// callTool serves a tool call, or turns it into a proposal.
func (b *Broker) callTool(ctx context.Context, call Call) (Reply, error) {
	var body plugins.ToolCall
	if err := json.Unmarshal(call.Request.Body, &body); err != nil {
		return Reply{}, refuse("the body of the tool request is malformed: %v", err)
	}
	c := toolCall{Call: call, name: body.Name, raw: body.Arguments}
	if len(c.raw) == 0 || string(c.raw) == "null" {
		c.raw = json.RawMessage("{}")
	}
	value, err := decodeExact(c.raw)
	if err != nil {
		return Reply{}, refuse("the arguments of %s are not JSON: %v", c.name, err)
	}
	var ok bool
	if c.arguments, ok = value.(map[string]any); !ok {
		return Reply{}, refuse("the arguments of %s are not a JSON object", c.name)
	}

	// What a built-in tool takes is bounded by the message and by its own limits.
	for _, t := range builtins {
		if t.Name == c.name && t.given(call.Agent) {
			if err := b.decide(&c, t.server, t.name, t.effect); err != nil {
				return Reply{}, err
			}
			return b.withRule(c, func() (Reply, error) { return b.callBuiltin(ctx, c) })
		}
	}
	if to, ok := delegate(call.Agent, c.name); ok {
		if err := b.decide(&c, spec.AgentsServer, string(to), spec.EffectRead); err != nil {
			return Reply{}, err
		}
		return b.withRule(c, func() (Reply, error) { return c.delegate(to) })
	}
	for _, t := range call.Agent.Tools {
		if t.FullName() == c.name {
			if len(c.raw) > tool.MaxArguments {
				return Reply{}, refuse("the arguments of %s are %d bytes, at most %d are allowed", c.name, len(c.raw), tool.MaxArguments)
			}
			if begun, err := b.begun(ctx, c, t); begun != nil || err != nil {
				return Reply{Proposal: begun}, err
			}
			if err := b.decide(&c, t.Server.Name, t.Name, t.Effect); err != nil {
				return Reply{}, err
			}
			return b.withRule(c, func() (Reply, error) {
				if t.Effect == spec.EffectWrite {
					if err := b.fitsSchema(ctx, c, t); err != nil {
						return Reply{}, err
					}
					return b.proposeAction(c, t)
				}
				return b.callServer(ctx, c, t)
			})
		}
	}
	decided := policy.Decide(policy.Call{Agent: string(call.Agent.Name), Tool: c.name}, nil)
	return Reply{}, &refusal{
		message: fmt.Sprintf("tool %q is not declared for agent %q", c.name, call.Agent.Name),
		rule:    decided.Rule,
	}
}

// fitsSchema refuses arguments that the tool does not take, before people are asked about them: what a model writes was checked before,
// and what an agent's own code makes up was not. Where the server cannot be asked the call goes on, for it is asked before the call is
// made.
func (b *Broker) fitsSchema(ctx context.Context, c toolCall, t spec.Tool) error {
	known, err := b.opts.Tools.Schemas(ctx, t.Server)
	if err != nil {
		return ctx.Err()
	}
	if faults := spec.SchemaFaults(known[t.Name].InputSchema, c.raw); len(faults) > 0 {
		return refuse("the arguments of %s do not fit its schema: %s", c.name, strings.Join(faults, "; "))
	}
	return nil
}

// decide asks policy. The error is a refusal where the call is denied.
func (b *Broker) decide(c *toolCall, server, name, effect string) error {
	policies, err := b.opts.Policies()
	if err != nil {
		return &Unavailable{What: "policies", Err: err}
	}
	c.decision = decideCall(policy.Call{
		Agent: string(c.Agent.Name), Server: server, Tool: name, Effect: effect, Arguments: c.arguments, Sources: c.Sources,
	}, policies)
	if c.decision.Decision == spec.DecisionDeny {
		return denied(fmt.Sprintf("call of %s", c.name), c.decision)
	}
	return nil
}

func decideCall(call policy.Call, policies []*spec.Policy) policy.Decision {
	d := policy.Decide(call, policies)
	if d.Decision == spec.DecisionPropose && call.Effect == spec.EffectRead {
		// An Action names a write tool, so there is nothing that a reviewer could merge.
		d.Decision = spec.DecisionDeny
		d.Reason += " (only write tools can be proposed, so the call of a read tool is denied)"
	}
	return d
}

func denied(what string, d policy.Decision) error {
	message := fmt.Sprintf("%s is denied by %s", what, d.Rule)
	if d.Reason != "" {
		message += ": " + d.Reason
	}
	return &refusal{message: message, rule: d.Rule}
}

// withRule notes in the answer, also in a refusal, which rule let the call through.
func (b *Broker) withRule(c toolCall, serve func() (Reply, error)) (Reply, error) {
	reply, err := serve()
	if reply.Answer != nil {
		reply.Answer.Rule = c.decision.Rule
	}
	if reply.Proposal != nil && reply.Rule == "" {
		reply.Rule = c.decision.Rule
	}
	if refused, ok := err.(*refusal); ok && refused.rule == "" {
		refused.rule = c.decision.Rule
	}
	return reply, err
}

// callServer calls a read tool.
func (b *Broker) callServer(ctx context.Context, c toolCall, t spec.Tool) (Reply, error) {
	if b.opts.Suspended != nil {
		if why := b.opts.Suspended(t.Server.Name); why != "" {
			return Reply{}, refuse("%s is not called now: %s", c.name, why)
		}
	}
	got, err := b.opts.Tools.Call(ctx, t.Server, t.Name, c.arguments, tool.CallOptions{})
	switch {
	case err != nil && ctx.Err() != nil:
		return Reply{}, ctx.Err()
	case errors.Is(err, tool.ErrNotSent):
		return Reply{}, &Unavailable{What: "tool server " + t.Server.Name, Err: err}
	case err != nil:
		return Reply{}, refuse("%v", err)
	}
	result := plugins.ToolResult{Text: got.Text, IsError: got.IsError}
	if got.Structured != nil {
		if result.Structured, err = plugins.Canonical(got.Structured); err != nil {
			return Reply{}, refuse("the structured result of %s cannot be kept: %v", c.name, err)
		}
	}
	var images []spec.Image
	result.Images, images = c.keepImages(&result.Text, got.Images)
	reply, err := b.result(result)
	if reply.Answer != nil {
		reply.Answer.Images = images
	}
	return reply, err
}

// result answers a tool call.
func (b *Broker) result(result plugins.ToolResult) (Reply, error) {
	var err error
	result.Text = b.opts.Redactor.Text(result.Text)
	if result.Structured, err = b.redactJSON(result.Structured); err != nil {
		return Reply{}, err
	}
	return answer(result)
}

// structured answers a tool call with a JSON value alone.
func (b *Broker) structured(value any) (Reply, error) {
	raw, err := plugins.Canonical(value)
	if err != nil {
		return Reply{}, err
	}
	return b.result(plugins.ToolResult{Structured: raw})
}

func (b *Broker) callBuiltin(ctx context.Context, c toolCall) (Reply, error) {
	switch c.name {
	case SearchKnowledge, OpenKnowledge, GraphKnowledge:
		if b.opts.Knowledge == nil {
			return Reply{}, refuse("%s cannot be called: no knowledge is kept here", c.name)
		}
		switch c.name {
		case SearchKnowledge:
			return b.searchKnowledge(ctx, c)
		case GraphKnowledge:
			return b.askGraph(ctx, c)
		}
		return b.openKnowledge(ctx, c)
	case ListFiles:
		return b.listFiles(c)
	case ReadFile:
		return b.readFile(c)
	case ReadSkill:
		return b.readSkill(c)
	default:
		return b.proposeChange(c)
	}
}

// decode reads the arguments into a struct; a name that is not one of its fields is a refusal.
func (c toolCall) decode(into any) error {
	decoder := json.NewDecoder(bytes.NewReader(c.raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse("the arguments of %s do not fit: %v", c.name, err)
	}
	return nil
}

// decodeExact decodes one JSON value and keeps every digit of its numbers.
func decodeExact(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return value, nil
}
