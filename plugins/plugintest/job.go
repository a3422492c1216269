package plugintest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

const jobHint = "See \"A run\" in plugins/README.md for the messages of the standard job, in their order."

// jobChecks hold a runtime to the standard job, see the package's doc.
var jobChecks = []check{
	{"answer", "asks the model with the task and returns its answer", jobHint, answers},
	{"history", "begins the conversation with the thread's history", "Put Start.history, unchanged, before the task.", history},
	{"tools", "calls tools and shows the model their results", jobHint, calls},
	{
		"parallel", "sends all calls of an answer before it waits for the first result",
		"Send the calls one after another in the order of the answer, then wait for all; give concurrent branches lanes of their own.", parallel,
	}, {
		"outstanding", "keeps at most 64 requests waiting",
		"Hold further requests back until answers come: the host ends a run with more.", outstanding,
	}, {
		"tool-errors", "shows the model tools that fail and calls that are refused",
		"Make a tool's message of a result with is_error, and of a Refusal, that holds its text.", toolErrors,
	}, {
		"refusals", "ends the run with a Failure that says why the model was refused",
		"Put the Refusal's message into the Failure, whatever its code is.", refusals,
	}, {
		"check", "has its output checked where the host asks for it",
		"Say the feature \"check\" in Describe, and send a CheckRequest with the output before the Result, add its problem as the user's next message, ask the model again. Or never check.",
		checked,
	}, {
		"images", "passes images on to the model where it says so",
		"Say the feature \"images\" in Describe, and put Start.images into the message of the task, and those of a ToolResult into the tool's. Or do not say it.",
		showsImages,
	},
}

// system takes the agent's own system messages off the beginning of a conversation.
func system(messages []plugins.Message) []plugins.Message {
	for len(messages) > 0 && messages[0].Role == plugins.RoleSystem {
		messages = messages[1:]
	}
	return messages
}

func answers(t *trial) { t.saysHello("run-1") }

// saysHello does the shortest run.
func (t *trial) saysHello(run string) {
	p := t.begin(run, "Say hello.")
	defer p.cut()
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	if m := system(asked.Messages); len(m) != 1 || m[0].Role != plugins.RoleUser || m[0].Text != "Say hello." {
		p.fail("a conversation of one message of the user, the task", "%s", r.Body)
	}
	if want := []string{"probe__fetch", "probe__look"}; !slices.Equal(asked.Tools, want) {
		p.fail(fmt.Sprintf("the tools %v offered to the model", want), "%v", asked.Tools)
	}
	p.answer(r, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	p.returns("hello")
}

func history(t *trial) {
	p := t.beginWith(&pluginpb.Start{Run: "run-1", Task: "And now?", History: []*pluginpb.Message{
		{Role: plugins.RoleUser, Text: "Say hello."}, {Role: plugins.RoleAssistant, Text: "hello"},
		{Role: plugins.RoleUser, Text: ""}, {Role: plugins.RoleAssistant, Text: "Yes?"},
	}})
	defer p.cut()
	want := []plugins.Message{
		{Role: plugins.RoleUser, Text: "Say hello."}, {Role: plugins.RoleAssistant, Text: "hello"},
		{Role: plugins.RoleUser}, {Role: plugins.RoleAssistant, Text: "Yes?"}, {Role: plugins.RoleUser, Text: "And now?"},
	}
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	if got := system(asked.Messages); !slices.EqualFunc(got, want, sameMessage) {
		p.fail("the messages "+text(want), "%s", text(got))
	}
	p.answer(r, plugins.ModelAnswer{Text: "Nothing.", Finish: plugins.FinishStop})
	p.returns("Nothing.")
}

func sameMessage(a, b plugins.Message) bool { return text(a) == text(b) }

// text is a value as canonical JSON, for people and for comparing.
func text(v any) string {
	b, err := plugins.Canonical(v)
	if err != nil {
		return err.Error()
	}
	return shorten(string(b), 4*maxText)
}

func use(id, name, arguments string) plugins.ToolUse {
	return plugins.ToolUse{ID: id, Name: name, Arguments: json.RawMessage(arguments)}
}

// looks are n calls of a tool.
func looks(n int) []plugins.ToolUse {
	var uses []plugins.ToolUse
	for i := range n {
		uses = append(uses, use(fmt.Sprint("c", i), "probe__look", fmt.Sprintf(`{"at":"%d"}`, i)))
	}
	return uses
}

// turn has the model ask for calls.
func (p *peer) turn(uses ...plugins.ToolUse) {
	var asked plugins.ModelRequest
	p.answer(p.asks(plugins.KindModel, &asked), plugins.ModelAnswer{Text: "One moment.", Calls: uses, Finish: plugins.FinishCalls})
}

// called takes the requests of these calls, before any is answered, and returns them in the order of the calls.
func (p *peer) called(want ...plugins.ToolUse) []request {
	requests := make([]request, len(want))
	for _, c := range p.calledSome(len(want), want) {
		requests[c.index] = c.request
	}
	return requests
}

// call is the request of one of several calls.
type call struct {
	request
	index int
}

// calledSome takes the requests of n of these calls, in the order in which they come, which is the order of the calls in each
// lane.
func (p *peer) calledSome(n int, want []plugins.ToolUse) []call {
	var calls []call
	for range n {
		var body plugins.ToolCall
		r := p.asks(plugins.KindTool, &body)
		i := slices.IndexFunc(want, func(u plugins.ToolUse) bool { return u.ID == body.ID })
		if i < 0 {
			p.stop("a call with one of the ids that the model gave", "%s", r.Body)
		}
		if got, as := string(r.Body), text(want[i]); got != as {
			p.fail("the call as the model made it: "+as, "%s", got)
		}
		for _, before := range calls {
			switch {
			case before.index == i:
				p.stop("each call once", "a second %s", r.Body)
			case before.Lane == r.Lane && before.index > i:
				p.stop("the calls of the lane "+r.Lane+" in the order of the answer", "%s after %s", body.ID, want[before.index].ID)
			}
		}
		calls = append(calls, call{r, i})
	}
	return calls
}

// finish checks that the model is shown these results, last, and ends the run.
func (p *peer) finish(output string, want ...plugins.Message) {
	p.answer(p.shown(want...), plugins.ModelAnswer{Text: output, Finish: plugins.FinishStop})
	p.returns(output)
}

// shown takes the request that shows the model the results of calls, in the order of the calls.
func (p *peer) shown(want ...plugins.Message) request {
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	results := asked.Messages[max(0, len(asked.Messages)-len(want)):]
	for i, m := range want {
		if len(results) != len(want) || results[i].Role != plugins.RoleTool || results[i].CallID != m.CallID || !strings.Contains(results[i].Text, m.Text) {
			p.stop(fmt.Sprintf("a tool's message with tool_call_id %s and the text %q as number %d of the last %d messages", m.CallID, shorten(m.Text, maxText), i+1, len(want)),
				"%s", shorten(string(r.Body), maxText))
		}
	}
	before := len(asked.Messages) - len(want) - 1
	if before < 0 || asked.Messages[before].Role != plugins.RoleAssistant || len(asked.Messages[before].Calls) != len(want) {
		p.stop(fmt.Sprintf("before the results the assistant's message with its %d tool_uses", len(want)), "%s", shorten(string(r.Body), maxText))
	}
	return r
}

func calls(t *trial) {
	p := t.begin("run", "Look.")
	defer p.cut()
	look := use("c1", "probe__look", `{"at":"the <sky>","n":12345678901234567890,"z":{"b":1,"a":[1.5,null]}}`)
	p.turn(look)
	p.answer(p.called(look)[0], plugins.ToolResult{Text: "blue"})
	next := use("c2", "probe__fetch", ``)
	r := p.shown(plugins.Message{CallID: "c1", Text: "blue"})
	p.answer(r, plugins.ModelAnswer{Calls: []plugins.ToolUse{next}, Finish: plugins.FinishCalls})
	p.answer(p.called(next)[0], plugins.ToolResult{Structured: json.RawMessage(`{"found":"it"}`)})
	p.finish("It is blue.", plugins.Message{CallID: "c2", Text: "it"})
}

func parallel(t *trial) {
	p := t.begin("run", "Look everywhere.")
	defer p.cut()
	uses := looks(20)
	p.turn(uses...)
	asked := p.called(uses...) // all of them come before the first is answered
	var results []plugins.Message
	for i, r := range slices.Backward(asked) {
		p.answer(r, plugins.ToolResult{Text: fmt.Sprint("seen ", i)})
	}
	for i := range uses {
		results = append(results, plugins.Message{CallID: fmt.Sprint("c", i), Text: fmt.Sprint("seen ", i)})
	}
	p.finish("All seen.", results...)
}

func outstanding(t *trial) {
	p := t.begin("run", "Look everywhere.")
	defer p.cut()
	uses := looks(3 * plugins.MaxOutstanding)
	p.turn(uses...)
	waiting := p.calledSome(plugins.MaxOutstanding, uses)
	p.quiet(fmt.Sprintf("no more than %d requests before one of them is answered", plugins.MaxOutstanding))
	results := make([]plugins.Message, len(uses))
	for n := range uses {
		i := waiting[n].index
		p.answer(waiting[n].request, plugins.ToolResult{Text: fmt.Sprint("seen ", i)})
		results[i] = plugins.Message{CallID: uses[i].ID, Text: fmt.Sprint("seen ", i)}
		if n+plugins.MaxOutstanding < len(uses) {
			waiting = append(waiting, p.calledSome(1, uses)...)
		}
	}
	p.finish("All seen.", results...)
}

func toolErrors(t *trial) {
	p := t.begin("run", "Look.")
	defer p.cut()
	uses := []plugins.ToolUse{use("c1", "probe__look", `{}`), use("c2", "probe__fetch", `{}`), use("c3", "probe__look", `{}`), use("c4", "no_such_tool", `{}`)}
	p.turn(uses...)
	asked := p.called(uses...)
	p.answer(asked[0], plugins.ToolResult{Text: "the lens is broken", IsError: true})
	p.refuse(asked[1], plugins.RefusedByHost, "the policy says no")
	p.refuse(asked[2], plugins.RefusedInvalid, "the call is not valid")
	p.refuse(asked[3], "a-later-code", "there is no such tool")
	p.finish("I cannot.", plugins.Message{CallID: "c1", Text: "the lens is broken"}, plugins.Message{CallID: "c2", Text: "the policy says no"},
		plugins.Message{CallID: "c3", Text: "the call is not valid"}, plugins.Message{CallID: "c4", Text: "there is no such tool"})
}

func refusals(t *trial) {
	for _, code := range []string{plugins.RefusedByHost, plugins.RefusedInvalid, plugins.RefusedUnsupported, "a-later-code", ""} {
		p := t.begin("run", "Say hello.")
		var asked plugins.ModelRequest
		p.refuse(p.asks(plugins.KindModel, &asked), code, "the budget is spent")
		const expected = "a Failure with the refusal's message, \"the budget is spent\""
		if end := p.ends(expected); !strings.Contains(end.GetFailure().GetMessage(), "the budget is spent") {
			p.fail(expected, "%s, for a refusal with the code %q", describeEnd(end), code)
		}
		p.cut()
	}
}

func checked(t *trial) {
	start := &pluginpb.Start{Run: "run", Task: "Count.", OutputSchemaJson: `{"type":"object"}`, Check: true}
	p := t.beginWith(start)
	defer p.cut()
	var asked plugins.ModelRequest
	p.answer(p.asks(plugins.KindModel, &asked), plugins.ModelAnswer{Text: "four", Finish: plugins.FinishStop})
	if !t.has(plugins.FeatureCheck) {
		// A runtime that never checks is one whose output cannot be mended: the host checks the Result.
		const expected = "a Result \"four\", for Describe does not say the feature \"check\""
		if r, end := p.next(expected); end == nil {
			p.stop(expected, "a request of kind %s", r.Kind)
		} else if end.GetResult().GetOutput() != "four" {
			p.fail(expected, "%s", describeEnd(end))
		}
		p.closed()
		return
	}
	for _, problem := range []string{"It must be JSON.", "It must be an object."} {
		var check plugins.CheckRequest
		r := p.asks(plugins.KindCheck, &check)
		if check.Output != "four" {
			p.fail("the model's answer, \"four\", to be checked", "%q", check.Output)
		}
		p.answer(r, plugins.CheckAnswer{Problem: problem})
		r = p.asks(plugins.KindModel, &asked)
		last := asked.Messages[max(0, len(asked.Messages)-2):]
		if len(last) != 2 || last[0].Role != plugins.RoleAssistant || last[0].Text != "four" || last[1].Role != plugins.RoleUser || !strings.Contains(last[1].Text, problem) {
			p.fail(fmt.Sprintf("a conversation that ends with the answer \"four\" and %q as the user's message", problem), "%s", r.Body)
		}
		p.answer(r, plugins.ModelAnswer{Text: "four", Finish: plugins.FinishStop})
	}
	var check plugins.CheckRequest
	p.answer(p.asks(plugins.KindCheck, &check), plugins.CheckAnswer{OK: true})
	p.returns("four")

	// Where the check itself is refused the run ends, one way or the other.
	refused := t.beginWith(start)
	defer refused.cut()
	refused.answer(refused.asks(plugins.KindModel, &asked), plugins.ModelAnswer{Text: "{}", Finish: plugins.FinishStop})
	refused.refuse(refused.asks(plugins.KindCheck, &check), plugins.RefusedByHost, "no more checks")
	if end := refused.ends("a Failure or a Result"); end.GetResult() != nil && end.GetResult().GetOutput() != "{}" {
		t.fail("the output that was checked, or a Failure", "%s", describeEnd(end))
	}
}

// showsImages is for runtimes that say the feature. The host gives no images to others.
func showsImages(t *trial) {
	if !t.has(plugins.FeatureImages) {
		return
	}
	image := func(digit, mediaType string) plugins.Image {
		return plugins.Image{Digest: "sha256:" + strings.Repeat(digit, 64), MediaType: mediaType, Bytes: 12}
	}
	cat, dog := image("a", "image/png"), image("b", "image/webp")
	p := t.beginWith(&pluginpb.Start{Run: "run", Task: "What is it?", Tools: []*pluginpb.ToolInfo{{Name: "look", InputSchemaJson: `{"type":"object"}`}},
		Images: []*pluginpb.Image{{Digest: cat.Digest, MediaType: cat.MediaType, Bytes: 12}}})
	defer p.cut()
	shows := func(r request, messages []plugins.Message, role string, want plugins.Image) {
		last := plugins.Message{}
		if len(messages) > 0 {
			last = messages[len(messages)-1]
		}
		if last.Role != role || !slices.Equal(last.Images, []plugins.Image{want}) {
			p.fail(fmt.Sprintf("a last message of the role %s with the image %s as it was given", role, want.Digest[:14]), "%s", r.Body)
		}
	}
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	shows(r, asked.Messages, plugins.RoleUser, cat)
	p.answer(r, plugins.ModelAnswer{Calls: []plugins.ToolUse{{ID: "c1", Name: "look", Arguments: []byte("{}")}}, Finish: plugins.FinishCalls})
	var call plugins.ToolCall
	p.answer(p.asks(plugins.KindTool, &call), plugins.ToolResult{Text: "a dog", Images: []plugins.Image{dog}})
	r = p.asks(plugins.KindModel, &asked)
	shows(r, asked.Messages, plugins.RoleTool, dog)
	p.answer(r, plugins.ModelAnswer{Text: "It is a dog.", Finish: plugins.FinishStop})
	p.returns("It is a dog.")
}
