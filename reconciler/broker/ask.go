package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/plugins"
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
	if call.Agent.Model == nil {
		return Reply{}, refuse("agent %q has no model: name one in its spec", call.Agent.Name)
	}
	if err := b.checkModel(ctx, call.Agent.Model); err != nil {
		return Reply{}, err
	}
	request := model.Request{
		Instructions: call.Agent.Instructions,
		Messages:     fit(call.Agent.Model, call.Agent.Instructions, body.Messages),
		OutputSchema: body.OutputSchema,
	}
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
	got, err := b.opts.Models.Chat(ctx, call.Agent.Model, request, delta)
	if err != nil {
		return Reply{}, modelError(ctx, call.Agent.Model, err)
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
	used := call.Agent.Model.Spec.Price.Of(got.Used)
	reply.Answer.Usage = &used
	return reply, nil
}

// modelError is an error of a model as the run gets it.
func modelError(ctx context.Context, m *spec.Model, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case model.Later(err):
		return &Unavailable{What: "model " + m.Name, Err: errors.Unwrap(err)}
	}
	return refuse("%v", err)
}

// checkModel looks whether a model that is pinned is still the one that was. Another one is not asked.
func (b *Broker) checkModel(ctx context.Context, m *spec.Model) error {
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
		return &Unavailable{What: "model " + m.Name, Err: mismatch}
	}
	if err != nil {
		return modelError(ctx, m, err)
	}
	return nil
}
