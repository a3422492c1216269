package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestWhatForgottenRunsHaveCostIsNeverLostNorCountedTwice keeps and forgets runs, ends the process at each write of it, or between two,
// and opens the store again. What has been spent is always the sum over all runs that were kept.
func TestWhatForgottenRunsHaveCostIsNeverLostNorCountedTwice(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			type crash struct{ at string }
			next := ""
			dir := t.TempDir()
			reopen := func() *Store {
				return open(t, Options{Dir: dir, Barrier: func(point string) {
					if point == next {
						next = ""
						panic(crash{point})
					}
				}})
			}
			s := reopen()
			var want spec.Usage
			byRun := map[spec.RunID]spec.Usage{}
			for n := range 12 {
				run := spec.RunID(fmt.Sprintf("01j%023d", n))
				sum := spec.RunSummary{Task: spec.Task{Run: run, Agent: "a"}, Entries: 1, Outcome: &spec.Outcome{}}
				for _, day := range []string{"2026-11-27", "2026-11-28"} {
					u := spec.Usage{Input: 1 + random.IntN(50), Cost: 0.25, Currency: "EUR", Busy: 3}
					sum.Spent = append(sum.Spent, spec.Spent{Day: day, Model: "m", Answers: 1, Usage: u})
					byRun[run] = byRun[run].Add(u)
				}
				want = want.Add(byRun[run])
				if err := s.PutRun(t.Context(), sum); err != nil {
					t.Fatal(err)
				}
				forget := spec.RunID(fmt.Sprintf("01j%023d", random.IntN(n+1)))
				next = []string{"", "fact spent: before", "fact spent: after", "forget: before", "forget: after"}[random.IntN(5)]
				crashed := func() (crashed bool) {
					defer func() {
						if why := recover(); why != nil {
							crashed = why.(crash) != crash{}
						}
					}()
					if err := s.Forget(t.Context(), forget); err != nil {
						t.Fatal(err)
					}
					return false
				}()
				next = ""
				if crashed || random.IntN(3) == 0 {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = reopen()
				}
				var got spec.Usage
				for _, day := range []string{"2026-11-27", "2026-11-28"} {
					u, err := s.Spent(t.Context(), day, "m", "a")
					if err != nil {
						t.Fatal(err)
					}
					got = got.Add(u)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("after %d runs, %s forgotten: %s", n+1, forget, diff)
				}
				var listed spec.Usage
				all, err := s.Spendings(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range all {
					listed = listed.Add(one.Usage)
				}
				if diff := cmp.Diff(want, listed); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

func TestWhatForgottenRunsHaveCostIsKeptForSomeDaysOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for i := range maxSpentDays + 3 {
		raw, err := encode(forgottenDay{Spent: []spentBy{{"a", spec.Spent{Day: fmt.Sprintf("2026-%04d", i), Model: "m", Usage: spec.Usage{Input: 1}}}}})
		if err == nil {
			err = s.Put(t.Context(), fmt.Sprintf("spent/2026-%04d", i), raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Spendings(t.Context())
	tooOld := func(s Spending) bool { return s.Day < "2026-0003" }
	if err != nil || len(all) != maxSpentDays || slices.ContainsFunc(all, tooOld) {
		t.Errorf("%d days, %v", len(all), err)
	}
	if err := s.Put(t.Context(), "spent/2026-0100", []byte("no")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	for range 2 {
		if _, err := s.Spent(t.Context(), "2026-0050", "m", "a"); err == nil {
			t.Error("what cannot be read counts for nothing")
		}
	}
}
