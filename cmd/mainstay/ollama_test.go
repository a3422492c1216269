package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ollama/ollama/api"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/spec"
)

// scriptedOllama is a server in Ollama's protocol. Behind it are the quickstart's own rules. It returns its address, and what it has
// said in the first run so far.
func scriptedOllama(t *testing.T) (url string, said func() []spec.ScriptAnswer) {
	t.Helper()
	fleet, problems := spec.Load(quickstart.Files(), spec.LoadOptions{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	script := fleet.Models["default"].Script
	var mu sync.Mutex
	var all []spec.ScriptAnswer
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"models":[{"name":"shop:1b","digest":"%064d"}]}`, 1)
	})
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"capabilities":["tools"]}`) })
	mux.HandleFunc("POST /api/chat", func(w http.ResponseWriter, r *http.Request) {
		var request api.ChatRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
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
		turns := 0
		for _, m := range request.Messages[1:] {
			if m.Role == "assistant" {
				turns++
			}
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
		mu.Lock()
		if turns == len(all) { // Not of the run that the merge starts, which begins again and ends sooner.
			all = append(all, answer)
		}
		mu.Unlock()
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
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, func() []spec.ScriptAnswer {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// demoOver runs the demo with the model shop:1b of a server, and returns what it prints.
func demoOver(t *testing.T, server string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(executables(t), "mainstay"), "demo", "--yes", "--dir", filepath.Join(t.TempDir(), "demo"), "--model", "ollama:shop:1b")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST="+server)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Deployment shop/frontend was restarted.") {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// The demo with `--model ollama:NAME` asks a server in Ollama's protocol. The whole story must come out the same over the wire: tools
// offered, calls asked for, results read.
func TestTheDemoRunsOverOllama(t *testing.T) {
	server, _ := scriptedOllama(t)
	demoOver(t, server)
}

// A real Ollama server, with a model that says what the quickstart's rules say, tells the same story.
func TestTheDemoRunsOverARealOllama(t *testing.T) {
	server := ollamatest.Start(t)
	scripted, said := scriptedOllama(t)
	demoOver(t, scripted)
	script := ollamatest.Script{Tools: true}
	for _, answer := range said() {
		var turn []string
		if answer.Text != "" {
			turn = append(turn, answer.Text)
		}
		for _, call := range answer.Calls {
			turn = append(turn, ollamatest.Call(call.Tool, call.Arguments))
		}
		script.Turns = append(script.Turns, turn)
	}
	server.Create("shop:1b", script)
	if out := demoOver(t, server.URL); !strings.Contains(out, "shop:1b is there") {
		t.Errorf("it does not tell of its model:\n%s", out)
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
