package model_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

func newScripted(t *testing.T, rules ...spec.ScriptRule) *spec.Model {
	t.Helper()
	script, err := spec.NewScript("script", rules)
	if err != nil {
		t.Fatal(err)
	}
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderScripted, Rules: rules}, Script: script}
	m.Kind, m.Name = spec.KindModel, "script"
	return m
}

func TestAScriptAnswersByItsRules(t *testing.T) {
	m := newScripted(t,
		spec.ScriptRule{When: `"cluster__get" in results && type(results["cluster__get"][0]) != string`, Text: `${ results["cluster__get"][0].replicas } replicas`},
		spec.ScriptRule{When: `called("cluster__get")`, Text: `it said: ${ results["cluster__get"][0] }`},
		spec.ScriptRule{When: "turn == 0", Text: "I look.\nNow.", Calls: []spec.ScriptCall{{Tool: "cluster__get", Arguments: map[string]any{"name": "${ task }"}}}},
	)
	asked := plugins.Message{Role: plugins.RoleUser, Text: "web"}
	result := func(text string) plugins.Message {
		return plugins.Message{Role: plugins.RoleTool, Tool: "cluster__get", CallID: "call-1-0", Text: text}
	}
	for _, test := range []struct {
		name     string
		messages []plugins.Message
		want     plugins.ModelAnswer
	}{
		{"with text and calls", []plugins.Message{asked}, plugins.ModelAnswer{
			Text: "I look.\nNow.", Finish: plugins.FinishCalls,
			Calls: []plugins.ToolUse{{Name: "cluster__get", Arguments: json.RawMessage(`{"name":"web"}`)}},
		}},
		{"with what is in a structured result", []plugins.Message{asked, result(`{"replicas":3}`)}, plugins.ModelAnswer{Text: "3 replicas", Finish: plugins.FinishStop}},
		{"with a result that is text", []plugins.Message{asked, result(`error: {broken`)}, plugins.ModelAnswer{Text: "it said: error: {broken", Finish: plugins.FinishStop}},
		{"with a result that only looks structured", []plugins.Message{asked, result(`{broken`)}, plugins.ModelAnswer{Text: "it said: {broken", Finish: plugins.FinishStop}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			got, err := model.Providers{}.Chat(t.Context(), m, model.Request{Messages: test.messages}, func(piece string) { text.WriteString(piece) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.ModelAnswer); diff != "" {
				t.Error(diff)
			}
			if text.String() != got.Text {
				t.Errorf("the pieces are %q", text.String())
			}
		})
	}
}

// Many agents share one model, and its rules can tell them apart.
func TestAScriptKnowsTheInstructions(t *testing.T) {
	m := newScripted(t, spec.ScriptRule{When: `instructions.contains("deployments")`, Text: `${ instructions.split("\n")[0] }`}, spec.ScriptRule{Text: "something else"})
	for instructions, want := range map[string]string{"Look at deployments.\nBe brief.": "Look at deployments.", "Look at costs.": "something else", "": "something else"} {
		request := question
		request.Instructions = instructions
		got, err := model.Providers{}.Chat(t.Context(), m, request, func(string) {})
		if err != nil || got.Text != want {
			t.Errorf("%q: %q, %v", instructions, got.Text, err)
		}
	}
}

func TestAScriptWithoutARuleThatHoldsIsAnErrorForGood(t *testing.T) {
	m := newScripted(t, spec.ScriptRule{When: "turn == 7", Text: "late"})
	_, err := model.Providers{}.Chat(t.Context(), m, question, nil)
	if err == nil || model.Later(err) || !strings.Contains(err.Error(), `no rule of model "script"`) {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownProviderIsAnError(t *testing.T) {
	m := newScripted(t)
	m.Spec.Provider = "oracle"
	if _, err := (model.Providers{}).Chat(t.Context(), m, question, nil); err == nil || !strings.Contains(err.Error(), `provider "oracle" is not known`) {
		t.Errorf("got %v", err)
	}
}
