package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// seer is `seer VAR`: it starts a server that speaks OpenAI's protocol, and puts the base URL into a variable. Its model calls the first
// tool that it is offered, once, and then says of what bytes the images are that it was shown.
func seer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "seer VAR")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Messages []struct {
				Role    string          `json:"role"`
				Content json.RawMessage `json:"content"`
			} `json:"messages"`
			Tools []struct {
				Function struct {
					Name string `json:"name"`
				} `json:"function"`
			} `json:"tools"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		said, called := "I see", false
		for _, m := range asked.Messages {
			called = called || m.Role == "tool"
			var parts []struct {
				ImageURL struct {
					URL string `json:"url"`
				} `json:"image_url"`
			}
			_ = json.Unmarshal(m.Content, &parts) // A text has no parts.
			for _, p := range parts {
				if kind, data, ok := strings.Cut(p.ImageURL.URL, ";base64,"); ok {
					raw, err := base64.StdEncoding.DecodeString(data)
					said += fmt.Sprintf(" %s %x %v", kind, sha256.Sum256(raw), err)
				}
			}
		}
		delta := map[string]any{"role": "assistant", "content": said}
		finish := "stop"
		if len(asked.Tools) > 0 && !called {
			finish, delta = "tool_calls", map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{"index": 0, "id": "c", "type": "function",
				"function": map[string]any{"name": asked.Tools[0].Function.Name, "arguments": "{}"}}}}
		}
		chunk, err := json.Marshal(map[string]any{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []any{
			map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", chunk)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL+"/v1")
}

// picture is `picture BASE64 FILE`: it writes a file that is no text.
func picture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "picture BASE64 FILE")
	raw, err := base64.StdEncoding.DecodeString(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o600))
}
