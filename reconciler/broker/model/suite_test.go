package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// asking returns Providers whose connections and goroutines must all be gone when the test ends.
func asking(t testing.TB) model.Providers {
	t.Helper()
	before := runtime.NumGoroutine()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Errorf("%d goroutines are left of %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				return
			}
		}
	})
	return model.Providers{HTTP: &http.Client{Transport: transport}}
}

// inEveryForm runs a test once for each wire format.
func inEveryForm(t *testing.T, test func(t *testing.T, f form)) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

func TestTextComesInPieces(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		used := spec.Usage{Input: 11, Output: 5, Cached: 4, Reasoning: 2}
		if f.spec.Provider == spec.ProviderOllama {
			used = spec.Usage{Input: 11, Output: 5, Busy: time.Second}
		}
		s, m := f.serve(t, said{text: []string{"good ", "d", "äy\n"}, used: used})
		var pieces []string
		got, err := p.Chat(t.Context(), m, question, func(piece string) { pieces = append(pieces, piece) })
		if err != nil {
			t.Fatal(err)
		}
		want := model.Answer{ModelAnswer: plugins.ModelAnswer{Text: "good däy\n", Finish: plugins.FinishStop, Usage: plugins.Usage{Input: 11, Output: 5}}, Used: used}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"good ", "d", "äy\n"}, pieces); diff != "" {
			t.Error(diff)
		}
		asked := s.last()
		if asked.Model != "some-model" || asked.Instructions != "Be brief." || !cmp.Equal(asked.Messages, question.Messages) {
			t.Errorf("asked %+v", asked)
		}
	})
}

func TestCallsAreAskedForAndAnswered(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		s, m := f.serve(t,
			said{text: []string{"I look."}, calls: []saidCall{{"cluster__get", []string{`{"n":`, `3,"name"`, `:"web"}`}}, {"cluster__list", []string{`{}`}}}},
			said{text: []string{"It runs."}})
		request := question
		request.Tools = toolsOf("cluster__get", "cluster__list")
		var pieces []string
		got, err := p.Chat(t.Context(), m, request, func(piece string) { pieces = append(pieces, piece) })
		if err != nil {
			t.Fatal(err)
		}
		// An empty piece says that something else than text has come.
		if len(pieces) < 3 || pieces[0] != "I look." || strings.Join(pieces[1:], "") != "" {
			t.Errorf("it comes in the pieces %q", pieces)
		}
		want := plugins.ModelAnswer{Text: "I look.", Finish: plugins.FinishCalls, Calls: []plugins.ToolUse{
			{Name: "cluster__get", Arguments: json.RawMessage(`{"n":3,"name":"web"}`)},
			{Name: "cluster__list", Arguments: json.RawMessage(`{}`)},
		}}
		if diff := cmp.Diff(want, got.ModelAnswer); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"cluster__get", "cluster__list"}, s.last().Tools); diff != "" {
			t.Error(diff)
		}
		got.Calls[0].ID, got.Calls[1].ID = "call-1-0", "call-1-1"
		request.Messages = append(append([]plugins.Message{}, request.Messages...),
			plugins.Message{Role: plugins.RoleAssistant, Text: got.Text, Calls: got.Calls},
			plugins.Message{Role: plugins.RoleTool, CallID: "call-1-0", Tool: "cluster__get", Text: "3 replicas"},
			plugins.Message{Role: plugins.RoleTool, CallID: "call-1-1", Tool: "cluster__list", Text: ""})
		if got, err = p.Chat(t.Context(), m, request, nil); err != nil || got.Text != "It runs." || got.Finish != plugins.FinishStop {
			t.Fatalf("got %+v, %v", got, err)
		}
		wanted := append([]plugins.Message{}, request.Messages...)
		if f.spec.Provider != spec.ProviderOllama { // The other APIs know a result by its call alone.
			wanted[2].Tool, wanted[3].Tool = "", ""
		}
		if diff := cmp.Diff(wanted, s.last().Messages); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnAnswerKeepsToASchema(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		s, m := f.serve(t, said{text: []string{`{"ok":`, `true}`}})
		request := question
		request.OutputSchema = json.RawMessage(`{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}`)
		got, err := p.Chat(t.Context(), m, request, nil)
		if err != nil || got.Text != `{"ok":true}` {
			t.Fatalf("got %+v, %v", got, err)
		}
		var want any
		if err := json.Unmarshal(request.OutputSchema, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.last().Schema); diff != "" {
			t.Error(diff)
		}
	})
}

func TestParametersAreSentAsTheyAre(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		s, m := f.serve(t, said{text: []string{"yes"}})
		m.Spec.Parameters = map[string]any{"temperature": 0.5, "max_tokens": 77.0, "x.y": map[string]any{"a": "b"}}
		if _, err := p.Chat(t.Context(), m, question, nil); err != nil {
			t.Fatal(err)
		}
		for name, want := range m.Spec.Parameters {
			if !cmp.Equal(s.last().Parameters[name], want) {
				t.Errorf("%s is %v, want %v", name, s.last().Parameters[name], want)
			}
		}
	})
}

func TestAnAnswerThatIsCutSaysSo(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		_, m := f.serve(t, said{text: []string{"once upon"}, cut: true})
		if got, err := p.Chat(t.Context(), m, question, nil); err != nil || got.Finish != plugins.FinishLength || got.Text != "once upon" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestArgumentsThatAreNoJSONAreGivenOn(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		if f.spec.Provider == spec.ProviderOllama {
			return // Its server reads the arguments itself.
		}
		p := asking(t)
		_, m := f.serve(t, said{calls: []saidCall{{"a", []string{`{"x":`}}, {"b", nil}}},
			said{text: []string{"I "}, calls: []saidCall{{"a", []string{`{}`}}, {"b", []string{`{"x"`}}}, cut: true})
		request := question
		request.Tools = toolsOf("a", "b")
		got, err := p.Chat(t.Context(), m, request, nil)
		if err != nil || len(got.Calls) != 2 || string(got.Calls[0].Arguments) != `"{\"x\":"` || string(got.Calls[1].Arguments) != "{}" {
			t.Errorf("got %+v, %v", got, err)
		}
		// A call that the end of the answer has cut off is none.
		if got, err = p.Chat(t.Context(), m, request, nil); err != nil || len(got.Calls) != 1 || got.Finish != plugins.FinishLength {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestWhoStopsAskingLeavesTheServer(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		s, m := f.serve(t, said{text: []string{"one"}, hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := p.Chat(ctx, m, question, func(string) { cancel() })
		if !errors.Is(err, context.Canceled) || model.Later(err) {
			t.Errorf("got %v", err)
		}
		<-s.left
	})
}

func TestAnAnswerIsCutAtTheLimit(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		_, m := f.serve(t, said{text: []string{strings.Repeat("ü", 100_000)}, forever: true})
		size := 0
		got, err := p.Chat(t.Context(), m, question, func(piece string) { size += len(piece) })
		if err != nil || got.Finish != plugins.FinishLength || len(got.Text) != model.MaxText || size != len(got.Text) {
			t.Errorf("got %d bytes, %d in pieces, finish %q, %v", len(got.Text), size, got.Finish, err)
		}
	})
}

func TestTooManyCallsAreRefused(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		p := asking(t)
		many := make([]saidCall, model.MaxCalls+1)
		for i := range many {
			many[i] = saidCall{"a", []string{"{}"}}
		}
		_, m := f.serve(t, said{calls: many}, said{calls: []saidCall{{"a", []string{`{"x":"`, strings.Repeat("x", model.MaxText), `"}`}}}})
		request := question
		request.Tools = toolsOf("a")
		for _, want := range []string{"more than 64 tool calls", "more than 1048576 bytes"} {
			if f.spec.Provider == spec.ProviderOllama && strings.Contains(want, "bytes") {
				continue // Its client reads no line of that length.
			}
			if _, err := p.Chat(t.Context(), m, request, nil); err == nil || model.ReasonOf(err) != model.Refused || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// The key and the headers reach the model's own server as its API wants them, and nobody else.
func TestTheKeyIsForOneServer(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		t.Setenv("OPENAI_API_KEY", "from-the-environment")
		t.Setenv("ANTHROPIC_API_KEY", "from-the-environment")
		p := asking(t)
		p.Secret = func(context.Context, spec.SecretRef) (secret.Value, error) { return secret.NewValue("the-key"), nil }
		s, m := f.serve(t, said{text: []string{"yes"}}, said{text: []string{"yes"}})
		if _, err := p.Chat(t.Context(), m, question, nil); err != nil {
			t.Fatal(err)
		}
		for name, values := range s.header {
			if strings.Contains(strings.Join(values, " "), "from-the-environment") {
				t.Errorf("%s is %v", name, values)
			}
		}
		m.Spec.APIKey = &spec.SecretRef{Env: "KEY"}
		m.Spec.Headers = []spec.Header{{Name: "X-Team", Value: "a"}}
		if _, err := p.Chat(t.Context(), m, question, nil); err != nil {
			t.Fatal(err)
		}
		name, want := "Authorization", "Bearer the-key"
		if f.spec.Provider == spec.ProviderAnthropic {
			name, want = "X-Api-Key", "the-key"
		}
		if s.header.Get(name) != want || s.header.Get("X-Team") != "a" {
			t.Errorf("the header is %v", s.header)
		}
		away := newServer(t, func(http.ResponseWriter, *http.Request) { t.Error("another server is asked") })
		near := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, away.URL, http.StatusTemporaryRedirect)
		})
		m.Spec.Endpoint = f.of(near.URL).Spec.Endpoint
		if _, err := p.Chat(t.Context(), m, question, nil); model.ReasonOf(err) != model.Refused ||
			!strings.Contains(err.Error(), "sends the request on to another server") || strings.Contains(err.Error(), "the-key") {
			t.Errorf("got %v", err)
		}
	})
}

// An endpoint with a query is how Azure is asked: its version is in the query, and its key in a header of its own.
func TestAQueryOfTheEndpointIsSent(t *testing.T) {
	inEveryForm(t, func(t *testing.T, f form) {
		if f.spec.Provider == spec.ProviderOllama {
			return // Its client sends none.
		}
		p := asking(t)
		var asked string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.RequestURI() + " " + r.Header.Get("Api-Key")
			http.Error(w, f.refuse("no"), http.StatusBadRequest)
		})
		m := f.of(s.URL + "/openai/deployments/gpt")
		m.Spec.Endpoint += "?api-version=2024-10-21"
		m.Spec.Headers = []spec.Header{{Name: "Api-Key", Value: "a"}}
		_, err := p.Chat(t.Context(), m, question, nil)
		want := strings.TrimPrefix(m.Spec.Endpoint, s.URL)
		want = strings.Replace(want, "?", strings.TrimPrefix(f.path, "/v1")+"?", 1) + " a"
		if f.spec.Provider == spec.ProviderAnthropic {
			want = strings.Replace(want, "/messages", "/v1/messages", 1)
		}
		if err == nil || asked != want {
			t.Errorf("asked %q, want %q: %v", asked, want, err)
		}
	})
}
