package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/spec"
)

// The demo with `--model ollama:NAME` asks a server in Ollama's protocol. Behind this one are the quickstart's own rules,
// so that the whole story must come out the same over the wire: tools offered, calls asked for, results read.
func TestTheDemoRunsOverOllama(t *testing.T) {
	fleet, problems := spec.Load(quickstart.Files(), spec.LoadOptions{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	script := fleet.Models["default"].Script
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request api.ChatRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/api/chat" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			http.Error(w, "not a chat", http.StatusBadRequest)
			return
		}
		if request.Model != "shop:1b" {
			t.Errorf("the model asked for is %q", request.Model)
		}
		if len(request.Tools) < 4 || request.Messages[0].Role != "system" || !strings.Contains(request.Messages[0].Content, "advisory") {
			t.Errorf("%d tools and %+v come first", len(request.Tools), request.Messages[0])
		}
		var conversation spec.Conversation
		for _, m := range request.Messages[1:] {
			message := spec.Message{Role: m.Role, Text: m.Content, Tool: m.ToolName, Call: m.ToolCallID}
			if m.Role == "tool" && json.Unmarshal([]byte(m.Content), &message.Result) != nil {
				message.Result = nil
			}
			conversation.Messages = append(conversation.Messages, message)
		}
		answer, err := script.Answer(conversation)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply := api.ChatResponse{Model: request.Model, Done: true, DoneReason: "stop", Message: api.Message{Role: "assistant", Content: answer.Text}}
		for _, call := range answer.Calls {
			arguments, err := json.Marshal(call.Arguments)
			function := api.ToolCallFunction{Name: call.Tool}
			if err == nil {
				err = json.Unmarshal(arguments, &function.Arguments)
			}
			if err != nil {
				t.Error(err)
			}
			reply.Message.ToolCalls = append(reply.Message.ToolCalls, api.ToolCall{Function: function})
		}
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "demo")
	cmd := exec.Command(filepath.Join(executables(t), "mainstay"), "demo", "--yes", "--dir", dir, "--model", "ollama:shop:1b")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST="+server.URL)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Deployment shop/frontend was restarted.") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheDemoSaysHowToStartOllama(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close() // Its address refuses connections from now on.
	cmd := exec.Command(filepath.Join(executables(t), "mainstay"), "demo", "--yes", "--dir", filepath.Join(t.TempDir(), "demo"), "--model", "ollama:shop:1b")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST="+server.URL)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot be reached") || !strings.Contains(string(out), "start it with `ollama serve`") {
		t.Errorf("%v\n%s", err, out)
	}
}
