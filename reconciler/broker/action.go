package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

const maxSummary = 200 // characters

// actionFile is an Action in its written form.
type actionFile struct {
	APIVersion string          `json:"apiVersion"`
	Kind       spec.Kind       `json:"kind"`
	Metadata   spec.Metadata   `json:"metadata"`
	Spec       spec.ActionSpec `json:"spec"`
}

// actionID is the id of the Action that a call becomes.
func (c toolCall) actionID() spec.ActionID {
	return spec.ActionID(fmt.Sprintf("%s-%s-%d", c.Agent.Name, c.Task.Run, c.N))
}

// proposeAction turns a call of a write tool into a proposal: one new file, which names exactly this call. The same call
// always makes the same bytes. Where a rule lets the call through without a review the proposal is one of kind direct.
func (b *Broker) proposeAction(c toolCall, t spec.Tool) (Reply, error) {
	if c.Expires <= 0 {
		return Reply{}, fmt.Errorf("propose call of %s: no time is set in which the action expires", c.name)
	}
	if at, ok := inexact(c.arguments, "arguments"); ok {
		return Reply{}, refuse("%s of %s is a number with more digits than an Action can carry: pass it as a string", at, c.name)
	}
	written, err := plugins.Canonical(c.arguments)
	if err != nil {
		return Reply{}, refuse("the arguments of %s cannot be kept: %v", c.name, err)
	}
	clean, err := b.redactJSON(written)
	if err != nil {
		return Reply{}, err
	}
	if !bytes.Equal(written, clean) {
		return Reply{}, refuse("the arguments of %s hold a secret: an Action is read by people, so leave it out", c.name)
	}
	target := targetOf(t, c.arguments)
	key, err := proposalKey(c.Agent.Name, spec.ProposalAction, target)
	if c.undone != nil {
		key, err = proposalKey(c.Agent.Name, kindUndo, c.undone.Action)
	}
	if err != nil {
		return Reply{}, err
	}
	direct := c.decision.Decision == spec.DecisionAllow && c.undone == nil // An undo is always for a person.
	if direct && b.opts.Begun == nil {
		return Reply{}, refuse("%s lets %s be called without a review, and nothing is executed here", c.decision.Rule, c.name)
	}
	summary := b.summary(c, t)
	precondition, err := renderPrecondition(c, t)
	if err != nil {
		return Reply{}, err
	}
	id := c.actionID()
	evidence := spec.Evidence{Agent: c.Agent.Name, Run: c.Task.Run, Exchange: c.N, Revision: c.Task.Revision, Key: key}
	evidence.Sources = c.Sources
	if c.undone != nil {
		evidence.Undoes, evidence.Failed = c.undone.Action, c.undone.Failed
	}
	ends := c.At.Add(c.Expires).UTC().Truncate(time.Second)
	expires := ends.Format(time.RFC3339)
	content, err := writeYAML(actionFile{
		APIVersion: spec.APIVersion, Kind: spec.KindAction, Metadata: spec.Metadata{Name: string(id)},
		Spec: spec.ActionSpec{
			Summary: summary, Server: t.Server.Name, Tool: t.Name, Arguments: c.arguments,
			Evidence: evidence, Precondition: precondition, After: after(c.After), Expires: expires,
		},
	})
	if err != nil {
		return Reply{}, refuse("the arguments of %s cannot be written into an Action: %v", c.name, err)
	}
	if direct {
		return c.direct(spec.Proposal{Key: key, Title: summary, Expires: ends},
			&spec.DirectCall{Rule: c.decision.Rule, File: "# " + summary + "\n" + content})
	}
	comment := "# " + summary + "\n# Merging this file approves this one call. It is made once, before it expires.\n"
	return Reply{Proposal: &spec.Proposal{
		Key: key, Kind: spec.ProposalAction, Agent: c.Agent.Name, Run: c.Task.Run, Exchange: c.N, Base: c.Task.Revision,
		Title: summary, Body: actionBody(c, t, precondition, expires), Action: id, At: c.At, Expires: ends,
		Files: []spec.FileEdit{{Path: path.Join(b.opts.Root, "actions", string(id)+".yaml"), Content: comment + content}},
	}}, nil
}

// summary is the sentence a reviewer reads: the tool's own, or a plain one where it has none or cannot be rendered.
func (b *Broker) summary(c toolCall, t spec.Tool) string {
	if c.undone != nil {
		undone := *c.undone
		c.undone = nil
		return oneLine(fmt.Sprintf("Undo what %s did: %s", undone.Action, b.summary(c, t)), maxSummary)
	}
	if t.Summary != "" {
		rendered, err := spec.RenderValue(t.Summary, map[string]any{"arguments": c.arguments})
		if text, ok := rendered.(string); ok && err == nil && oneLine(text, maxSummary) != "" {
			return oneLine(b.opts.Redactor.Text(text), maxSummary)
		}
	}
	return oneLine(fmt.Sprintf("Call %s %s with %s", t.Server.Name, t.Name, inline(c.arguments)), maxSummary)
}

// renderPrecondition fills the call's arguments into the tool's precondition. One that cannot be rendered refuses the
// call, because the check must not get lost.
func renderPrecondition(c toolCall, t spec.Tool) (*spec.Precondition, error) {
	if t.Precondition == nil {
		return nil, nil
	}
	p := &spec.Precondition{Tool: t.Precondition.Tool, Check: t.Precondition.Check}
	if len(t.Precondition.Arguments) == 0 {
		return p, nil
	}
	rendered, err := spec.RenderValue(t.Precondition.Arguments, map[string]any{"arguments": c.arguments})
	if err != nil {
		return nil, refuse("the precondition of %s does not fit these arguments: %v", c.name, err)
	}
	p.Arguments, _ = rendered.(map[string]any)
	return p, nil
}

// targetOf is what the call is about: two calls with the same target are the same proposal.
func targetOf(t spec.Tool, arguments map[string]any) any {
	return map[string]any{"server": t.Server.Name, "tool": t.Name, "arguments": t.TargetOf(arguments)}
}

// proposalKey is the first 16 hexadecimal characters of the SHA-256 of agent, kind and target in canonical JSON.
func proposalKey(agent spec.AgentName, kind string, target any) (spec.ProposalKey, error) {
	raw, err := plugins.Canonical(map[string]any{"agent": agent, "kind": kind, "target": target})
	if err != nil {
		return "", fmt.Errorf("make the key of a proposal: %w", err)
	}
	_, digest, _ := strings.Cut(string(spec.DigestBytes(raw)), ":")
	return spec.ProposalKey(digest[:16]), nil
}

func actionBody(c toolCall, t spec.Tool, precondition *spec.Precondition, expires string) string {
	var text strings.Builder
	if u := c.undone; u != nil {
		fmt.Fprintf(&text, "Action %s of agent %s has taken effect, and then something failed: %s. This call of %s of tool server %s is declared to undo it. "+
			"Merging approves exactly this call: it is made once, before %s. Reject it to leave things as they are.\n\n",
			code(string(u.Action)), c.Agent.Name, code(u.Failed), code(t.Name), code(t.Server.Name), expires)
	} else {
		fmt.Fprintf(&text, "Agent %s asks to call %s of tool server %s. Merging approves exactly this call: it is made once, before %s.\n\n",
			c.Agent.Name, code(t.Name), code(t.Server.Name), expires)
	}
	if len(c.arguments) > 0 {
		text.WriteString("| argument | value |\n|---|---|\n")
		for _, name := range slices.Sorted(maps.Keys(c.arguments)) {
			fmt.Fprintf(&text, "| %s | %s |\n", cell(name), cell(inline(c.arguments[name])))
		}
		text.WriteString("\n")
	}
	if precondition != nil {
		fmt.Fprintf(&text, "Right before the call, %s with %s must give a result for which %s holds; else nothing is done.\n\n",
			code(precondition.Tool), code(inline(precondition.Arguments)), code(precondition.Check))
	}
	if len(c.Sources) > 0 {
		fmt.Fprintf(&text, "The run had read text of the knowledge %s, which others may have written: look whether the call is what you asked for, or what stands there.\n\n",
			code(strings.Join(c.Sources, ", ")))
	}
	if c.After != "" {
		fmt.Fprintf(&text, "It is made after %s is done, and not at all where that fails.\n\n", code(string(c.After)))
	}
	if c.undone != nil {
		fmt.Fprintf(&text, "---\nRun %s on %s. No agent has asked for this.\n", c.Task.Run, c.Task.Revision)
		return text.String()
	}
	fmt.Fprintf(&text, "---\nRun %s, request %d, on %s. Task: %s\n", c.Task.Run, c.N, c.Task.Revision, code(oneLine(c.Task.Text, maxSummary)))
	return text.String()
}

// inexact finds a number that would not survive being read as a float64, which is what becomes of an Action's arguments.
func inexact(value any, at string) (string, bool) {
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		if n, whole := v.Int64(); whole == nil && (n > 1<<53 || n < -1<<53) || err != nil {
			return at, true
		}
		return at, f > 1<<53 || f < -1<<53
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found, ok := inexact(v[key], at+"."+key); ok {
				return found, true
			}
		}
	case []any:
		for i, item := range v {
			if found, ok := inexact(item, fmt.Sprintf("%s[%d]", at, i)); ok {
				return found, true
			}
		}
	}
	return "", false
}
