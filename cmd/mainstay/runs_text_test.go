package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestARunTellsHowItsModelsCameToAnswer checks what a person reads of a decision: what says more than the rest of the turn.
func TestARunTellsHowItsModelsCameToAnswer(t *testing.T) {
	used := &spec.Usage{Input: 30, Output: 9, Cached: 10, Reasoning: 4, Busy: 1500 * time.Millisecond, Cost: 0.5, Currency: "EUR"}
	for name, test := range map[string]struct {
		decision spec.ModelDecision
		refused  string
		want     string
	}{
		"the agent's own": {decision: spec.ModelDecision{Model: "small"}},
		"a route":         {decision: spec.ModelDecision{Model: "large", Why: "route 1 of small"}, want: "  model      large, route 1 of small\n"},
		"a fallback": {
			decision: spec.ModelDecision{Model: "large", Why: "fallback after failed", Attempts: []spec.ModelAttempt{{Model: "small", Reason: "failed", Error: "of no use", Usage: used}}},
			want: "  model      large, fallback after failed\n" +
				"  tried      small, failed: of no use (30 tokens read (10 cached) and 9 written (4 reasoning), busy\n             for 1.5s, 0.5 EUR)\n",
		},
		"what is said already":        {decision: spec.ModelDecision{Model: "small", Attempts: []spec.ModelAttempt{{Model: "small", Reason: "failed", Error: "of no use"}}}, refused: "ask model small: of no use"},
		"a repair, made harmless":     {decision: spec.ModelDecision{Model: "small", Repaired: []string{"a tool call was in its text, as \x1b[2J"}}, want: "  repaired   a tool call was in its text, as \uFFFD[2J\n"},
		"an attempt, made harmless":   {decision: spec.ModelDecision{Model: "small", Attempts: []spec.ModelAttempt{{Model: "small", Reason: "failed", Error: "\x1b[2J"}}}, want: "  model      small\n  tried      small, failed: \uFFFD[2J\n"},
		"what a refused one has cost": {decision: spec.ModelDecision{Model: "small", Attempts: []spec.ModelAttempt{{Model: "small", Reason: "failed", Error: "no", Usage: &spec.Usage{Input: 1, Output: 2}}}}, refused: "no", want: "  model      small\n  tried      small, failed (1 tokens read and 2 written)\n"},
	} {
		w := teller{width: usualWidth}
		w.decision(&test.decision, test.refused)
		if diff := cmp.Diff(test.want, w.b.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
