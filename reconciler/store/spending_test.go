package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// drawSummary draws the summary of one of four runs. One of so many entries is always the same.
func drawSummary(t *rapid.T, drawn map[string]spec.RunSummary) spec.RunSummary {
	n, entries := rapid.IntRange(0, 3).Draw(t, "run"), rapid.IntRange(1, 10).Draw(t, "entries")
	key := fmt.Sprint(n, entries)
	if sum, ok := drawn[key]; ok {
		return sum
	}
	sum := spec.RunSummary{Task: spec.Task{Run: spec.RunID(fmt.Sprintf("01j%023d", n)), Agent: []spec.AgentName{"a", "b"}[n%2]}, Entries: entries}
	for _, day := range []string{"2026-11-27", "2026-11-28"} {
		for _, model := range []string{"m", "n"} {
			if tokens := rapid.IntRange(0, 100).Draw(t, "tokens"); tokens > 0 {
				u := spec.Usage{Input: tokens, Output: 2 * tokens, Cost: float64(tokens) / 1e9, Currency: "EUR"}
				sum.Spent = append(sum.Spent, spec.Spent{Day: day, Model: model, Answers: 1, Usage: u})
			}
		}
	}
	drawn[key] = sum
	return sum
}

// TestSpendingFollowsTheSummaries checks that what runs have asked of models is the sum over their newest summaries, in whatever
// order these come.
func TestSpendingFollowsTheSummaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, drawn, newest := newSpending(), map[string]spec.RunSummary{}, map[spec.RunID]spec.RunSummary{}
		for range rapid.IntRange(1, 20).Draw(t, "summaries") {
			sum := drawSummary(t, drawn)
			s.spend(sum)
			if newest[sum.Run].Entries <= sum.Entries {
				newest[sum.Run] = sum
			}
		}
		want := map[spendingOf]spec.Usage{}
		for _, sum := range newest {
			for _, spent := range sum.Spent {
				for _, agent := range []spec.AgentName{"", sum.Agent} {
					key := spendingOf{spent.Day, spent.Model, agent}
					want[key] = want[key].Add(spent.Usage)
				}
			}
		}
		for key, got := range s.sums {
			if got.Currency = want[key].Currency; got != want[key] {
				t.Fatalf("%+v: %+v, want %+v", key, got, want[key])
			}
			delete(want, key)
		}
		if len(want) > 0 {
			t.Fatalf("missing: %+v", want)
		}
	})
}

// TestSpendingOutlivesTheProcess checks that what was kept is counted again, and what was only shown is not, until its run goes on.
func TestSpendingOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	sum := func(run, tokens int) spec.RunSummary {
		return spec.RunSummary{
			Task: spec.Task{Run: spec.RunID(fmt.Sprintf("01j%023d", run)), Agent: "a"}, Entries: tokens,
			Spent: []spec.Spent{{Day: "2026-11-28", Model: "m", Answers: 1, Usage: spec.Usage{Input: tokens}}},
		}
	}
	check := func(want int) {
		t.Helper()
		for _, agent := range []spec.AgentName{"", "a"} {
			if got, err := s.Spent(t.Context(), "2026-11-28", "m", agent); err != nil || got.Input != want {
				t.Errorf("%q: %+v, %v; want %d", agent, got, err, want)
			}
		}
	}
	if err := s.PutRun(t.Context(), sum(1, 10)); err != nil {
		t.Fatal(err)
	}
	s.ShowRun(sum(1, 15))
	s.ShowRun(sum(2, 7))
	check(22)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	check(10)
	s.ShowRun(sum(1, 15))
	check(15)
}
