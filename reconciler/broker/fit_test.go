package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestTheOldestToolResultsAreLeftOutOfWhatTheModelReads(t *testing.T) {
	w := newWorld(t)
	// The script sees what the model is sent: how many results are whole, and that the newest one is.
	sizes := func(a, b, c int) string {
		return fmt.Sprintf("messages.filter(m, m.role == 'tool').map(m, size(m.text)) == [%d, %d, %d]", a, b, c)
	}
	w.script(spec.ScriptRule{When: sizes(500, 500, 500), Text: "all"}, spec.ScriptRule{When: sizes(67, 67, 500), Text: "the newest"})
	w.agent.Instructions = "" // They count too.
	messages := []plugins.Message{{Role: plugins.RoleUser, Text: "Go."}}
	for i := range 3 {
		id := fmt.Sprint(i)
		messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: id, Name: "x", Arguments: []byte("{}")}}},
			plugins.Message{Role: plugins.RoleTool, CallID: id, Tool: "x", Text: strings.Repeat("r", 500)})
	}
	for _, test := range []struct {
		window int
		how    string
		want   string
	}{
		{0, spec.CompactFail, `"text":"all"`},
		{600, spec.CompactFail, `"text":"all"`},
		{600, spec.CompactDropToolResults, `"text":"all"`},
		{300, spec.CompactDropToolResults, `"text":"the newest"`},
	} {
		w.agent.Model.Spec.Context = &spec.Context{Window: test.window, Compact: test.how}
		reply := w.answer(spec.RequestModel, plugins.ModelRequest{Messages: messages})
		if got := string(reply.Answer.Body); !strings.Contains(got, test.want) {
			t.Errorf("%+v: %s, %s", test, got, reply.Answer.Error)
		}
	}
}

// TestALongerRequestThanTheModelReadsIsNotSent checks that nobody is asked, and that it is said what to do.
func TestALongerRequestThanTheModelReadsIsNotSent(t *testing.T) {
	w := newWorld(t)
	s := w.talks("Well.")
	long := plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleTool, Text: strings.Repeat("x", 1000)}}}
	const begins = "ask model local: the conversation with its tools has about 343 tokens, and the model reads 300: "
	for _, test := range []struct {
		context *spec.Context
		want    string
	}{
		{&spec.Context{Window: 300}, "set spec.context.compact of Model/local to summarize or dropToolResults, raise spec.context.window, or name a fallback on contextExceeded that reads more"},
		{&spec.Context{Window: 300, Compact: spec.CompactDropToolResults}, "raise spec.context.window of Model/local, or name a fallback on contextExceeded that reads more"},
	} {
		w.agent.Model.Spec.Context = test.context
		reply := w.answer(spec.RequestModel, long)
		if reply.Answer.Error != begins+test.want || len(s.asked) > 0 || reply.Answer.Model.Attempts[0].Reason != "contextExceeded" {
			t.Errorf("%+v, asked %d times", reply.Answer, len(s.asked))
		}
	}

	exact := newWorld(t)
	exact.talks("It fits.")
	exact.agent.Model.Spec.Parameters = map[string]any{"num_ctx": 300.0}
	if reply := exact.answer(spec.RequestModel, long); !strings.Contains(string(reply.Answer.Body), "It fits.") {
		t.Errorf("what the server counts is estimated: %+v", reply.Answer)
	}

	larger := newWorld(t)
	larger.talks("All of it.")
	larger.agent.Model.Name = "larger"
	w.agent.Model.Others = []*spec.Model{larger.agent.Model}
	w.agent.Model.Spec.Fallbacks = []spec.Fallback{{Model: "larger", On: []string{"contextExceeded"}}}
	if reply := w.answer(spec.RequestModel, long); !strings.Contains(string(reply.Answer.Body), "All of it.") || len(s.asked) > 0 {
		t.Errorf("%+v", reply.Answer)
	}
}

// worked is a conversation of a run after so many calls of a tool.
func worked(calls, bytes int) []plugins.Message {
	messages := []plugins.Message{{Role: plugins.RoleUser, Text: "Find the fault."}}
	for i := range calls {
		id := fmt.Sprint(i)
		messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: id, Name: "look", Arguments: []byte(`{"at":` + id + `}`)}}},
			plugins.Message{Role: plugins.RoleTool, CallID: id, Tool: "look", Text: "result " + id + " " + strings.Repeat("r", bytes)})
	}
	return messages
}

// roles are the first letters of what a model was sent.
func roles(asked api.ChatRequest) string {
	s := ""
	for _, m := range asked.Messages {
		s += m.Role[:1]
	}
	return s
}

func TestTheOldestMessagesOfARunAreSummarized(t *testing.T) {
	w := newWorld(t)
	w.agent.Instructions = "Help."
	s := w.talks("They looked at 0.", "First.", "Second.", "They looked at more.", "Third.")
	w.agent.Model.Spec.Context = &spec.Context{Window: 1000, Compact: spec.CompactSummarize}
	ask := func(messages []plugins.Message) spec.Answer {
		t.Helper()
		return *w.answer(spec.RequestModel, plugins.ModelRequest{Messages: messages}).Answer
	}

	answer := ask(worked(8, 400))
	if len(s.asked) != 2 || roles(s.asked[0]) != "su" || !strings.Contains(s.asked[0].Messages[0].Content, "Write a summary") {
		t.Fatalf("it was asked %+v", s.asked)
	}
	if material := s.asked[0].Messages[1].Content; !strings.Contains(material, `calls look with {\"at\":0}`) || !strings.Contains(material, "look answers: result 0") {
		t.Errorf("the summary is made of %s", material)
	}
	sent := s.asked[1].Messages
	if roles(s.asked[1]) != "suauatatat" || sent[1].Content != "Find the fault." || sent[2].Content != "They looked at 0." || sent[3].Content != "Go on." || !strings.HasPrefix(sent[9].Content, "result 7 ") {
		t.Errorf("it was sent %s: %+v", roles(s.asked[1]), sent)
	}
	if answer.Usage.Input != 20 || answer.Usage.Output != 6 || answer.Model.Compacted != "the oldest messages are a summary: 11" {
		t.Errorf("the record has %+v, %+v", answer.Usage, answer.Model)
	}

	// What was summarized stays so, as long as it suffices.
	if answer = ask(worked(9, 400)); len(s.asked) != 3 || answer.Usage.Input != 10 || answer.Model.Compacted != "the oldest messages are a summary: 11" {
		t.Errorf("it was asked %d times: %+v", len(s.asked), answer)
	}
	if sent := s.asked[2].Messages; sent[2].Content != "They looked at 0." {
		t.Errorf("it was sent %+v", sent)
	}

	// The next summary is made of the last one, and of what has come since.
	if ask(worked(14, 400)); len(s.asked) != 5 || !strings.Contains(s.asked[3].Messages[1].Content, "They looked at 0.") || strings.Contains(s.asked[3].Messages[1].Content, "result 0") {
		t.Errorf("it was asked %d times, at last %+v", len(s.asked), s.asked[3])
	}
}

func TestAModelThatWritesNoSummary(t *testing.T) {
	w := newWorld(t)
	s := w.talks(" ")
	w.agent.Model.Spec.Context = &spec.Context{Window: 1000, Compact: spec.CompactSummarize}
	reply := w.answer(spec.RequestModel, plugins.ModelRequest{Messages: worked(8, 400)})
	if !strings.Contains(reply.Answer.Error, "the model wrote nothing: raise spec.context.window") || len(s.asked) != 2 {
		t.Errorf("asked %d times: %+v", len(s.asked), reply.Answer)
	}
	if used := reply.Answer.Model.Attempts[0].Usage; used == nil || used.Input != 20 || used.Output != 6 {
		t.Errorf("of two requests for a summary it counts %+v", used)
	}
}

// TestWhatASummaryTookIsKnown checks that nobody writes at no cost what its server does not count, and that an answer which breaks off
// after a summary counts beside it.
func TestWhatASummaryTookIsKnown(t *testing.T) {
	for _, test := range []struct {
		name, summary, answer string
		input, output         int // at least
	}{
		{"a summary without end", strings.Repeat(`{"message":{"content":"`+strings.Repeat("x y z 1 ", 8000)+`"}}`+"\n", 40), `{"message":{"content":"Well."},"done":true,"prompt_eval_count":10,"eval_count":3}`, 500, 300_000},
		{"an answer that breaks off", `{"message":{"content":"They looked."},"done":true,"prompt_eval_count":10,"eval_count":3}`, `{"message":{"content":"` + strings.Repeat("Well. ", 20) + `"}}`, 300, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				var body api.ChatRequest
				_ = json.NewDecoder(r.Body).Decode(&body)
				if strings.Contains(body.Messages[0].Content, "Write a summary") {
					fmt.Fprintln(rw, test.summary)
				} else {
					fmt.Fprintln(rw, test.answer)
				}
			}))
			t.Cleanup(server.Close)
			w.talks("")
			w.agent.Model.Spec.Endpoint, w.agent.Model.Spec.Context = server.URL, &spec.Context{Window: 1000, Compact: spec.CompactSummarize}
			reply, err := w.broker.Answer(t.Context(), w.call(spec.RequestModel, plugins.ModelRequest{Messages: worked(8, 400)}), nil)
			var used *spec.Usage
			var told interface{ Tried() *spec.ModelDecision }
			switch {
			case errors.As(err, &told):
				used = told.Tried().Attempts[0].Usage
			case err != nil:
				t.Fatal(err)
			default:
				used = reply.Answer.Usage
			}
			if used == nil || used.Input < test.input || used.Output < test.output {
				t.Errorf("it counts %+v", used)
			}
		})
	}
}

// TestAServerKnowsBetterHowLongARequestIs checks that one which refuses what was thought to fit is asked once more with less, and not for
// ever.
func TestAServerKnowsBetterHowLongARequestIs(t *testing.T) {
	for _, test := range []struct {
		how   string
		reads int
		asked int
		want  string
	}{
		{spec.CompactDropToolResults, 3000, 2, "the oldest results of tools are left out: 5"},
		{spec.CompactSummarize, 4000, 3, "the oldest messages are a summary: 13"},
		{spec.CompactFail, 4000, 1, ""},
		{spec.CompactDropToolResults, 100, 2, ""},
	} {
		t.Run(fmt.Sprint(test.how, test.reads), func(t *testing.T) {
			w := newWorld(t)
			w.agent.Instructions = ""
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked++
				var body api.ChatRequest
				_ = json.NewDecoder(r.Body).Decode(&body)
				n := 0
				for _, m := range body.Messages {
					n += len(m.Content)
				}
				if n > test.reads {
					rw.WriteHeader(http.StatusBadRequest)
					fmt.Fprint(rw, `{"error":"the request exceeds the available context size"}`)
					return
				}
				fmt.Fprintln(rw, `{"message":{"content":"Well."},"done":true,"prompt_eval_count":10,"eval_count":3}`)
			}))
			t.Cleanup(server.Close)
			w.talks("")
			w.agent.Model.Spec.Endpoint, w.agent.Model.Spec.Context = server.URL, &spec.Context{Compact: test.how}
			got := w.answer(spec.RequestModel, plugins.ModelRequest{Messages: worked(8, 600)}).Answer
			if asked != test.asked || (got.Error == "") != (test.want != "") || got.Model.Compacted != test.want {
				t.Errorf("asked %d times: %+v, %+v", asked, got, got.Model)
			}
		})
	}
}

// numbered is a text of so many words that does not repeat itself.
func numbered(words int) string {
	s := "ü"
	for i := range words {
		s += fmt.Sprint(" ", i*i)
	}
	return s
}

// TestWhatIsSummarizedIsSound checks for conversations of any shape that what a model is sent fits, that its end is as it was, and that no
// result of a tool stands without its call.
func TestWhatIsSummarizedIsSound(t *testing.T) {
	w := newWorld(t)
	w.agent.Instructions = "Help."
	s := w.talks("")
	rapid.Check(t, func(t *rapid.T) {
		s.says, s.asked = []string{numbered(rapid.IntRange(1, 600).Draw(t, "summary"))}, nil
		window := rapid.IntRange(256, 3000).Draw(t, "window")
		w.agent.Model.Spec.Context = &spec.Context{Window: window, Compact: spec.CompactSummarize}
		var messages []plugins.Message
		for i := range rapid.IntRange(1, 12).Draw(t, "turns") {
			if i == 0 || rapid.Bool().Draw(t, "user") {
				messages = append(messages, plugins.Message{Role: plugins.RoleUser, Text: strings.Repeat("é", rapid.IntRange(1, 400).Draw(t, "size"))})
			}
			said := plugins.Message{Role: plugins.RoleAssistant, Text: "Well."}
			var results []plugins.Message
			for c := range rapid.IntRange(0, 3).Draw(t, "calls") {
				id := fmt.Sprintf("%d-%d", i, c)
				said.Calls = append(said.Calls, plugins.ToolUse{ID: id, Name: "look", Arguments: []byte("{}")})
				results = append(results, plugins.Message{Role: plugins.RoleTool, CallID: id, Tool: "look", Text: strings.Repeat("r", rapid.IntRange(1, 500).Draw(t, "result"))})
			}
			messages = append(append(messages, said), results...)
		}
		reply, err := w.broker.Answer(w.t.Context(), w.call(spec.RequestModel, plugins.ModelRequest{Messages: messages}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Answer.Error != "" {
			tail := 0
			for _, m := range slices.Backward(messages) {
				if tail += len(m.Text) + 50*(1+len(m.Calls)); m.Role != plugins.RoleTool {
					break
				}
			}
			if tail < window*3/4 {
				t.Fatalf("the last messages have %d bytes for %d tokens, and %s", tail, window, reply.Answer.Error)
			}
			return
		}
		sent := s.asked[len(s.asked)-1].Messages[1:]
		bytes, calls := 0, 0
		for _, m := range sent {
			switch bytes += len(m.Content); m.Role {
			case "tool":
				if calls--; calls < 0 {
					t.Fatalf("a result without a call: %+v", sent)
				}
			default:
				if calls != 0 {
					t.Fatalf("a call without a result: %+v", sent)
				}
				calls = len(m.ToolCalls)
			}
		}
		if bytes > window*3 || sent[0].Role != "user" || sent[len(sent)-1].Content != messages[len(messages)-1].Text {
			t.Fatalf("%d bytes for %d tokens: %+v", bytes, window, sent)
		}
	})
}
