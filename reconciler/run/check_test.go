package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// says is a model that gives these answers one after the other, and the last one again and again. Checks are made as they are
// by the broker.
func says(answers ...string) func(context.Context, Call, func(string)) (Reply, error) {
	return func(_ context.Context, call Call, _ func(string)) (Reply, error) {
		switch call.Request.Kind {
		case spec.RequestModel:
			var turn struct{ Turn int }
			if err := json.Unmarshal(call.Request.Body, &turn); err != nil {
				return Reply{}, err
			}
			b, err := json.Marshal(map[string]string{"text": answers[min(turn.Turn, len(answers)-1)]})
			return Reply{Answer: &spec.Answer{Body: b, Usage: &spec.Usage{Input: 10, Output: 5, Cost: 0.1, Currency: "USD"}}}, err
		case spec.RequestCheck:
			var check struct{ Output string }
			if err := json.Unmarshal(call.Request.Body, &check); err != nil {
				return Reply{}, err
			}
			var v spec.Verdict
			answer := &spec.Answer{}
			if problem := call.Agent.CheckOf(call.Task).Problem(check.Output); problem != nil {
				v.Problem, answer.Rule = problem.Text, problem.Check
			} else {
				v.OK = true
			}
			b, err := json.Marshal(v)
			answer.Body = b
			return Reply{Answer: answer}, err
		}
		return Reply{Answer: &spec.Answer{Body: []byte(`"read"`)}}, nil
	}
}

// turn asks the model once more.
func turn(a *talk, n int) (string, error) {
	body, err := a.ask(spec.Request{Kind: spec.RequestModel, Body: fmt.Appendf(nil, `{"turn":%d}`, n)})
	var answer struct{ Text string }
	return answer.Text, errors.Join(err, lateUnmarshal(body, err, &answer))
}

func lateUnmarshal(body string, failed error, v any) error {
	if failed != nil {
		return nil
	}
	return json.Unmarshal([]byte(body), v)
}

// mender asks a model until the host finds nothing wrong with its answer.
func mender(a *talk) (string, error) {
	for n := 0; ; n++ {
		text, err := turn(a, n)
		if err != nil {
			return "", err
		}
		body, err := a.ask(spec.Request{Kind: spec.RequestCheck, Body: fmt.Appendf(nil, `{"output":%q}`, text)})
		var v spec.Verdict
		if err = errors.Join(err, lateUnmarshal(body, err, &v)); err != nil {
			return "", err
		}
		if v.OK {
			return text, nil
		}
	}
}

// hasty ends with what the model says first, unchecked.
func hasty(a *talk) (string, error) { return turn(a, 0) }

// numbers is an output that is a number of at most 9, and whose refusal is reported.
func numbers(t *testing.T) *spec.OutputCheck {
	t.Helper()
	c, err := spec.NewOutputCheck(spec.Output{
		Schema: map[string]any{"type": "integer", "maximum": 9}, Verify: []spec.Verification{{CEL: "output > 3", Message: "Too small."}}, Escalate: "docs/report.md",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatAnAgentAnswersIsCheckedWhereverItIsKilled(t *testing.T) {
	for name, tt := range map[string]struct {
		agent   agentFunc
		answers []string
		// output is that of a run that succeeds, problem the end of the message of one that fails.
		output, problem string
		turns           int
	}{
		"a good answer":                   {mender, []string{"4"}, "4", "", 1},
		"one that is mended twice":        {mender, []string{"four", "3", "4"}, "4", "", 3},
		"one that never fits":             {mender, []string{"four", "10", "3", "4"}, "", "refused 3 times, the last time by output.verify[0]: Too small.", 3},
		"one that is not checked":         {hasty, []string{"4"}, "4", "", 1},
		"one that is neither good nor so": {hasty, []string{"10"}, "", "refused once by output.schema: The answer does not fit its JSON Schema. Mend this, and answer with the whole JSON value alone:\n- the answer is 10, and must be at most 9", 1},
	} {
		t.Run(name, func(t *testing.T) {
			crashEverywhere(t, 1, func(t *testing.T, crash *crashing) (died bool) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, newMemory(), tt.agent)
					w.output, w.serve, crash.Log = numbers(t), says(tt.answers...), w.log
					sum := drive(t, w, crash)
					died = crash.dead
					if tt.problem == "" {
						if sum.Phase != spec.PhaseSucceeded || sum.Outcome.Output != tt.output || len(w.proposals) != 0 || sum.Outcome.Done != "" {
							t.Errorf("killed at write %d (after: %t): %+v, proposals %v", crash.at, crash.after, sum.Outcome, w.keys())
						}
					} else if o := sum.Outcome; o.Reason != OutputRejected || !strings.HasSuffix(o.Message, tt.problem) || o.Output != tt.answers[tt.turns-1] || o.Escalated != "report" ||
						!strings.Contains(o.Done, fmt.Sprintf("Until then: %s and 0 tool calls", plural(tt.turns, "turn"))) || len(w.keys()) != 1 {
						t.Errorf("killed at write %d (after: %t): %+v, proposals %v", crash.at, crash.after, o, w.keys())
					}
					if sum.Turns != tt.turns || w.count(spec.EntryFinished) != 1 {
						t.Errorf("killed at write %d (after: %t): %d turns, %d ends", crash.at, crash.after, sum.Turns, w.count(spec.EntryFinished))
					}
				})
				return died
			})
		})
	}
}

// TestLimitsHoldWhereverARunIsKilled checks that no restart gives an agent more than its limits, and that what was done is told.
func TestLimitsHoldWhereverARunIsKilled(t *testing.T) {
	endless := func(a *talk) (string, error) {
		for n := 0; ; n++ {
			if _, err := turn(a, n); err != nil {
				return "", err
			}
			if _, err := a.together(tool(fmt.Sprintf("c%d-0", n), "read_a"), tool(fmt.Sprintf("c%d-1", n), "read_b")); err != nil {
				return "", err
			}
		}
	}
	for name, tt := range map[string]struct {
		limits  spec.RunLimits
		message string
		turns   int
		calls   int
	}{
		"turns":     {spec.RunLimits{Turns: 3}, "asked a model 3 times", 3, 6},
		"tokens":    {spec.RunLimits{Tokens: 31}, "read and written 45 tokens, and the limit is 31", 3, 6},
		"cost":      {spec.RunLimits{Cost: 0.3}, "answers have cost 0.3 USD, and the limit is 0.3", 3, 6},
		"toolCalls": {spec.RunLimits{ToolCalls: 5}, "called tools 5 times", 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			crashEverywhere(t, 1, func(t *testing.T, crash *crashing) (died bool) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, newMemory(), endless)
					for _, l := range []struct{ to, from *int }{{&w.limits.Turns, &tt.limits.Turns}, {&w.limits.ToolCalls, &tt.limits.ToolCalls}} {
						if *l.from > 0 {
							*l.to = *l.from
						}
					}
					w.limits.Tokens, w.limits.Cost, w.serve, crash.Log = tt.limits.Tokens, tt.limits.Cost, says("More."), w.log
					sum := drive(t, w, crash)
					died = crash.dead
					o := sum.Outcome
					if o.Reason != LimitReached || !strings.Contains(o.Message, tt.message) || !strings.Contains(o.Message, "raise limits."+name+" of Agent/triage") {
						t.Errorf("killed at write %d (after: %t): %+v", crash.at, crash.after, o)
					}
					if sum.Turns != tt.turns || sum.ToolCalls != tt.calls || w.count(spec.EntryAnswer) > tt.turns+tt.calls {
						t.Errorf("killed at write %d (after: %t): %d turns, %d calls, %d answers", crash.at, crash.after, sum.Turns, sum.ToolCalls, w.count(spec.EntryAnswer))
					}
					if want := fmt.Sprintf("Until then: 3 turns and %d tool calls, 30+15 tokens for 0.3 USD.\nThe model said last: More.", tt.calls); o.Done != want {
						t.Errorf("killed at write %d (after: %t): done is %q, want %q", crash.at, crash.after, o.Done, want)
					}
				})
				return died
			})
		})
	}
}

func TestWhatWasDoneNamesProposalsAndWhatBecameOfThem(t *testing.T) {
	w := newWorld(t, newMemory(), func(a *talk) (string, error) {
		for n := 0; ; n++ {
			if _, err := a.ask(tool(fmt.Sprint("c", n), fmt.Sprint("write_", n))); err != nil {
				return "", err
			}
		}
	})
	w.fast, w.limits.ToolCalls = true, 2
	for n, state := range []string{"merged", "rejected"} {
		sum := w.execute()
		if sum.Phase != spec.PhaseWaiting {
			t.Fatalf("%+v", sum)
		}
		body := fmt.Appendf(nil, `{"structured":{"state":%q}}`, state)
		if _, err := w.engine(w.log).Resolve(t.Context(), testRun, n+1, spec.Answer{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	want := "Until then: 0 turns and 2 tool calls.\nProposal write_0 is merged: write_0\nProposal write_1 is rejected: write_1"
	if sum := w.execute(); sum.Outcome == nil || sum.Outcome.Done != want {
		t.Errorf("%+v", sum.Outcome)
	}
}

// TestAReportThatCannotBeProposedIsTriedAgainOrSaysWhy tells a remote that is away for now from a no.
func TestAReportThatCannotBeProposedIsTriedAgainOrSaysWhy(t *testing.T) {
	w := newWorld(t, newMemory(), hasty)
	w.output, w.serve, w.fast = numbers(t), says("x"), true
	away := &answersOpen{err: errors.New("the remote is away")}
	e := New(Options{Log: w.log, Agents: w, Broker: w, Proposals: away, Now: time.Now, After: func(d time.Duration) <-chan time.Time { return time.After(d / 30) }})
	var retry *RetryAfter
	if _, err := e.Execute(t.Context(), testRun); !errors.As(err, &retry) || !strings.Contains(err.Error(), "open proposal report: the remote is away") {
		t.Fatalf("%v", err)
	}
	away.err, away.answer = nil, &spec.Answer{Body: []byte(`{"structured":{"state":"rejected","reason":"Ada wants no more of them"}}`)}
	sum, err := e.Execute(t.Context(), testRun)
	if err != nil || sum.Outcome == nil || sum.Outcome.Escalated != "" || !strings.HasSuffix(sum.Outcome.Done, "\nNo proposal tells of it: Ada wants no more of them") {
		t.Errorf("%+v, %v", sum.Outcome, err)
	}
}

type answersOpen struct {
	answer *spec.Answer
	err    error
}

func (a *answersOpen) Open(context.Context, spec.Proposal) (*spec.Answer, error) {
	return a.answer, a.err
}
