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

// recording is a model of provider replay that has seen two turns.
func recording(t *testing.T, match string) (*spec.Model, []plugins.Message) {
	t.Helper()
	messages := []plugins.Message{
		{Role: plugins.RoleUser, Text: "how is web?"},
		{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: "call-1-0", Name: "cluster__get", Arguments: json.RawMessage(`{"name":"web"}`)}}},
		{Role: plugins.RoleTool, CallID: "call-1-0", Tool: "cluster__get", Text: "3 replicas"},
	}
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderReplay, Recording: "recordings/a.json", Match: match}}
	m.Name = "local"
	for _, one := range []struct {
		asked  []plugins.Message
		answer plugins.ModelAnswer
	}{
		{messages[:1], plugins.ModelAnswer{Calls: messages[1].Calls, Finish: plugins.FinishCalls}},
		{messages, plugins.ModelAnswer{Text: "It has\n3 replicas.", Finish: plugins.FinishStop}},
	} {
		request, err := plugins.Canonical(plugins.ModelRequest{Messages: one.asked, Tools: []string{"cluster__get"}})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := plugins.Canonical(one.answer)
		if err != nil {
			t.Fatal(err)
		}
		m.Recorded = append(m.Recorded, spec.Recorded{Request: request, Answer: answer, Usage: spec.Usage{Input: 7, Output: 2, Cost: 3, Currency: "USD"}})
	}
	return m, messages
}

func TestARecordingAnswersWhatItHas(t *testing.T) {
	m, messages := recording(t, "")
	request := model.Request{Instructions: "Whatever.", Messages: messages[:1], Tools: toolsOf("cluster__get")}
	got, err := model.Providers{}.Chat(t.Context(), m, request, nil)
	if err != nil || len(got.Calls) != 1 || got.Calls[0].ID != "" || got.Finish != plugins.FinishCalls || got.Used != (spec.Usage{Input: 7, Output: 2}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	// The ids of this run are others.
	messages[1].Calls[0].ID, messages[2].CallID = "call-9-0", "call-9-0"
	request.Messages = messages
	var pieces []string
	if got, err = (model.Providers{}).Chat(t.Context(), m, request, func(piece string) { pieces = append(pieces, piece) }); err != nil || got.Text != "It has\n3 replicas." {
		t.Fatalf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"It has\n", "3 replicas."}, pieces); diff != "" {
		t.Error(diff)
	}
}

func TestARecordingSaysWhatDiffers(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *model.Request)
		want   string
		// lenient is the text of the answer that is given all the same, or an error.
		lenient string
	}{
		{"another result", func(r *model.Request) { r.Messages[2].Text = "4 replicas" }, `of answer 2, differs in message 3, which was {"callId":"1","role":"tool","text":"3 replicas","tool":"cluster__get"} and is {"callId":"1","role":"tool","text":"4 replicas"`, "It has\n3 replicas."},
		{"one message less", func(r *model.Request) { r.Messages = r.Messages[:2] }, "message 3, which was {", "It has\n3 replicas."},
		{"another tool", func(r *model.Request) { r.Tools = toolsOf("cluster__get", "x") }, "its tools, which were [cluster__get] and are [cluster__get x]", "It has\n3 replicas."},
		{"a schema", func(r *model.Request) { r.OutputSchema = json.RawMessage(`{}`) }, "the schema of its output", "It has\n3 replicas."},
		{"a turn more", func(r *model.Request) { r.Messages = append(r.Messages, plugins.Message{Role: plugins.RoleAssistant}) }, "message 4, which was nothing", "has no answer for turn 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, match := range []string{spec.MatchStrict, spec.MatchLenient} {
				m, messages := recording(t, match)
				request := model.Request{Messages: messages, Tools: toolsOf("cluster__get")}
				test.change(&request)
				got, err := model.Providers{}.Chat(t.Context(), m, request, nil)
				if match == spec.MatchLenient && err == nil {
					if got.Text != test.lenient {
						t.Errorf("got %+v", got)
					}
					continue
				}
				want := test.want
				if match == spec.MatchLenient {
					want = test.lenient
				}
				if err == nil || model.Later(err) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v", match, err)
				}
			}
		})
	}
}
