package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

// begins makes a broker whose ledger holds these calls.
func (w *world) begins(calls map[spec.ActionID]*spec.DirectCall, err error) {
	w.opts.Begun = func(_ context.Context, id spec.ActionID) (*spec.DirectCall, error) { return calls[id], err }
	w.broker = broker.New(w.opts)
}

// again makes a call that a crash has cut off once more.
func (w *world) again(name, arguments string) (broker.Reply, error) {
	w.t.Helper()
	call := w.call(spec.RequestTool, plugins.ToolCall{Name: name, Arguments: json.RawMessage(arguments)})
	call.Restarted = true
	return w.broker.Answer(w.t.Context(), call, nil)
}

func TestARuleLetsACallBeMadeWithoutAReview(t *testing.T) {
	w := newWorld(t)
	w.begins(nil, nil)
	w.tool("cluster__get", `{"name":"web"}`) // It gets its secret.
	w.rule("restarts", spec.OnCall, `call.tool == "restart"`, spec.DecisionAllow, "")
	got := w.tool("cluster__restart", `{"name":"web"}`)
	p := got.Proposal
	if p == nil || p.Kind != spec.ProposalDirect || p.Files != nil || p.Direct.Rule != "policies/guard.yaml#restarts" || got.Rule != p.Direct.Rule ||
		p.Action != "triage-01jd0000000000000000000000-7" || !strings.Contains(p.Direct.File, "\nkind: Action\n") || strings.Contains(p.Direct.File, "Merging") {
		t.Fatalf("got %+v", got)
	}
	if other := w.tool("cluster__restart", `{"name":"web"}`); other.Proposal.Direct.File != p.Direct.File {
		t.Error("the same call makes other bytes")
	}
	if got := w.tool("cluster__scale", `{"name":"web","replicas":1}`); got.Proposal == nil || got.Proposal.Kind != spec.ProposalAction {
		t.Errorf("another write is proposed: %+v", got)
	}
	if got := w.tool("cluster__drop", `{}`); got.Answer == nil || !strings.Contains(got.Answer.Error, "denied") {
		t.Errorf("a denied tool stays denied: %+v", got)
	}
	if got := w.tool("cluster__restart", `{"name":"`+strings.Repeat("x", 70<<10)+`"}`); got.Answer == nil || !strings.Contains(got.Answer.Error, "too large for a call without a review") {
		t.Errorf("got %+v", got)
	}
	if got := w.tool("cluster__restart", `{"name":"`+token+`"}`); got.Answer == nil || !strings.Contains(got.Answer.Error, "hold a secret") {
		t.Errorf("got %+v", got)
	}
	w.rule("no-restarts", spec.OnCall, `call.tool == "restart"`, spec.DecisionDeny, "not now")
	if got := w.tool("cluster__restart", `{"name":"web"}`); got.Answer == nil || !strings.Contains(got.Answer.Error, "denied by policies/guard.yaml#no-restarts") {
		t.Errorf("deny beats allow: %+v", got)
	}
}

func TestWhereNothingExecutesARuleLetsNothingThrough(t *testing.T) {
	w := newWorld(t)
	w.rule("restarts", spec.OnCall, `call.tool == "restart"`, spec.DecisionAllow, "")
	if got := w.tool("cluster__restart", `{"name":"web"}`); got.Answer == nil || !strings.Contains(got.Answer.Error, "nothing is executed here") {
		t.Errorf("got %+v", got)
	}
}

// After a crash a call goes on as it was claimed, even where the policies have changed: its effect may have happened.
func TestACallThatWasBegunIsFinishedAsItWasBegun(t *testing.T) {
	w := newWorld(t)
	call := &spec.DirectCall{Rule: "policies/old.yaml#rule", File: "# as it was\n"}
	w.rule("no-restarts", spec.OnCall, `call.tool == "restart"`, spec.DecisionDeny, "not now")
	w.begins(map[spec.ActionID]*spec.DirectCall{"triage-01jd0000000000000000000000-7": call}, nil)
	if got, err := w.again("cluster__restart", `{"name":"web"}`); err != nil || got.Proposal == nil || got.Proposal.Direct != call {
		t.Errorf("got %+v, %v", got, err)
	}
	w.begins(nil, nil)
	if got, err := w.again("cluster__restart", `{"name":"web"}`); err != nil || got.Answer == nil || !strings.Contains(got.Answer.Error, "denied") {
		t.Errorf("what was not begun is decided anew: %+v, %v", got, err)
	}
	w.begins(nil, errors.New("the remote is away"))
	var away *broker.Unavailable
	if _, err := w.again("cluster__restart", `{"name":"web"}`); !errors.As(err, &away) {
		t.Errorf("while the ledger cannot be read nothing is decided: %v", err)
	}
}

func TestWhatWasExecutedIsTheToolsAnswer(t *testing.T) {
	w := newWorld(t)
	w.tool("cluster__get", `{"name":"web"}`)
	p := spec.Proposal{Title: "Restart", Direct: &spec.DirectCall{Rule: "policies/guard.yaml#rule"}}
	for _, test := range []struct {
		name            string
		failed          bool
		result, message string
		want            plugins.ToolResult
	}{
		{"a text", false, `"restarted ` + token + `"`, "", plugins.ToolResult{Text: "restarted [redacted]"}},
		{"a value", false, `{"ok":true}`, "", plugins.ToolResult{Structured: json.RawMessage(`{"ok":true}`)}},
		{"nothing, and a person says what happened", false, "", "I looked", plugins.ToolResult{Text: "I looked"}},
		{"a failure", true, `"no such deployment"`, "restart says: no such deployment", plugins.ToolResult{Text: "restart says: no such deployment", IsError: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.broker.Executed(p, test.failed, json.RawMessage(test.result), test.message)
			want, err := plugins.Canonical(test.want)
			if err != nil || string(got.Body) != string(want) || got.Rule != p.Direct.Rule {
				t.Errorf("got %s (%s) by %s, want %s", got.Body, got.Error, got.Rule, want)
			}
		})
	}
}
