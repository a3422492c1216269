package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/replay"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// someSteps draws what an agent does.
func someSteps(t *rapid.T) []step {
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{kind: rapid.SampledFrom([]string{spec.RequestModel, spec.RequestModel, spec.RequestTool, spec.RequestTool, spec.RequestTime}).Draw(t, "kind")}
		s.text = rapid.StringMatching(`[a-z<>&]{1,6}`).Draw(t, "text")
		if s.kind == spec.RequestTool {
			s.tools = rapid.SliceOfN(rapid.SampledFrom([]string{"r__a", "r__b", "w__c"}), 1, 3).Draw(t, "tools")
		}
		return s
	}), 1, 6).Draw(t, "steps")
	return steps
}

// requests are those of a record, by their number.
func requests(entries []spec.Entry) map[int]spec.Request {
	all := map[int]spec.Request{}
	for _, e := range entries {
		if e.Request != nil {
			all[e.N] = *e.Request
		}
	}
	return all
}

// stepOf is the step that an exchange belongs to.
func stepOf(steps []step, n int) int {
	for i, s := range steps {
		if n -= max(1, len(s.tools)); n <= 0 {
			return i
		}
	}
	return len(steps)
}

// firstOf is the first exchange of the first step from i on that shows what the agent has seen.
func firstOf(steps []step, i int) int {
	n := 1
	for j, s := range steps {
		if j >= i && s.kind != spec.RequestTime {
			break
		}
		n += max(1, len(s.tools))
	}
	return n
}

// played records one agent, and replays what change makes of the record with another one. Time is simulated.
func played(t *testing.T, steps, other []step, change func([]spec.Entry)) (entries []spec.Entry, report *replay.Report) {
	synctest.Test(t, func(t *testing.T) {
		declared := newAgent("Be brief.")
		// What a file holds is the same record.
		raw, err := json.Marshal(record(t, agentOf(steps), declared))
		if err != nil {
			t.Fatal(err)
		}
		if entries, err = run.ReadRecord(strings.NewReader(string(raw))); err != nil {
			t.Fatal(err)
		}
		change(entries)
		report = again(t, entries, agentOf(other), side("was", declared), nil, nil)
	})
	return entries, report
}

func nothing([]spec.Entry) {}

func TestAnyRecordIsRepeatedByTheSameAgent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := someSteps(rt)
		entries, report := played(t, steps, steps, nothing)
		if !report.Same || report.Replayed != report.Exchanges || report.Exchanges != len(requests(entries)) {
			rt.Fatalf("%+v", report)
		}
	})
}

func TestAChangedAnswerShowsInTheNextRequest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := someSteps(rt)
		which := rapid.IntRange(0, 100).Draw(rt, "answer")
		n := 0
		_, report := played(t, steps, steps, func(entries []spec.Entry) {
			var answers []*spec.Answer
			var numbers []int
			for _, e := range entries {
				if e.Answer != nil {
					answers, numbers = append(answers, e.Answer), append(numbers, e.N)
				}
			}
			a := answers[which%len(answers)]
			n = numbers[which%len(answers)]
			a.Body = []byte(strings.NewReplacer("number", "numbeR", "merged", "mergeD", "Z", "z").Replace(string(a.Body)))
		})
		want := firstOf(steps, stepOf(steps, n)+1)
		if report.Same || report.Differences[0].Exchange != want {
			rt.Fatalf("the answer to %d of %+v was changed, and the first difference is not at %d: %+v", n, steps, want, report.Differences)
		}
	})
}

func TestAChangedAgentShowsWhereItChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := someSteps(rt)
		other := slices.Clone(steps)
		i := rapid.IntRange(0, len(steps)-1).Draw(rt, "step")
		want := firstOf(steps, i)
		switch how := rapid.SampledFrom([]string{"text", "ends", "more"}).Draw(rt, "how"); how {
		case "text":
			if other[i].kind == spec.RequestTime {
				return // It says nothing.
			}
			other[i].text += "!"
		case "ends":
			other = other[:i]
		case "more":
			other = append(other, step{kind: spec.RequestModel, text: "and?"})
			want = firstOf(steps, len(steps))
		}
		_, report := played(t, steps, other, nothing)
		if report.Same || report.Differences[0].Exchange != want {
			rt.Fatalf("%+v became %+v, and the first difference is not at %d: %+v", steps, other, want, report.Differences)
		}
	})
}

// declare is an agent that has a read tool.
func declare(instructions string) *spec.Agent {
	a := newAgent(instructions)
	a.Tools = []spec.Tool{{Server: &spec.ToolServer{Resource: spec.Resource{Ref: spec.Ref{Name: "r"}}}, Name: "a", ToolSpec: spec.ToolSpec{Effect: spec.EffectRead}}}
	return a
}

func TestWhatTheHostAddsIsCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []step{{kind: spec.RequestModel, text: "a"}, {kind: spec.RequestTool, text: "b", tools: []string{"r__a"}}, {kind: spec.RequestModel, text: "c"}}
		was := declare("Be brief.\n")
		entries := record(t, agentOf(steps), was)
		is := declare("Be long.\n")
		is.Tools[0].Effect = spec.EffectDenied
		report := again(t, entries, agentOf(steps), side("was", was), side("is", is), nil)
		if len(report.Differences) != 2 || report.Replayed != 3 {
			t.Fatalf("%+v", report)
		}
		told, decided := report.Differences[0], report.Differences[1]
		if told.Exchange != 1 || told.Kind != replay.Told || told.Diffs[0].What != "instructions" || !strings.Contains(told.Diffs[0].Text, "-Be brief.\n+Be long.\n") {
			t.Errorf("told: %+v", told)
		}
		if decided.Exchange != 2 || decided.Kind != replay.Decided || decided.Was != "allowed by default: read tools are allowed" || decided.Is != "denied by default: denied tools are denied" {
			t.Errorf("decided: %+v", decided)
		}
	})
}

// asking is a model that is asked again.
type asking struct {
	text  string
	calls []plugins.ToolUse
	asked int
}

func (a *asking) ask(_ context.Context, c run.Call) (run.Reply, error) {
	a.asked++
	raw, err := plugins.Canonical(plugins.ModelAnswer{Text: fmt.Sprintf(a.text, c.N), Calls: a.calls})
	return run.Reply{Answer: &spec.Answer{Body: raw}}, err
}

func TestAModelIsAskedWhereItIsToldSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []step{{kind: spec.RequestModel, text: "a"}, {kind: spec.RequestTool, text: "b", tools: []string{"r__a"}}, {kind: spec.RequestModel, text: "c"}}
		was := declare("Be brief.\n")
		entries := record(t, agentOf(steps), was)

		same := &asking{text: "answer number %d"}
		if report := again(t, entries, agentOf(steps), side("was", was), side("is", was), same.ask); !report.Same || same.asked != 0 {
			t.Errorf("nothing has changed, and the model is asked %d times: %+v", same.asked, report.Differences)
		}
		report := again(t, entries, agentOf(steps), side("was", was), side("is", declare("Be long.\n")), same.ask)
		if same.asked != 2 || len(report.Differences) != 1 || report.Differences[0].Kind != replay.Told {
			t.Errorf("it decides the same, asked %d times: %+v", same.asked, report.Differences)
		}
		other := &asking{text: "another answer %d"}
		report = again(t, entries, agentOf(steps), side("was", was), side("is", declare("Be long.\n")), other.ask)
		if d := report.Differences[1]; d.Kind != replay.Said || d.Exchange != 1 || d.Was != "answer number 1" || d.Is != "another answer 1" {
			t.Errorf("it decides otherwise: %+v", d)
		}
		// Its tool call has other arguments than any that is recorded.
		if d := report.Differences[len(report.Differences)-1]; d.Kind != replay.Unrecorded || other.asked != 1 {
			t.Errorf("asked %d times, and in the end: %+v", other.asked, d)
		}
	})
}

func TestARunThatWaitsIsReplayedUpToThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []step{{kind: spec.RequestModel, text: "a"}, {kind: spec.RequestTool, text: "b", tools: []string{"w__a"}}, {kind: spec.RequestModel, text: "c"}}
		declared := newAgent("Be brief.")
		entries := record(t, agentOf(steps), declared)
		at := slices.IndexFunc(entries, func(e spec.Entry) bool { return e.Proposal != nil })
		report := again(t, entries[:at+1], agentOf(steps), side("was", declared), nil, nil)
		if !report.Same || report.Replayed != 2 || !strings.Contains(report.Ended, "exchange 2 waits for the decision about proposal 0123456789abcdef") {
			t.Errorf("%+v", report)
		}
		// A crash has cut the answer off.
		if report = again(t, entries[:at], agentOf(steps), side("was", declared), nil, nil); !report.Same || !strings.Contains(report.Ended, "exchange 2 was never answered") {
			t.Errorf("%+v", report)
		}
	})
}

func TestAnAgentThatIsNotDeclaredThereIsNotReplayed(t *testing.T) {
	recording, err := run.NewRecording([]spec.Entry{{Type: spec.EntryTask, Task: &spec.Task{Run: testRun, Agent: "gone"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replay.Run(t.Context(), replay.Options{Recording: recording, Is: side("the folder", newAgent(""))}); err == nil ||
		!strings.Contains(err.Error(), `the folder declares no agent "gone"`) {
		t.Errorf("got %v", err)
	}
}
