package transcript_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/transcript"
	"github.com/mainstay-dev/mainstay/spec"
)

var begin = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func body(v any) json.RawMessage {
	b, err := plugins.Canonical(v)
	if err != nil {
		panic(err)
	}
	return b
}

// record writes entries a second apart.
func record(entries ...spec.Entry) []spec.Entry {
	for i := range entries {
		if entries[i].At.IsZero() {
			entries[i].At = begin.Add(time.Duration(i) * time.Second)
		}
	}
	return entries
}

func asks(n int, kind, call string, v any) spec.Entry {
	return spec.Entry{Type: spec.EntryRequest, N: n, Request: &spec.Request{Lane: spec.MainLane, Kind: kind, Call: call, Body: body(v)}}
}

func gets(n int, v any) spec.Entry {
	return spec.Entry{Type: spec.EntryAnswer, N: n, Answer: &spec.Answer{Body: body(v)}}
}

func user(text string) plugins.Message { return plugins.Message{Role: plugins.RoleUser, Text: text} }

func TestOnlyWhatIsNewToTheModelIsTold(t *testing.T) {
	call := plugins.ToolUse{ID: "call-1-0", Name: "repo__read", Arguments: json.RawMessage(`{"path":"a"}`)}
	told := []plugins.Message{user("look"), {Role: plugins.RoleAssistant, Text: "I read.", Calls: []plugins.ToolUse{call}},
		{Role: plugins.RoleTool, Text: "content", CallID: call.ID, Tool: call.Name}}
	got := transcript.Read(record(
		spec.Entry{Type: spec.EntryTask, Task: &spec.Task{Text: "look"}},
		spec.Entry{Type: spec.EntryAttempt, Attempt: &spec.Attempt{PID: 1}},
		asks(1, spec.RequestModel, "", plugins.ModelRequest{Messages: told[:1], Tools: []string{"repo__read"}}),
		gets(1, plugins.ModelAnswer{Text: "I read.", Calls: []plugins.ToolUse{call}}),
		asks(2, spec.RequestTool, call.ID, plugins.ToolCall{Name: call.Name, Arguments: call.Arguments}),
		gets(2, plugins.ToolResult{Text: "content"}),
		asks(3, spec.RequestModel, "", plugins.ModelRequest{Messages: append(told, user("and be short")), Tools: []string{"repo__read"}}),
		gets(3, plugins.ModelAnswer{Text: "Done."}),
		asks(4, spec.RequestModel, "", plugins.ModelRequest{Messages: []plugins.Message{user("summed up: nothing")}}),
	), spec.RunSummary{})
	first, second, third := got.Steps[1].Model, got.Steps[3].Model, got.Steps[4].Model
	if !reflect.DeepEqual(first.Told, told[:1]) || !reflect.DeepEqual(first.Tools, []string{"repo__read"}) || first.Says != "I read." {
		t.Errorf("the first turn: %+v", first)
	}
	if !reflect.DeepEqual(second.Told, []plugins.Message{user("and be short")}) || second.Tools != nil || second.Afresh {
		t.Errorf("the second turn: %+v", second)
	}
	if !third.Afresh || third.Turn != 3 || len(third.Told) != 1 || got.Steps[4].Answered {
		t.Errorf("a conversation that was made shorter: %+v", third)
	}
}

// A result that the model is told in other words than those of the tool is new to it.
func TestAResultThatARuntimeHasChangedIsTold(t *testing.T) {
	got := transcript.Read(record(
		asks(1, spec.RequestTool, "c", plugins.ToolCall{Name: "t"}),
		gets(1, plugins.ToolResult{Text: "all is well"}),
		asks(2, spec.RequestModel, "", plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleTool, Text: "all is lost", CallID: "c"}}}),
	), spec.RunSummary{})
	if told := got.Steps[1].Model.Told; len(told) != 1 || told[0].Text != "all is lost" {
		t.Errorf("told: %+v", told)
	}
}

func TestAWaitForPeopleIsTold(t *testing.T) {
	decided := begin.Add(50 * time.Hour)
	proposed := &spec.Proposal{Key: "0123456789abcdef", Agent: "triage", Title: "Restart"}
	got := transcript.Read(record(
		spec.Entry{Type: spec.EntryAttempt, Attempt: &spec.Attempt{PID: 1}},
		asks(1, spec.RequestTool, "c", plugins.ToolCall{Name: "t"}),
		spec.Entry{Type: spec.EntryProposal, N: 1, Proposal: proposed, Rule: "default: write tools are proposed"},
		spec.Entry{Type: spec.EntryAnswer, N: 1, At: decided, Answer: &spec.Answer{By: "Ada", Body: body(plugins.ToolResult{Structured: body(spec.ProposalDecision{State: "merged", Merge: "abc"})})}},
		spec.Entry{Type: spec.EntryAttempt, At: decided.Add(time.Second), Attempt: &spec.Attempt{PID: 2}},
		spec.Entry{Type: spec.EntryAttempt, At: decided.Add(2 * time.Second), Attempt: &spec.Attempt{PID: 3}},
	), spec.RunSummary{})
	p := got.Steps[1].Tool.Proposal
	if p.By != "Ada" || p.Decision.State != "merged" || time.Duration(p.Waited) != 50*time.Hour-2*time.Second || got.Steps[1].Rule == "" {
		t.Errorf("the proposal: %+v", p)
	}
	if w := got.Steps[2].Attempt.Waited; time.Duration(w) != 50*time.Hour-time.Second || got.Waited != w {
		t.Errorf("the second process after %v, in all %v", w, got.Waited)
	}
	if w := got.Steps[3].Attempt.Waited; w != 0 {
		t.Errorf("a process that ended for nobody's sake is told as a wait of %v", w)
	}
}

func TestWhatWasTriedInVainIsTold(t *testing.T) {
	tried := spec.ModelAttempt{Model: "large", Reason: "unavailable", Usage: &spec.Usage{Input: 3}, Estimated: true}
	got := transcript.Read(record(asks(1, spec.RequestModel, "", plugins.ModelRequest{}),
		spec.Entry{Type: spec.EntryTried, N: 1, Error: "the model is away", Tried: &spec.ModelDecision{Model: "large", Attempts: []spec.ModelAttempt{tried}}},
		gets(1, plugins.ModelAnswer{Text: "Done."})), spec.RunSummary{})
	want := []transcript.Delay{{At: begin.Add(time.Second), Why: "the model is away", Tried: []spec.ModelAttempt{tried}}}
	if s := got.Steps[0]; !s.Answered || !reflect.DeepEqual(s.Delays, want) {
		t.Errorf("the turn: %+v", s)
	}
}

func TestARequestThatWasCutOffIsAskedAgain(t *testing.T) {
	again := asks(1, spec.RequestModel, "", plugins.ModelRequest{})
	again.Restarted = true
	got := transcript.Read(record(asks(1, spec.RequestModel, "", plugins.ModelRequest{}), again), spec.RunSummary{})
	if len(got.Steps) != 1 || got.Steps[0].Again != 1 {
		t.Errorf("got %+v", got.Steps)
	}
}

// Whatever a record says, it can be told: it may have been written by another version, or come from outside.
func FuzzAnyRecordCanBeTold(f *testing.F) {
	for _, e := range [][]spec.Entry{
		record(asks(1, spec.RequestTool, "c", plugins.ToolCall{Name: "t"}), gets(1, plugins.ToolResult{Text: "x"})),
		record(asks(1, spec.RequestModel, "", plugins.ModelRequest{Messages: []plugins.Message{user("a")}}), gets(1, "no answer")),
		record(asks(1, spec.RequestCheck, "", plugins.CheckRequest{Output: "a"}), gets(1, plugins.CheckAnswer{OK: true}), gets(2, 1)),
		record(asks(1, "later", "", 1), spec.Entry{Type: spec.EntryProposal, N: 1, Proposal: &spec.Proposal{}}, gets(1, nil)),
	} {
		raw, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var entries []spec.Entry
		if json.Unmarshal(raw, &entries) != nil {
			return
		}
		got := transcript.Read(entries, spec.RunSummary{})
		for _, s := range got.Steps {
			set := 0
			for _, one := range []bool{s.Attempt != nil, s.Model != nil, s.Tool != nil, s.Check != nil, s.Other != nil} {
				if one {
					set++
				}
			}
			if set != 1 {
				t.Fatalf("a step is %d things: %+v", set, s)
			}
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReadAThousandExchanges(b *testing.B) {
	var entries []spec.Entry
	messages := []plugins.Message{user("look")}
	for n := 1; n < 1000; n += 2 {
		call := plugins.ToolUse{ID: fmt.Sprint("call-", n), Name: "repo__read", Arguments: json.RawMessage(`{"path":"a"}`)}
		entries = append(entries, asks(n, spec.RequestModel, "", plugins.ModelRequest{Messages: messages}),
			gets(n, plugins.ModelAnswer{Calls: []plugins.ToolUse{call}}), asks(n+1, spec.RequestTool, call.ID, plugins.ToolCall{Name: call.Name, Arguments: call.Arguments}),
			gets(n+1, plugins.ToolResult{Text: "a result of a few words"}))
		messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{call}},
			plugins.Message{Role: plugins.RoleTool, CallID: call.ID, Text: "a result of a few words"})
	}
	entries = record(entries...)
	for b.Loop() {
		transcript.Read(entries, spec.RunSummary{})
	}
}
