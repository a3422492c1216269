package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// kindUndo tells the key of an undo apart from those of what agents propose, so that none of them takes its place.
const kindUndo = "undo"

// maxFailed bounds what is said of a failure in a proposal, in characters.
const maxFailed = 500

// Undone is a call that has taken effect, and that a call of another tool undoes.
type Undone struct {
	// Action is the id of the call, Spec what was called, and Result what its receipt holds; nil where it holds nothing.
	Action spec.ActionID
	Spec   spec.ActionSpec
	Result json.RawMessage
	// Failed says what failed after it, and At since when the undo is wanted. It expires that long after that.
	Failed  string
	At      time.Time
	Expires time.Duration
	// After is an Action that comes first, or "".
	After spec.ActionID
}

// Undo makes the proposal of the Action that undoes a call, as a fleet declares it. It is an Action like any other to policy, to
// whoever reviews it and to whoever executes it, and no rule lets it through without a review. The tool is the declared one,
// whatever the call and its result hold. An error says why no undo can be offered.
func (b *Broker) Undo(fleet *spec.Fleet, u Undone) (spec.Proposal, error) {
	declared, t, ok := fleet.UndoOf(u.Spec.Server, u.Spec.Tool)
	if !ok {
		return spec.Proposal{}, fmt.Errorf("%s of %s declares no undo any more", u.Spec.Tool, u.Spec.Server)
	}
	if u.Action.IsUndo() || u.Spec.Evidence.Undoes != "" {
		return spec.Proposal{}, errors.New("it is an undo itself")
	}
	_, n, ok := u.Action.Origin()
	if !ok {
		return spec.Proposal{}, fmt.Errorf("%q is not the id of an action", u.Action)
	}
	made, err := declared.Render(u.Spec.Arguments, u.Result)
	if err != nil {
		return spec.Proposal{}, fmt.Errorf("the arguments of %s cannot be made of the call and its receipt: %w", t.FullName(), err)
	}
	u.Failed = oneLine(b.opts.Redactor.Text(spec.Visible(u.Failed)), maxFailed)
	from := u.Spec.Evidence
	c := toolCall{Call: Call{
		Task: spec.Task{Run: from.Run, Agent: from.Agent, Revision: from.Revision}, Agent: &spec.Agent{Name: from.Agent},
		N: spec.UndoExchange(n), At: u.At.UTC(), Expires: u.Expires, After: u.After,
	}, name: t.FullName(), undone: &u}
	if c.raw, err = plugins.Canonical(made); err != nil {
		return spec.Proposal{}, fmt.Errorf("the arguments of %s cannot be kept: %w", c.name, err)
	}
	switch {
	case len(c.raw) > tool.MaxArguments:
		return spec.Proposal{}, fmt.Errorf("the arguments of %s are %d bytes, at most %d are allowed", c.name, len(c.raw), tool.MaxArguments)
	case strings.Contains(string(c.raw), Redacted):
		return spec.Proposal{}, fmt.Errorf("the arguments of %s need what was taken out of the receipt as a secret", c.name)
	}
	value, err := decodeExact(c.raw)
	if err != nil {
		return spec.Proposal{}, err
	}
	if c.arguments, ok = value.(map[string]any); !ok {
		c.arguments = map[string]any{}
	}
	if err := t.Fits(c.arguments); err != nil {
		return spec.Proposal{}, fmt.Errorf("the arguments are not what %s takes as %s pins it: %w", c.name, t.Server.LockFile, err)
	}
	policies, err := b.opts.Policies()
	if err != nil {
		return spec.Proposal{}, err
	}
	c.decision = decideCall(policy.Call{Agent: string(from.Agent), Server: t.Server.Name, Tool: t.Name, Effect: t.Effect, Arguments: c.arguments}, policies)
	if c.decision.Decision == spec.DecisionDeny {
		return spec.Proposal{}, denied("call of "+c.name, c.decision)
	}
	reply, err := b.proposeAction(c, t)
	if err != nil {
		return spec.Proposal{}, err
	}
	return *reply.Proposal, nil
}
