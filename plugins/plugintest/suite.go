package plugintest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// Run runs the suite against a runtime: its executable, absolute, and the arguments it is started with.
func Run(t *testing.T, command ...string) {
	runtime := start(t, command)
	for _, test := range []struct {
		name string
		run  func(*testing.T, pluginpb.RuntimeClient)
	}{
		{"describes itself", describes},
		{"returns the model's answer", answers},
		{"calls tools and shows the model their results", calls},
		{"sends parallel calls in order", parallel},
		{"takes deltas", deltas},
		{"takes a tool that fails, and a refused one", failures},
		{"fails when the model is refused", refused},
		{"ends a cancelled run within two seconds", cancelled},
		{"lives on after a run whose host is gone", abandoned},
		{"takes and gives 3 MiB", large},
		{"keeps runs apart that happen at once", apart},
		{"asks the same again when it is answered the same", replayed},
		{"ignores what it does not know", unknown},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, runtime) })
	}
}

func describes(t *testing.T, runtime pluginpb.RuntimeClient) {
	info, err := runtime.Describe(t.Context(), &pluginpb.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if info.GetName() == "" || !slices.Contains(info.GetProtocolVersions(), plugins.ProtocolVersion) {
		t.Errorf("it is %v, want a name and protocol version %d", info, plugins.ProtocolVersion)
	}
}

func answers(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run-1", "Say hello.")
	var asked plugins.ModelRequest
	r := p.asks(t, plugins.KindModel, &asked)
	if n := len(asked.Messages); n == 0 || asked.Messages[n-1].Role != plugins.RoleUser || !strings.Contains(asked.Messages[n-1].Text, "Say hello.") {
		t.Errorf("the conversation is %+v, want the task last, from the user", asked.Messages)
	}
	if want := []string{"probe__fetch", "probe__look"}; !slices.Equal(asked.Tools, want) {
		t.Errorf("the tools are %v, want %v", asked.Tools, want)
	}
	if strings.Contains(string(r.Body), "run-1") {
		t.Errorf("the request holds the run's id: %s", r.Body)
	}
	p.answer(t, r, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	if output := p.returns(t); output != "hello" {
		t.Errorf("the output is %q, want hello", output)
	}
}

func use(id, name, arguments string) plugins.ToolUse {
	return plugins.ToolUse{ID: id, Name: name, Arguments: json.RawMessage(arguments)}
}

// turn has the model ask for calls.
func (p *peer) turn(t *testing.T, uses ...plugins.ToolUse) {
	t.Helper()
	var asked plugins.ModelRequest
	p.answer(t, p.asks(t, plugins.KindModel, &asked), plugins.ModelAnswer{Text: "One moment.", Calls: uses, Finish: plugins.FinishCalls})
}

// called takes the next request, which must be this call.
func (p *peer) called(t *testing.T, want plugins.ToolUse) request {
	t.Helper()
	var call plugins.ToolCall
	r := p.asks(t, plugins.KindTool, &call)
	canonical, err := plugins.Canonical(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Body) != string(canonical) || r.Call != want.ID {
		t.Errorf("it called %s, want %s", r.Body, canonical)
	}
	return r
}

// finish checks that the model is shown these results, last, and ends the run.
func (p *peer) finish(t *testing.T, output string, want ...plugins.Message) {
	t.Helper()
	var asked plugins.ModelRequest
	r := p.asks(t, plugins.KindModel, &asked)
	shown := asked.Messages[max(0, len(asked.Messages)-len(want)):]
	for i, message := range shown {
		if message.Role != plugins.RoleTool || message.CallID != want[i].CallID || !strings.Contains(message.Text, want[i].Text) {
			t.Errorf("result %d is %+v, want one with %+v", i, message, want[i])
		}
	}
	if before := len(asked.Messages) - len(want) - 1; before < 0 {
		t.Fatalf("the conversation has %d messages", len(asked.Messages))
	} else if m := asked.Messages[before]; m.Role != plugins.RoleAssistant || len(m.Calls) != len(want) {
		t.Errorf("before the results comes %+v, want the answer that called", m)
	}
	p.answer(t, r, plugins.ModelAnswer{Text: output, Finish: plugins.FinishStop})
	if got := p.returns(t); got != output {
		t.Errorf("the output is %.100q, want %.100q", got, output)
	}
}

func calls(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Look.")
	look := use("c1", "probe__look", `{"at":"the <sky>","n":12345678901234567890,"z":{"b":1,"a":[1.5,null]}}`)
	p.turn(t, look)
	p.answer(t, p.called(t, look), plugins.ToolResult{Text: "blue"})
	p.finish(t, "It is blue.", plugins.Message{CallID: "c1", Text: "blue"})
}

func parallel(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Look everywhere.")
	var uses []plugins.ToolUse
	for i := range 20 {
		uses = append(uses, use(fmt.Sprint("c", i), "probe__look", fmt.Sprintf(`{"at":"%d"}`, i)))
	}
	p.turn(t, uses...)
	var asked []request
	for _, u := range uses { // all of them come before the first is answered
		asked = append(asked, p.called(t, u))
	}
	var results []plugins.Message
	for i, r := range slices.Backward(asked) {
		p.answer(t, r, plugins.ToolResult{Text: fmt.Sprint("seen ", i)})
	}
	for i := range uses {
		results = append(results, plugins.Message{CallID: fmt.Sprint("c", i), Text: fmt.Sprint("seen ", i)})
	}
	p.finish(t, "All seen.", results...)
}

func deltas(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Say hello.")
	var asked plugins.ModelRequest
	r := p.asks(t, plugins.KindModel, &asked)
	for range 1000 { // a runtime that asked for none ignores them
		p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Delta{Delta: &pluginpb.Delta{Id: r.id, Text: "hel"}}})
	}
	p.answer(t, r, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	if output := p.returns(t); output != "hello" {
		t.Errorf("the output is %q, want the answer and not the deltas", output)
	}
}

func failures(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Look.")
	broken, forbidden := use("c1", "probe__look", `{}`), use("c2", "probe__fetch", `{}`)
	p.turn(t, broken, forbidden)
	first, second := p.called(t, broken), p.called(t, forbidden)
	p.answer(t, first, plugins.ToolResult{Text: "the lens is broken", IsError: true})
	p.refuse(t, second, "the policy says no")
	p.finish(t, "I cannot.", plugins.Message{CallID: "c1", Text: "the lens is broken"}, plugins.Message{CallID: "c2", Text: "the policy says no"})
}

func refused(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Say hello.")
	var asked plugins.ModelRequest
	p.refuse(t, p.asks(t, plugins.KindModel, &asked), "the budget is spent")
	_, end := p.next(t)
	if !strings.Contains(end.GetFailure().GetMessage(), "the budget is spent") {
		t.Errorf("the run ended with %v, want a failure that says why", end)
	}
}

func cancelled(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Look.")
	look := use("c1", "probe__look", `{}`)
	p.turn(t, look)
	p.called(t, look)
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Cancel{Cancel: &pluginpb.Cancel{Reason: "the agent was replaced"}}})
	cancelled := time.Now()
	_, end := p.next(t)
	if end.GetFailure() == nil {
		t.Errorf("the run ended with %v, want a failure", end)
	}
	if _, err := p.stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the failure came %v, want the end of the stream", err)
	}
	if took := time.Since(cancelled); took > 2*time.Second {
		t.Errorf("it took %s, more than 2s", took)
	}
}

func abandoned(t *testing.T, runtime pluginpb.RuntimeClient) {
	t.Run("a run that is cut off", func(t *testing.T) {
		p := begin(t, runtime, "run", "Look.") // its stream is cut when this subtest ends
		var asked plugins.ModelRequest
		p.asks(t, plugins.KindModel, &asked)
	})
	answers(t, runtime)
}

func large(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Look.")
	look, text := use("c1", "probe__look", `{}`), strings.Repeat("x", 3<<20)
	p.turn(t, look)
	p.answer(t, p.called(t, look), plugins.ToolResult{Text: text})
	p.finish(t, text, plugins.Message{CallID: "c1", Text: text})
}

func apart(t *testing.T, runtime pluginpb.RuntimeClient) {
	t.Run("runs", func(t *testing.T) {
		for i := range 8 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				task := fmt.Sprintf("Look at number %d.", i)
				p := begin(t, runtime, fmt.Sprint("run-", i), task)
				for n := range 5 {
					look := use(fmt.Sprint("c", n), "probe__look", fmt.Sprintf(`{"at":"%d"}`, i))
					p.turn(t, look)
					p.answer(t, p.called(t, look), plugins.ToolResult{Text: fmt.Sprint("seen by ", i)})
				}
				last := use("c9", "probe__fetch", `{}`)
				p.turn(t, last)
				p.answer(t, p.called(t, last), plugins.ToolResult{Text: "done"})
				p.finish(t, fmt.Sprint("output ", i), plugins.Message{CallID: "c9", Text: "done"})
				for _, asked := range p.asked {
					if strings.Contains(asked, plugins.KindModel+" ") && !strings.Contains(asked, task) {
						t.Errorf("a conversation lacks its own task: %s", asked)
					}
				}
			})
		}
	})
}

func replayed(t *testing.T, runtime pluginpb.RuntimeClient) {
	live := func(run string) []string {
		p := begin(t, runtime, run, "Look twice.")
		first, second := use("c1", "probe__look", `{"at":"a"}`), use("c2", "probe__fetch", `{ "z": 1, "a": 2 }`)
		p.turn(t, first, second)
		one, two := p.called(t, first), p.called(t, second)
		p.answer(t, two, plugins.ToolResult{Text: "2", Structured: json.RawMessage(`{"b":1,"a":2}`)})
		p.answer(t, one, plugins.ToolResult{Text: "1"})
		p.finish(t, "done", plugins.Message{CallID: "c1", Text: "1"}, plugins.Message{CallID: "c2", Text: "2"})
		return p.asked
	}
	first := live("run-a")
	for _, run := range []string{"run-b", "run-c"} {
		if again := live(run); !slices.Equal(again, first) {
			t.Errorf("first it asked\n%s\nand then\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
		}
	}
}

func unknown(t *testing.T, runtime pluginpb.RuntimeClient) {
	p := begin(t, runtime, "run", "Say hello.")
	var asked plugins.ModelRequest
	r := p.asks(t, plugins.KindModel, &asked)
	// A message of a later version: a body, and a field beside it, that this version does not have.
	later := &pluginpb.HostMessage{}
	later.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "new"))
	p.send(t, later)
	answer, err := plugins.AnswerTo(r.id, r.Kind, json.RawMessage(`{"text":"hello","finish":"stop"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "new"))
	// An answer to what was not asked.
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: plugins.RefusalTo(r.id+1000, plugins.Refusal{})}})
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: answer}})
	if output := p.returns(t); output != "hello" {
		t.Errorf("the output is %q, want hello", output)
	}
}
