package model_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// A thought is no text, but whoever waits for the first token is told that something has come.
func TestThoughtsAreNoText(t *testing.T) {
	thoughts := map[string][]string{
		"ollama": {`{"message":{"role":"assistant","content":"","thinking":"hm"},"done":false}`, `{"message":{"role":"assistant","content":"yes"},"done":false}`, `{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}`},
		"openai": {`data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}` + "\n", `data: {"choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":"stop"}]}` + "\n", "data: [DONE]\n"},
		"openai responses": {`data: {"type":"response.reasoning_summary_text.delta","delta":"hm","output_index":0}` + "\n", `data: {"type":"response.output_text.delta","delta":"yes"}` + "\n",
			`data: {"type":"response.completed","response":{"status":"completed"}}` + "\n"},
		"anthropic": {"event: message_start\n" + `data: {"type":"message_start","message":{}}` + "\n", "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}` + "\n",
			"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"yes"}}` + "\n", "event: message_stop\n" + `data: {"type":"message_stop"}` + "\n"},
	}
	inEveryForm(t, func(t *testing.T, f form) {
		m := f.of(newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, line := range thoughts[f.name] {
				fmt.Fprintln(w, line)
			}
		}).URL)
		var pieces []string
		got, err := asking(t).Chat(t.Context(), m, question, func(piece string) { pieces = append(pieces, piece) })
		if err != nil || got.Text != "yes" {
			t.Fatalf("got %+v, %v", got, err)
		}
		if diff := cmp.Diff([]string{"", "yes"}, pieces); diff != "" {
			t.Error(diff)
		}
	})
}

// Where thinking has a budget Anthropic's API wants the thoughts back with the results of tools, and no record has them.
func TestWhatIsThoughtIsNotSentBack(t *testing.T) {
	for _, test := range []struct {
		kind, role string
		want       bool
	}{
		{"enabled", plugins.RoleUser, true},
		{"enabled", plugins.RoleTool, false},
		{"adaptive", plugins.RoleTool, true},
	} {
		f := forms[3]
		s, m := f.serve(t, said{text: []string{"yes"}})
		m.Spec.Parameters = map[string]any{"thinking": map[string]any{"type": test.kind, "budget_tokens": 2000.0}}
		m.Spec.Parameters["output_config"] = map[string]any{"effort": "low"}
		messages := append([]plugins.Message{}, question.Messages...)
		if test.role == plugins.RoleTool {
			messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: "c", Name: "a", Arguments: []byte("{}")}}},
				plugins.Message{Role: plugins.RoleTool, CallID: "c", Tool: "a", Text: "x"})
		}
		if _, err := asking(t).Chat(t.Context(), m, model.Request{Messages: messages, Tools: toolsOf("a"), OutputSchema: []byte(`{"type":"object"}`)}, nil); err != nil {
			t.Fatal(err)
		}
		if _, got := s.last().Parameters["thinking"]; got != test.want {
			t.Errorf("thinking that is %s is sent with a message of %s: %v", test.kind, test.role, got)
		}
		if !strings.Contains(fmt.Sprint(s.last().Schema), "additionalProperties:false") || m.Spec.Provider != spec.ProviderAnthropic {
			t.Errorf("the schema is %v", s.last().Schema)
		}
	}
}
