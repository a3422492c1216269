package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/gateway"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// askModel asks the agent's model. The instructions, and the tools' descriptions and schemas, come from the host: an
// agent that names a tool it does not have is not offering it.
func (b *Broker) askModel(ctx context.Context, call Call, delta func(string)) (Reply, error) {
	var body plugins.ModelRequest
	if err := json.Unmarshal(call.Request.Body, &body); err != nil {
		return Reply{}, refuse("the body of the model request is malformed: %v", err)
	}
	roles := []string{plugins.RoleSystem, plugins.RoleUser, plugins.RoleAssistant, plugins.RoleTool}
	for i, message := range body.Messages {
		if !slices.Contains(roles, message.Role) {
			return Reply{}, refuse("message %d has the role %q: use system, user, assistant or tool", i, message.Role)
		}
	}
	if err := call.ownImages(body.Messages); err != nil {
		return Reply{}, err
	}
	if call.Agent.Model == nil {
		return Reply{}, refuse("agent %q has no model: name one in its spec", call.Agent.Name)
	}
	request := model.Request{Instructions: call.Agent.Instructions, Messages: body.Messages, OutputSchema: body.OutputSchema, Images: call.imagesOf(body.Messages)}
	if len(body.Tools) > 0 {
		offered, err := b.ToolList(ctx, call.Task.Revision, call.Agent)
		if err != nil {
			return Reply{}, err
		}
		for _, t := range offered {
			if slices.Contains(body.Tools, t.Name) {
				request.Tools = append(request.Tools, t)
			}
		}
	}
	var stream *secret.Stream
	if delta != nil {
		stream = b.opts.Redactor.Stream(delta)
		delta = stream.Write
	}
	got, decision, err := b.models.Ask(ctx, call.Agent.Model, gateway.Asking{
		Run: call.Task.Run, Agent: call.Agent, Task: call.Task.Text, Turn: call.Turn, Spent: call.Spent,
		Request: request,
	}, delta)
	b.hideIn(decision)
	if err != nil {
		err = modelError(ctx, call.Agent.Model, err)
		switch e := err.(type) {
		case *refusal:
			e.model = decision
		case *Unavailable:
			if decision.Costs() {
				e.Asked = decision
			}
		}
		return Reply{}, err
	}
	if stream != nil {
		stream.Close()
	}
	got.Text = b.opts.Redactor.Text(got.Text)
	for i := range got.Calls {
		use := &got.Calls[i]
		use.ID = fmt.Sprintf("call-%d-%d", call.N, i)
		use.Name = b.opts.Redactor.Text(use.Name)
		if use.Arguments, err = b.redactJSON(use.Arguments); err != nil {
			return Reply{}, refuse("the model asks for %s with arguments that are no JSON: %v", use.Name, err)
		}
	}
	reply, err := answer(got.ModelAnswer)
	if err != nil {
		return Reply{}, err
	}
	used := answeredBy(call.Agent.Model, decision).Spec.Price.Of(got.Used)
	reply.Answer.Usage, reply.Answer.Model = &used, decision
	return reply, nil
}

// answeredBy returns the model that a decision names, wherever it stands among those that answer for m.
func answeredBy(m *spec.Model, d *spec.ModelDecision) *spec.Model {
	if m.Name == d.Model {
		return m
	}
	for _, other := range m.Others {
		if found := answeredBy(other, d); found.Name == d.Model {
			return found
		}
	}
	return m
}

// hideIn takes secrets out of what a decision quotes.
func (b *Broker) hideIn(d *spec.ModelDecision) {
	for i := range d.Attempts {
		d.Attempts[i].Error = b.opts.Redactor.Text(d.Attempts[i].Error)
	}
	for i := range d.Repaired {
		d.Repaired[i] = b.opts.Redactor.Text(d.Repaired[i])
	}
}

// modelError is an error of a model as the run gets it.
func modelError(ctx context.Context, m *spec.Model, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case model.Later(err):
		var after time.Duration
		if e, ok := errors.AsType[*model.Error](err); ok {
			after = e.RetryAfter
		}
		name, why := m.Name, err
		if of, ok := errors.AsType[*model.AskError](err); ok { // The agent's own may have sent the question to another one.
			name, why = of.Model, of.Err
		}
		return &Unavailable{What: "model " + name, Err: why, After: after}
	}
	return refuse("%v", err)
}

// checkPin looks whether a model that is pinned is still the one that was. Another one is not asked, and people may mend that.
func (b *Broker) checkPin(ctx context.Context, m *spec.Model) error {
	var newest *spec.Lock
	if b.opts.Lock != nil {
		lock, known := b.opts.Lock()
		if known && lock == nil {
			return nil
		}
		newest = lock
	}
	err := b.opts.Models.CheckPin(ctx, m, newest)
	if mismatch, ok := errors.AsType[*spec.LockMismatch](err); ok {
		return &model.Error{Reason: model.Unavailable, Err: mismatch}
	}
	return err
}
