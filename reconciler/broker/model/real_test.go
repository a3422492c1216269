package model_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/spec"
)

// A real Ollama server is asked for everything that Mainstay asks one for, on models whose answers are written by hand.
func TestARealOllamaServer(t *testing.T) {
	server := ollamatest.Start(t)
	var providers model.Providers
	on := func(name string) *spec.Model {
		m := newModel(server.URL)
		m.Spec.Name = name
		return m
	}
	tools := []model.Tool{{Name: "weather", Description: "The weather.", InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)}}
	server.Create("talker", ollamatest.Script{Turns: [][]string{{"Good", " day", " to you."}, {"bye."}}})
	server.Create("caller", ollamatest.Script{Tools: true, Turns: [][]string{
		{"I look.", ollamatest.Call("weather", map[string]any{"city": "Paris"}), ollamatest.Call("weather", map[string]any{"city": "Rome"})}, {"It is sunny."}}})
	server.Create("endless", ollamatest.Script{Endless: true, Turns: [][]string{{" on", " and"}}})
	server.Create("reader", ollamatest.Script{Reads: true, Turns: [][]string{{"Read."}}})
	server.Create("thinker", ollamatest.Script{Thinks: true, Turns: [][]string{{ollamatest.Think, "Hm.", ollamatest.Thought, `{"ok":true}`, "It is so."}}})

	t.Run("streams its text", func(t *testing.T) {
		var pieces []string
		got, err := providers.Chat(t.Context(), on("talker"), question, func(piece string) { pieces = append(pieces, piece) })
		if err != nil || got.Text != "Good day to you." || got.Finish != plugins.FinishStop || got.Usage.Output < 3 || got.Usage.Input < 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if !slices.Equal(pieces, []string{"Good", " day", " to you."}) || got.Used.Busy <= 0 {
			t.Errorf("it came as %q, in %s", pieces, got.Used.Busy)
		}
	})
	t.Run("goes on with a conversation", func(t *testing.T) {
		got, err := providers.Chat(t.Context(), on("talker"), model.Request{Messages: []plugins.Message{
			{Role: plugins.RoleUser, Text: "hello"}, {Role: plugins.RoleAssistant, Text: "Good day to you."}, {Role: plugins.RoleUser, Text: "bye"}}}, nil)
		if err != nil || got.Text != "bye." {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("calls tools", func(t *testing.T) {
		asked := question
		asked.Tools = tools
		got, err := providers.Chat(t.Context(), on("caller"), asked, nil)
		if err != nil || got.Text != "I look." || got.Finish != plugins.FinishCalls || len(got.Calls) != 2 ||
			got.Calls[0].Name != "weather" || string(got.Calls[0].Arguments) != `{"city":"Paris"}` || string(got.Calls[1].Arguments) != `{"city":"Rome"}` {
			t.Fatalf("got %+v, %v", got, err)
		}
		asked.Messages = append(slices.Clone(asked.Messages), plugins.Message{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{
			{ID: "call-1-0", Name: "weather", Arguments: got.Calls[0].Arguments}}}, plugins.Message{Role: plugins.RoleTool, Text: "sunny", CallID: "call-1-0", Tool: "weather"})
		if got, err = providers.Chat(t.Context(), on("caller"), asked, nil); err != nil || got.Text != "It is sunny." {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a model that cannot call tools says so", func(t *testing.T) {
		asked := question
		asked.Tools = tools
		_, err := providers.Chat(t.Context(), on("talker"), asked, nil)
		if model.ReasonOf(err) != model.NoTools || !strings.Contains(err.Error(), "mainstay doctor") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a model that is not there says how to get it", func(t *testing.T) {
		_, err := providers.Chat(t.Context(), on("nobody"), question, nil)
		if model.ReasonOf(err) != model.Missing || !strings.Contains(err.Error(), "ollama pull nobody") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a conversation that is too long is not cut in silence", func(t *testing.T) {
		_, err := providers.Chat(t.Context(), on("reader"), model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: strings.Repeat("word ", 1000)}}}, nil)
		if model.ReasonOf(err) != model.ContextExceeded || !strings.Contains(err.Error(), "num_ctx") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an answer that is too long is cut", func(t *testing.T) {
		m := on("endless")
		m.Spec.Parameters = map[string]any{"num_predict": 20.0}
		got, err := providers.Chat(t.Context(), m, question, nil)
		if err != nil || got.Finish != plugins.FinishLength || !strings.HasPrefix(got.Text, "on and and") && !strings.HasPrefix(got.Text, " on and and") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("thoughts are no part of the answer, and the output schema is kept", func(t *testing.T) {
		m := on("thinker")
		m.Spec.Parameters = map[string]any{"think": true}
		asked := question
		asked.OutputSchema = json.RawMessage(`{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}`)
		got, err := providers.Chat(t.Context(), m, asked, nil)
		var answer struct{ OK bool }
		if err != nil || json.Unmarshal([]byte(got.Text), &answer) != nil || !answer.OK {
			t.Errorf("got %+v, %v", got, err)
		}
		m.Spec.Name = "talker"
		if _, err := providers.Chat(t.Context(), m, question, nil); model.ReasonOf(err) != model.Refused || !strings.Contains(err.Error(), "does not support thinking") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("embeds", func(t *testing.T) {
		got, err := providers.Embed(t.Context(), on("reader"), []string{"one", "two"})
		if err != nil || len(got) != 2 || len(got[0]) < 300 || slices.Equal(got[0], got[1]) {
			t.Errorf("got %d vectors, %v", len(got), err)
		}
	})
	t.Run("says what a model can", func(t *testing.T) {
		for name, want := range map[string]model.Described{"talker": {ContextLength: 4096}, "caller": {Tools: true, ContextLength: 4096}, "thinker": {Thinking: true, ContextLength: 4096}} {
			got, err := providers.Describe(t.Context(), on(name))
			if got.Modelfile = ""; err != nil || got != want {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		all, err := providers.Installed(t.Context(), on(""))
		if err != nil || len(all) != 5 || all[0].Name != "caller:latest" || all[0].Size < 100_000 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
	t.Run("keeps a model in memory as long as it says", func(t *testing.T) {
		m := on("talker")
		m.Spec.KeepAlive = spec.Duration(3 * time.Hour)
		if err := providers.Load(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		// The server writes it down soon after it has answered.
		for begin := time.Now(); ; {
			running, err := server.Client().ListRunning(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range running.Models {
				if left := time.Until(r.ExpiresAt); r.Name == "talker:latest" && left > 2*time.Hour && left < 4*time.Hour {
					return
				}
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("in memory are %+v", running.Models)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("is pinned by its digest", func(t *testing.T) {
		m := on("talker")
		digest, err := providers.Digest(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if m.Pin = digest; providers.CheckPin(t.Context(), m, nil) != nil {
			t.Error("it is not what it is")
		}
		m.Spec.Name = "caller"
		var mismatch *spec.LockMismatch
		if err := providers.CheckPin(t.Context(), m, nil); !errors.As(err, &mismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("is pulled from a registry", func(t *testing.T) {
		registry := ollamatest.NewRegistry(t, server)
		m := on(registry.Name("talker"))
		server.Forget("talker")
		var last model.Progress
		if err := providers.Pull(t.Context(), m, func(p model.Progress) { last = p }); err != nil {
			t.Fatal(err)
		}
		got, err := providers.Chat(t.Context(), m, question, nil)
		if err != nil || got.Text != "Good day to you." || last.Percent != 100 {
			t.Errorf("got %+v at %+v, %v", got, last, err)
		}
		if digest, err := providers.Digest(t.Context(), m); err != nil || string(digest) != registry.Digest("talker") {
			t.Errorf("its digest is %s, and the registry's %s, %v", digest, registry.Digest("talker"), err)
		}
		m.Spec.Name += "2"
		if err := providers.Pull(t.Context(), m, func(model.Progress) {}); model.ReasonOf(err) != model.Missing || !strings.Contains(err.Error(), "correct spec.name") {
			t.Errorf("got %v", err)
		}
		m.Spec.Name = "http://127.0.0.1:1/library/talker"
		if err := providers.Pull(t.Context(), m, func(model.Progress) {}); model.ReasonOf(err) != model.Unavailable || !strings.Contains(err.Error(), "spec.source.file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("is killed in the middle of an answer, and started again", func(t *testing.T) {
		m := on("endless")
		killed := false
		_, err := providers.Chat(t.Context(), m, question, func(string) {
			if !killed {
				killed = true
				server.Kill()
			}
		})
		if !killed || model.ReasonOf(err) != model.Unavailable {
			t.Fatalf("got %v", err)
		}
		if _, err = providers.Chat(t.Context(), m, question, nil); model.ReasonOf(err) != model.Unavailable || !strings.Contains(err.Error(), "ollama serve") {
			t.Errorf("got %v", err)
		}
		server.Restart()
		ctx, cancel := context.WithCancel(t.Context())
		if _, err = providers.Chat(ctx, m, question, func(string) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("makes a model of a file", func(t *testing.T) {
		script := ollamatest.Script{Turns: [][]string{{"I am made."}}}
		file, err := script.GGUF()
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		weights := model.Blob{Digest: spec.DigestBytes(file), Open: func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(bytes.NewReader(file)), nil
		}}
		var told []string
		err = providers.Create(t.Context(), on("made"), model.Recipe{Weights: weights, Template: script.Template(), Parameters: map[string]any{"num_ctx": 512, "num_thread": 1}},
			func(p model.Progress) { told = append(told, p.Doing) })
		if err != nil || opened != 1 || told[len(told)-1] != "success" {
			t.Fatalf("it says %q, %v", told, err)
		}
		if got, err := providers.Chat(t.Context(), on("made"), question, nil); err != nil || got.Text != "I am made." {
			t.Errorf("got %+v, %v", got, err)
		}
		weights.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("GGUF, but broken")), nil }
		if weights.Digest = spec.DigestBytes([]byte("GGUF, but broken")); providers.Create(t.Context(), on("broken"), model.Recipe{Weights: weights}, func(model.Progress) {}) == nil {
			t.Error("a file that is no model was made one")
		}
	})
}
