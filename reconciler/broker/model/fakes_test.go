package model_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// said is an answer of a model, whatever the form in which its server writes it.
type said struct {
	text  []string // in pieces
	calls []saidCall
	// cut says that the answer is as long as it may be.
	cut  bool
	used spec.Usage
	// hang keeps the connection open after the text, until the client leaves.
	hang bool
	// forever sends the last piece of the text again and again, until the client leaves.
	forever bool
}

type saidCall struct {
	name      string
	arguments []string // in pieces
}

// heard is what a server was asked, whatever the form.
type heard struct {
	Model        string
	Instructions string
	Messages     []plugins.Message
	Tools        []string
	Schema       any
	// Parameters are the other fields of the body.
	Parameters map[string]any
}

// form is a wire format: how a server is asked and how it answers.
type form struct {
	name string
	spec spec.ModelSpec
	// path is where the server listens.
	path string
	// say writes an answer, and hear reads a request.
	say  func(w *stream, a said)
	hear func(t testing.TB, body map[string]any) heard
	// refuse is the body of an error with this message.
	refuse func(message string) string
}

var forms = []form{
	{"ollama", spec.ModelSpec{Provider: spec.ProviderOllama}, "/api/chat", sayOllama, hearOllama, func(m string) string { return string(asJSON(map[string]any{"error": m})) }},
	{"openai", spec.ModelSpec{Provider: spec.ProviderOpenAI}, "/v1/chat/completions", sayCompletion, hearCompletion, refuseOpenAI},
	{"openai responses", spec.ModelSpec{Provider: spec.ProviderOpenAI, API: spec.APIResponses}, "/v1/responses", sayResponse, hearResponse, refuseOpenAI},
	{"anthropic", spec.ModelSpec{Provider: spec.ProviderAnthropic}, "/v1/messages", sayMessage, hearMessage, refuseAnthropic},
}

func refuseOpenAI(message string) string {
	return string(asJSON(map[string]any{"error": map[string]any{"message": message, "type": "some_error", "param": nil, "code": nil}}))
}

func refuseAnthropic(message string) string {
	return string(asJSON(map[string]any{"type": "error", "error": map[string]any{"type": "some_error", "message": message}, "request_id": "req_1"}))
}

// of returns a model of this form that a server answers for.
func (f form) of(server string) *spec.Model {
	m := &spec.Model{Spec: f.spec}
	m.Spec.Name, m.Kind, m.Name = "some-model", spec.KindModel, "local"
	m.Spec.Endpoint = server
	if f.spec.Provider == spec.ProviderOpenAI {
		m.Spec.Endpoint += "/v1"
	}
	return m
}

// server is one that gives the answers in turn, and notes what it is asked. Left is closed when a client has left an answer that
// hangs.
type server struct {
	*httptest.Server
	left chan struct{}

	mu     sync.Mutex
	asked  []heard
	header http.Header
}

func (f form) serve(t testing.TB, answers ...said) (*server, *spec.Model) {
	t.Helper()
	s := &server{left: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var body map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &body)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != f.path {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		n := len(s.asked)
		s.asked, s.header = append(s.asked, f.hear(t, body)), r.Header
		s.mu.Unlock()
		if n >= len(answers) {
			http.Error(w, f.refuse("there is no answer left"), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		if f.spec.Provider == spec.ProviderOllama {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		f.say(&stream{w: w, r: r, left: s.left}, answers[n])
	}))
	t.Cleanup(s.Close)
	return s, f.of(s.URL)
}

func (s *server) last() heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// stream writes a stream of events.
type stream struct {
	w    http.ResponseWriter
	r    *http.Request
	left chan struct{}
}

func (s *stream) line(v any) { fmt.Fprintf(s.w, "%s\n", asJSON(v)); s.flush() }

func (s *stream) data(v any) { fmt.Fprintf(s.w, "data: %s\n\n", asJSON(v)); s.flush() }

func (s *stream) event(v map[string]any) {
	fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", v["type"], asJSON(v))
	s.flush()
}

func (s *stream) flush() { s.w.(http.Flusher).Flush() }

// text sends the pieces of a text, and says whether the answer goes on.
func (s *stream) text(a said, send func(piece string)) bool {
	for _, piece := range a.text {
		send(piece)
	}
	for a.forever && s.r.Context().Err() == nil {
		send(a.text[len(a.text)-1])
	}
	if a.hang {
		<-s.r.Context().Done()
		close(s.left)
	}
	return !a.hang && !a.forever
}

func asJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func sayOllama(s *stream, a said) {
	part := func(message map[string]any) {
		message["role"] = "assistant"
		s.line(map[string]any{"model": "some-model", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false})
	}
	if !s.text(a, func(piece string) { part(map[string]any{"content": piece}) }) {
		return
	}
	for _, call := range a.calls { // An Ollama server gives each whole.
		part(map[string]any{"content": "", "tool_calls": []any{map[string]any{"function": map[string]any{"name": call.name, "arguments": json.RawMessage(strings.Join(call.arguments, ""))}}}})
	}
	reason := "stop"
	if a.cut {
		reason = "length"
	}
	s.line(map[string]any{"message": map[string]any{"role": "assistant", "content": ""}, "done": true, "done_reason": reason,
		"prompt_eval_count": a.used.Input, "eval_count": a.used.Output, "eval_duration": a.used.Busy})
}

func sayCompletion(s *stream, a said) {
	chunk := func(delta map[string]any, finish any) {
		s.data(map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "some-model", "usage": nil,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": nil}}})
	}
	chunk(map[string]any{"role": "assistant", "content": ""}, nil)
	if !s.text(a, func(piece string) { chunk(map[string]any{"content": piece}, nil) }) {
		return
	}
	finish := "stop"
	for i, call := range a.calls {
		finish = "tool_calls"
		chunk(map[string]any{"tool_calls": []any{map[string]any{"index": i, "id": fmt.Sprint("call_", i), "type": "function", "function": map[string]any{"name": call.name, "arguments": ""}}}}, nil)
		for _, piece := range call.arguments {
			chunk(map[string]any{"tool_calls": []any{map[string]any{"index": i, "function": map[string]any{"arguments": piece}}}}, nil)
		}
	}
	if a.cut {
		finish = "length"
	}
	chunk(map[string]any{}, finish)
	s.data(map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "some-model", "choices": []any{}, "usage": map[string]any{
		"prompt_tokens": a.used.Input, "completion_tokens": a.used.Output, "total_tokens": a.used.Input + a.used.Output,
		"prompt_tokens_details":     map[string]any{"cached_tokens": a.used.Cached},
		"completion_tokens_details": map[string]any{"reasoning_tokens": a.used.Reasoning},
	}})
	fmt.Fprint(s.w, "data: [DONE]\n\n")
}

func sayResponse(s *stream, a said) {
	n := 0
	event := func(kind string, fields map[string]any) {
		fields["type"], fields["sequence_number"] = kind, n
		n++
		s.event(fields)
	}
	event("response.created", map[string]any{"response": map[string]any{"id": "resp_1", "object": "response", "status": "in_progress", "output": []any{}}})
	item, output := map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []any{}}, []any{}
	event("response.output_item.added", map[string]any{"output_index": 0, "item": item})
	if !s.text(a, func(piece string) {
		event("response.output_text.delta", map[string]any{"output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": piece})
	}) {
		return
	}
	event("response.output_text.done", map[string]any{"output_index": 0, "content_index": 0, "item_id": "msg_1", "text": strings.Join(a.text, "")})
	output = append(output, map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
		"content": []any{map[string]any{"type": "output_text", "text": strings.Join(a.text, ""), "annotations": []any{}}}})
	for i, call := range a.calls {
		id := fmt.Sprint("fc_", i)
		item := map[string]any{"id": id, "type": "function_call", "status": "in_progress", "call_id": fmt.Sprint("call_", i), "name": call.name, "arguments": ""}
		event("response.output_item.added", map[string]any{"output_index": i + 1, "item": item})
		for _, piece := range call.arguments {
			event("response.function_call_arguments.delta", map[string]any{"output_index": i + 1, "item_id": id, "delta": piece})
		}
		event("response.function_call_arguments.done", map[string]any{"output_index": i + 1, "item_id": id, "name": call.name, "arguments": strings.Join(call.arguments, "")})
		item["arguments"], item["status"] = strings.Join(call.arguments, ""), "completed"
		event("response.output_item.done", map[string]any{"output_index": i + 1, "item": item})
		output = append(output, item)
	}
	kind, status, details := "response.completed", "completed", any(nil)
	if a.cut {
		kind, status, details = "response.incomplete", "incomplete", map[string]any{"reason": "max_output_tokens"}
	}
	event(kind, map[string]any{"response": map[string]any{"id": "resp_1", "object": "response", "status": status, "incomplete_details": details, "output": output, "usage": map[string]any{
		"input_tokens": a.used.Input, "output_tokens": a.used.Output, "total_tokens": a.used.Input + a.used.Output,
		"input_tokens_details":  map[string]any{"cached_tokens": a.used.Cached},
		"output_tokens_details": map[string]any{"reasoning_tokens": a.used.Reasoning},
	}}})
}

func sayMessage(s *stream, a said) {
	s.event(map[string]any{"type": "message_start", "message": map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "model": "some-model", "content": []any{}, "stop_reason": nil,
		"usage": map[string]any{"input_tokens": a.used.Input - a.used.Cached, "cache_read_input_tokens": a.used.Cached, "cache_creation_input_tokens": 0, "output_tokens": 0}}})
	s.event(map[string]any{"type": "ping"})
	s.event(map[string]any{"type": "content_block_start", "index": 0, "content_block": map[string]any{"type": "text", "text": ""}})
	if !s.text(a, func(piece string) {
		s.event(map[string]any{"type": "content_block_delta", "index": 0, "delta": map[string]any{"type": "text_delta", "text": piece}})
	}) {
		return
	}
	s.event(map[string]any{"type": "content_block_stop", "index": 0})
	reason := "end_turn"
	for i, call := range a.calls {
		reason = "tool_use"
		s.event(map[string]any{"type": "content_block_start", "index": i + 1, "content_block": map[string]any{"type": "tool_use", "id": fmt.Sprint("toolu_", i), "name": call.name, "input": map[string]any{}}})
		for _, piece := range append([]string{""}, call.arguments...) {
			s.event(map[string]any{"type": "content_block_delta", "index": i + 1, "delta": map[string]any{"type": "input_json_delta", "partial_json": piece}})
		}
		s.event(map[string]any{"type": "content_block_stop", "index": i + 1})
	}
	if a.cut {
		reason = "max_tokens"
	}
	s.event(map[string]any{"type": "message_delta", "delta": map[string]any{"stop_reason": reason, "stop_sequence": nil}, "usage": map[string]any{
		"output_tokens": a.used.Output, "output_tokens_details": map[string]any{"thinking_tokens": a.used.Reasoning}}})
	s.event(map[string]any{"type": "message_stop"})
}

// take removes a field of a body and returns it.
func take[T any](body map[string]any, name string) T {
	value, _ := body[name].(T)
	delete(body, name)
	return value
}

func each(list any, do func(map[string]any)) {
	all, _ := list.([]any)
	for _, one := range all {
		do(one.(map[string]any))
	}
}

func arguments(t testing.TB, v any) json.RawMessage {
	if text, ok := v.(string); ok {
		return json.RawMessage(text)
	}
	canonical, err := plugins.Canonical(v)
	if err != nil {
		t.Error(err)
	}
	return canonical
}

func hearOllama(t testing.TB, body map[string]any) heard {
	h := hearCompletion(t, body)
	h.Schema = take[any](h.Parameters, "format")
	options := take[map[string]any](h.Parameters, "options")
	for name, value := range options {
		h.Parameters[name] = value
	}
	return h
}

func hearCompletion(t testing.TB, body map[string]any) heard {
	h := heard{Model: take[string](body, "model")}
	each(take[any](body, "messages"), func(m map[string]any) {
		message := plugins.Message{Role: take[string](m, "role"), Text: take[string](m, "content"), CallID: take[string](m, "tool_call_id"), Tool: take[string](m, "tool_name")}
		each(m["tool_calls"], func(call map[string]any) {
			function := call["function"].(map[string]any)
			message.Calls = append(message.Calls, plugins.ToolUse{ID: call["id"].(string), Name: function["name"].(string), Arguments: arguments(t, function["arguments"])})
		})
		if message.Role == plugins.RoleSystem && h.Instructions == "" && h.Messages == nil {
			h.Instructions = message.Text
			return
		}
		h.Messages = append(h.Messages, message)
	})
	each(take[any](body, "tools"), func(tool map[string]any) {
		function := tool["function"].(map[string]any)
		if function["parameters"].(map[string]any)["type"] != "object" {
			t.Errorf("the schema of %s is %v", function["name"], function["parameters"])
		}
		h.Tools = append(h.Tools, function["name"].(string))
	})
	if format := take[map[string]any](body, "response_format"); format != nil {
		h.Schema = format["json_schema"].(map[string]any)["schema"]
	}
	h.Parameters = body
	return h
}

func hearResponse(t testing.TB, body map[string]any) heard {
	h := heard{Model: take[string](body, "model"), Instructions: take[string](body, "instructions")}
	if body["store"] != false {
		t.Error("the server is to keep what it is told")
	}
	each(take[any](body, "input"), func(m map[string]any) {
		last := len(h.Messages) - 1
		switch kind, _ := m["type"].(string); kind {
		case "function_call":
			call := plugins.ToolUse{ID: m["call_id"].(string), Name: m["name"].(string), Arguments: arguments(t, m["arguments"])}
			if last < 0 || h.Messages[last].Role != plugins.RoleAssistant {
				h.Messages = append(h.Messages, plugins.Message{Role: plugins.RoleAssistant})
				last++
			}
			h.Messages[last].Calls = append(h.Messages[last].Calls, call)
		case "function_call_output":
			h.Messages = append(h.Messages, plugins.Message{Role: plugins.RoleTool, CallID: m["call_id"].(string), Text: m["output"].(string)})
		default:
			h.Messages = append(h.Messages, plugins.Message{Role: m["role"].(string), Text: m["content"].(string)})
		}
	})
	each(take[any](body, "tools"), func(tool map[string]any) { h.Tools = append(h.Tools, tool["name"].(string)) })
	if text := take[map[string]any](body, "text"); text["format"] != nil {
		h.Schema = text["format"].(map[string]any)["schema"]
	}
	h.Parameters = body
	return h
}

func hearMessage(t testing.TB, body map[string]any) heard {
	h := heard{Model: take[string](body, "model")}
	each(take[any](body, "system"), func(block map[string]any) { h.Instructions += block["text"].(string) })
	each(take[any](body, "messages"), func(m map[string]any) {
		message := plugins.Message{Role: m["role"].(string)}
		each(m["content"], func(block map[string]any) {
			switch block["type"] {
			case "text":
				if block["text"] == "" {
					t.Error("a text is empty, which the API refuses")
				}
				message.Text += block["text"].(string)
			case "tool_use":
				message.Calls = append(message.Calls, plugins.ToolUse{ID: block["id"].(string), Name: block["name"].(string), Arguments: arguments(t, block["input"])})
			case "tool_result":
				text := ""
				each(block["content"], func(part map[string]any) { text += part["text"].(string) })
				h.Messages = append(h.Messages, plugins.Message{Role: plugins.RoleTool, CallID: block["tool_use_id"].(string), Text: text})
			}
		})
		if message.Text != "" || message.Calls != nil {
			h.Messages = append(h.Messages, message)
		}
	})
	each(take[any](body, "tools"), func(tool map[string]any) {
		if tool["input_schema"].(map[string]any)["type"] != "object" {
			t.Errorf("the schema of %s is %v", tool["name"], tool["input_schema"])
		}
		h.Tools = append(h.Tools, tool["name"].(string))
	})
	if output := take[map[string]any](body, "output_config"); output["format"] != nil {
		h.Schema = output["format"].(map[string]any)["schema"]
	}
	if _, has := body["max_tokens"].(float64); !has {
		t.Error("there is no max_tokens, which the API wants")
	}
	h.Parameters = body
	return h
}

// toolsOf are tools with these names.
func toolsOf(names ...string) []model.Tool {
	var tools []model.Tool
	for _, name := range slices.Sorted(slices.Values(names)) {
		tools = append(tools, model.Tool{Name: name, Description: "Does " + name + ".", InputSchema: json.RawMessage(
			`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`)})
	}
	return tools
}
