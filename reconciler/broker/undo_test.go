package broker_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

// undone is a call of scale that restart is declared to undo.
func (w *world) undone(arguments map[string]any) (*spec.Fleet, broker.Undone) {
	w.t.Helper()
	scale := w.server.Spec.Tools["scale"]
	scale.Undo = &spec.Undo{Tool: "restart", Arguments: arguments}
	w.server.Spec.Tools["scale"] = scale
	return &spec.Fleet{Servers: map[string]*spec.ToolServer{w.server.Name: w.server}}, broker.Undone{
		Action: spec.ActionID("triage-" + string(run) + "-7"), Result: json.RawMessage(`{"was": 3, "tool": "drop", "note": "${ 1 + 1 }", "token": "[redacted]"}`),
		Spec: spec.ActionSpec{Server: w.server.Name, Tool: "scale", Arguments: map[string]any{"name": "web\u202e", "replicas": float64(1)},
			Evidence: spec.Evidence{Agent: "triage", Run: run, Exchange: 7, Revision: revision, Key: "0123456789abcdef"}},
		Failed: "the next one failed: `\x1b[2K" + token, At: at, Expires: time.Hour, After: spec.ActionID("triage-" + string(run) + "-1000008"),
	}
}

func TestAnUndoIsAnActionForAPerson(t *testing.T) {
	w := newWorld(t)
	w.begins(nil, nil)
	w.tool("cluster__get", `{"name":"web"}`) // It gets its secret.
	w.rule("restarts", spec.OnCall, `call.tool == "restart"`, spec.DecisionAllow, "")
	fleet, u := w.undone(map[string]any{"name": "${ result.note }", "replicas": "${ result.was }", "tool": "${ result.tool }"})
	p, err := w.broker.Undo(fleet, u)
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != spec.ProposalAction || p.Direct != nil || len(p.Files) != 1 || p.Action != spec.ActionID("triage-"+string(run)+"-1000007") || p.Run != run || p.Exchange != 1_000_007 {
		t.Fatalf("got %+v", p)
	}
	var file struct{ Spec spec.ActionSpec }
	if err := yaml.Unmarshal([]byte(p.Files[0].Content), &file); err != nil {
		t.Fatal(err)
	}
	a := file.Spec
	if a.Server != w.server.Name || a.Tool != "restart" || a.Arguments["tool"] != "drop" || a.Arguments["name"] != "${ 1 + 1 }" || a.Arguments["replicas"] != float64(3) {
		t.Errorf("it calls %s %v", a.Tool, a.Arguments)
	}
	if a.Evidence.Undoes != u.Action || len(a.After) != 1 || a.After[0] != u.After || a.Expires != at.Add(time.Hour).UTC().Format(time.RFC3339) {
		t.Errorf("got %+v", a)
	}
	for _, text := range []string{p.Title, p.Body, p.Files[0].Content} {
		if strings.Contains(text, token) || strings.Contains(text, "\x1b") {
			t.Errorf("it tells too much: %q", text)
		}
	}
	if again, err := w.broker.Undo(fleet, u); err != nil || again.Files[0].Content != p.Files[0].Content || again.Key != p.Key {
		t.Error("the same undo has other bytes")
	}
	// An agent that asks for the very same call makes another proposal.
	w.policies = nil
	if got := w.tool("cluster__restart", `{"name":"${ 1 + 1 }","replicas":3,"tool":"drop"}`); got.Proposal == nil || got.Proposal.Key == p.Key {
		t.Errorf("got %+v", got)
	}
}

func TestAnUndoThatCannotBeOffered(t *testing.T) {
	for _, test := range []struct {
		name      string
		arguments map[string]any
		change    func(*world, *spec.Fleet, *broker.Undone)
		want      string
	}{
		{"the receipt lacks what it needs", map[string]any{"name": "${ result.id }"}, nil, "no such key: id"},
		{"the receipt holds nothing", map[string]any{"name": "${ result.was }"}, func(_ *world, _ *spec.Fleet, u *broker.Undone) { u.Result = nil }, "the receipt holds no result"},
		{"a secret was taken out", map[string]any{"name": "${ result.token }"}, nil, "taken out of the receipt as a secret"},
		{"a secret is left", map[string]any{"name": token}, nil, "hold a secret"},
		{"an undo of an undo", nil, func(_ *world, _ *spec.Fleet, u *broker.Undone) { u.Action += "000000" }, "it is an undo itself"},
		{"it says that it is one", nil, func(_ *world, _ *spec.Fleet, u *broker.Undone) { u.Spec.Evidence.Undoes = "x" }, "it is an undo itself"},
		{"a policy denies it", nil, func(w *world, _ *spec.Fleet, _ *broker.Undone) {
			w.rule("never", spec.OnCall, `call.tool == "restart"`, spec.DecisionDeny, "not here")
		}, "denied by policies/guard.yaml#never: not here"},
		{"its tool is gone", nil, func(w *world, _ *spec.Fleet, _ *broker.Undone) { delete(w.server.Spec.Tools, "restart") }, "declares no undo any more"},
		{"its tool takes something else", map[string]any{"name": "${ result.was }"}, func(w *world, _ *spec.Fleet, _ *broker.Undone) {
			w.server.Pins = map[string]spec.ToolPin{"restart": {InputSchema: `{"properties":{"name":{"type":"string"}}}`}}
			w.server.LockFile = "mainstay.lock"
		}, "not what cluster__restart takes as mainstay.lock pins it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.tool("cluster__get", `{"name":"web"}`)
			fleet, u := w.undone(test.arguments)
			u.Failed = "x"
			if test.change != nil {
				test.change(w, fleet, &u)
			}
			if p, err := w.broker.Undo(fleet, u); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s: %+v", err, test.want, p)
			}
		})
	}
}
