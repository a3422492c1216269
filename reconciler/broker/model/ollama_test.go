package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// newOllama starts a server that speaks POST /api/chat, and returns a model that asks it.
func newOllama(t *testing.T, chat http.HandlerFunc) *spec.Model {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat", chat)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return newModel(server.URL)
}

func newModel(endpoint string) *spec.Model {
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: "qwen3:4b", Endpoint: endpoint}}
	m.Kind, m.Name = spec.KindModel, "local"
	return m
}

// lines answers with lines of NDJSON.
func lines(all ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range all {
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		}
	}
}

var question = model.Request{Instructions: "Be brief.", Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}}}

func TestOllamaStreamsText(t *testing.T) {
	m := newOllama(t, lines(
		`{"message":{"role":"assistant","content":"good "},"done":false}`,
		`{"message":{"role":"assistant","content":"day"},"done":false}`,
		`{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":2}`,
	))
	var pieces []string
	got, err := model.Providers{}.Chat(t.Context(), m, question, func(piece string) { pieces = append(pieces, piece) })
	if err != nil {
		t.Fatal(err)
	}
	want := plugins.ModelAnswer{Text: "good day", Finish: plugins.FinishStop, Usage: plugins.Usage{Input: 11, Output: 2}}
	if diff := cmp.Diff(want, got.ModelAnswer); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"good ", "day"}, pieces); diff != "" {
		t.Error(diff)
	}
}

func TestOllamaAsksForToolCalls(t *testing.T) {
	m := newOllama(t, lines(
		`{"message":{"role":"assistant","content":"I look.","tool_calls":[{"function":{"name":"cluster__get","arguments":{"name":"web","n":3}}}]},"done":false}`,
		`{"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"cluster__list","arguments":{}}}]},"done":false}`,
		`{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}`,
	))
	got, err := model.Providers{}.Chat(t.Context(), m, question, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := plugins.ModelAnswer{Text: "I look.", Finish: plugins.FinishCalls, Calls: []plugins.ToolUse{
		{Name: "cluster__get", Arguments: json.RawMessage(`{"n":3,"name":"web"}`)},
		{Name: "cluster__list", Arguments: json.RawMessage(`{}`)},
	}}
	if diff := cmp.Diff(want, got.ModelAnswer); diff != "" {
		t.Error(diff)
	}
}

func TestOllamaIsAskedInItsOwnForm(t *testing.T) {
	var asked map[string]any
	m := newOllama(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &asked)
		}
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintln(w, `{"message":{"role":"assistant","content":"ok"},"done":true}`)
	})
	m.Spec.Parameters = map[string]any{"temperature": 0.0, "seed": 7.0, "think": false, "keep_alive": "10m"}
	_, err := model.Providers{}.Chat(t.Context(), m, model.Request{
		Instructions: "Be brief.",
		Messages: []plugins.Message{
			{Role: plugins.RoleUser, Text: "how is web?"},
			{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: "call-1-0", Name: "cluster__get", Arguments: json.RawMessage(`{"name":"web"}`)}}},
			{Role: plugins.RoleTool, Text: "3 replicas", CallID: "call-1-0", Tool: "cluster__get"},
		},
		Tools: []model.Tool{{Name: "cluster__get", Description: "Get.", InputSchema: json.RawMessage(
			`{"type":"object","properties":{"name":{"type":"string","description":"Its name."}},"required":["name"]}`)}},
		OutputSchema: json.RawMessage(`{"type":"object"}`),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"model":      "qwen3:4b",
		"keep_alive": "10m0s",
		"think":      false,
		"truncate":   false,
		"shift":      false,
		"format":     map[string]any{"type": "object"},
		"options":    map[string]any{"temperature": 0.0, "seed": 7.0},
		"messages": []any{
			map[string]any{"role": "system", "content": "Be brief."},
			map[string]any{"role": "user", "content": "how is web?"},
			map[string]any{"role": "assistant", "content": "", "tool_calls": []any{map[string]any{
				"id": "call-1-0", "function": map[string]any{"index": 0.0, "name": "cluster__get", "arguments": map[string]any{"name": "web"}},
			}}},
			map[string]any{"role": "tool", "content": "3 replicas", "tool_name": "cluster__get", "tool_call_id": "call-1-0"},
		},
		"tools": []any{map[string]any{"type": "function", "function": map[string]any{
			"name": "cluster__get", "description": "Get.", "parameters": map[string]any{
				"type": "object", "required": []any{"name"},
				"properties": map[string]any{"name": map[string]any{"type": "string", "description": "Its name."}},
			},
		}}},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestOllamaErrorsSayWhatToDo(t *testing.T) {
	fails := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintln(w, body)
		}
	}
	for _, test := range []struct {
		name      string
		chat      http.HandlerFunc
		transient bool
		says      string
	}{
		{"a model that is not there", fails(404, `{"error":"model \"qwen3:4b\" not found, try pulling it first"}`), false, "run `ollama pull qwen3:4b`"},
		{"a server that is something else", fails(404, `<html>not here</html>`), false, "has no /api/chat"},
		{"a model that knows no tools", fails(400, `{"error":"qwen3:4b does not support tools"}`), false, "does not support tools: choose another model"},
		{"a conversation that is too long", fails(400, `{"error":"the input length exceeds the context length"}`), false, "raise spec.parameters.num_ctx of Model/local"},
		{"a model that does not fit", fails(500, `{"error":"model requires more system memory (9.0 GiB) than is available (2.0 GiB)"}`), true, "`ollama stop`"},
		{"a server that wants a sign-in", fails(401, `{"error":"unauthorized"}`), false, "ollama signin"},
		{"a server that fails", fails(500, `{"error":"out of memory"}`), true, "out of memory"},
		{"a server that is busy", fails(503, `{"error":"server busy"}`), true, "server busy"},
		{"a failure in the middle", lines(`{"message":{"content":"go"},"done":false}`, `{"error":"runner terminated"}`), true, "runner terminated"},
		{"an answer that breaks off", lines(`{"message":{"content":"go"},"done":false}`), true, "before it was complete"},
		{"an answer that is garbage", lines(`<<<`), true, "<<<"},
		{"an empty answer", lines(), true, "before it was complete"},
		{"too many tool calls", lines(`{"message":{"content":"","tool_calls":[` + strings.Repeat(`{"function":{"name":"x","arguments":{}}},`, 70) + `{"function":{"name":"x","arguments":{}}}]},"done":true}`), false, "at most 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := model.Providers{}.Chat(t.Context(), newOllama(t, test.chat), question, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "ask model local: ") {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			if model.Later(err) != test.transient {
				t.Errorf("transient is %v: %v", !test.transient, err)
			}
		})
	}
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := model.Providers{}.Chat(t.Context(), newModel(server.URL), question, nil)
	if !model.Later(err) || !strings.Contains(err.Error(), "start it with `ollama serve`") {
		t.Errorf("got %v", err)
	}
}

func TestOllamaHostIsAskedWhereTheModelNamesNoEndpoint(t *testing.T) {
	m := newOllama(t, lines(`{"message":{"content":"here"},"done":true}`))
	t.Setenv("OLLAMA_HOST", m.Spec.Endpoint)
	m.Spec.Endpoint = ""
	got, err := model.Providers{}.Chat(t.Context(), m, question, nil)
	if err != nil || got.Text != "here" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestACancelledQuestionReachesTheServer(t *testing.T) {
	left := make(chan struct{})
	m := newOllama(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"message":{"content":"one"},"done":false}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := model.Providers{}.Chat(ctx, m, question, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) || model.Later(err) {
		t.Errorf("got %v", err)
	}
	<-left
}

func TestAnAnswerWithoutEndIsCut(t *testing.T) {
	m := newOllama(t, func(w http.ResponseWriter, r *http.Request) {
		line := `{"message":{"content":"` + strings.Repeat("ü", 100_000) + `"},"done":false}`
		for r.Context().Err() == nil {
			fmt.Fprintln(w, line)
		}
	})
	size := 0
	got, err := model.Providers{}.Chat(t.Context(), m, question, func(piece string) { size += len(piece) })
	if err != nil || got.Finish != plugins.FinishLength || len(got.Text) != model.MaxText || size != len(got.Text) {
		t.Errorf("got %d bytes, %d in pieces, finish %q, %v", len(got.Text), size, got.Finish, err)
	}
}

func TestASecretIsHiddenBeforeAnErrorIsCut(t *testing.T) {
	const key = "hunter2-hunter2-hunter2"
	for offset := range len(key) {
		m := newOllama(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"`+strings.Repeat(".", 290-offset)+key+strings.Repeat(".", 300)+`"}`, http.StatusBadRequest)
		})
		asked := model.Providers{Hide: func(text string) string { return strings.ReplaceAll(text, key, "[redacted]") }}
		if _, err := asked.Chat(t.Context(), m, question, nil); err == nil || strings.Contains(err.Error(), key[:6]) || len(err.Error()) > 500 {
			t.Fatalf("got %v", err)
		}
	}
}

// A digest goes to a terminal and into mainstay.lock, whoever serves it.
func TestOllamaIsBelievedNoDigestThatIsNone(t *testing.T) {
	for _, told := range []string{"", "\x1b[31m" + strings.Repeat("a", 59), strings.Repeat("A", 64), strings.Repeat("a", 65)} {
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			body := map[string]any{"models": []any{map[string]any{"name": "qwen3:4b", "digest": told}}}
			if err := json.NewEncoder(w).Encode(body); err != nil {
				t.Error(err)
			}
		})
		m := newModel(server.URL)
		if got, err := (model.Providers{}).Digest(t.Context(), m); err == nil || !strings.Contains(err.Error(), "tells no digest of it") {
			t.Errorf("%q: got %q, %v", told, got, err)
		}
		if all, err := (model.Providers{}).Installed(t.Context(), m); err != nil || len(all) != 1 || all[0].Digest != "" {
			t.Errorf("%q: got %+v, %v", told, all, err)
		}
	}
}

// What is not a stream is read whole, but not without end.
func TestOllamaCannotFillTheMemory(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		for err := error(nil); err == nil && r.Context().Err() == nil; {
			_, err = w.Write(make([]byte, 1<<20))
		}
	})
	_, err := model.Providers{}.Installed(t.Context(), newModel(server.URL))
	if err == nil || !strings.Contains(err.Error(), "it sends more than 64 MiB") || model.ReasonOf(err) != model.Unavailable {
		t.Errorf("got %v", err)
	}
}

// The end of a line that is too long or broke off is read as one that is no JSON.
func TestOllamaSaysWhyALineBrokeOff(t *testing.T) {
	m := newOllama(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for err := error(nil); err == nil; {
			_, err = w.Write([]byte(strings.Repeat("x", 1<<20)))
		}
	})
	_, err := model.Providers{}.Chat(t.Context(), m, question, nil)
	if err == nil || !strings.Contains(err.Error(), "broke off: it sends an event of more than 7 MiB") {
		t.Errorf("got %v", err)
	}
}
