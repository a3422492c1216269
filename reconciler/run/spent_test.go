package run

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestWhatModelsHaveCostIsCountedByDayAndModel counts answers, what models before them cost that gave none of use, and summaries.
func TestWhatModelsHaveCostIsCountedByDayAndModel(t *testing.T) {
	first := time.Date(2026, 11, 28, 23, 59, 0, 0, time.UTC)
	uses := func(input int) *spec.Usage {
		return &spec.Usage{Input: input, Cost: float64(input), Currency: "EUR", Busy: time.Duration(input)}
	}
	tried := func(model string, u *spec.Usage) spec.ModelAttempt {
		return spec.ModelAttempt{Model: model, Reason: "failed", Error: "no", Usage: u}
	}
	ask := spec.Request{Lane: spec.MainLane, Kind: spec.RequestModel, Body: []byte(`{}`)}
	entries := []spec.Entry{
		{Type: spec.EntryTask, At: first, Task: &spec.Task{Run: "r", Agent: "a"}},
		{Type: spec.EntryCompaction, At: first, Compaction: &spec.Compaction{Usage: uses(1), Model: &spec.ModelDecision{Model: "m"}}},
		{Type: spec.EntryRequest, At: first, N: 1, Request: &ask},
		{Type: spec.EntryAnswer, At: first, N: 1, Answer: &spec.Answer{Usage: uses(10), Model: &spec.ModelDecision{Model: "n", Attempts: []spec.ModelAttempt{tried("m", uses(100)), tried("m", nil)}}}},
		{Type: spec.EntryRequest, At: first.Add(time.Hour), N: 2, Request: &ask},
		{Type: spec.EntryAnswer, At: first.Add(time.Hour), N: 2, Answer: &spec.Answer{Error: "no", Model: &spec.ModelDecision{Model: "m", Attempts: []spec.ModelAttempt{tried("m", uses(1000))}}}},
	}
	sum := Summarize(entries)
	want := []spec.Spent{
		{Day: "2026-11-28", Model: "m", Answers: 1, Usage: *uses(101)},
		{Day: "2026-11-28", Model: "n", Answers: 1, Usage: *uses(10)},
		{Day: "2026-11-29", Model: "m", Usage: *uses(1000)},
	}
	if diff := cmp.Diff(want, sum.Spent); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(*uses(1111), sum.Usage); diff != "" {
		t.Error(diff)
	}
}
