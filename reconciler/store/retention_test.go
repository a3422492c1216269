package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func nobody(spec.RunID) bool { return false }

// ended keeps a run that ended some hours after noon, or one that has not ended.
func (s *Store) mustEnd(t *testing.T, run spec.RunID, hours int, outcome *spec.Outcome) {
	t.Helper()
	s.mustAppend(t, run, 0, entry(1, "x"))
	at := noon.Add(time.Duration(hours) * time.Hour)
	if err := s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: run}, Updated: at, Outcome: outcome}); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) ids(t *testing.T) []string {
	t.Helper()
	runs, err := s.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range runs {
		ids = append(ids, string(r.Run))
	}
	slices.Sort(ids)
	return ids
}

func TestRunsThatEndedLongAgoAreForgotten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	done := &spec.Outcome{Phase: spec.PhaseSucceeded}
	s.mustEnd(t, "old1", 1, done)
	s.mustEnd(t, "old2", 2, done)
	s.mustEnd(t, "held", 0, done)
	s.mustEnd(t, "open", 0, nil)
	s.mustEnd(t, "fresh", 30, done)
	held := func(run spec.RunID) bool { return run == "held" }
	n, more, err := s.ForgetEnded(t.Context(), noon.Add(24*time.Hour), 1, held)
	if n != 1 || !more || err != nil {
		t.Errorf("of two that are due one is forgotten: %d, more %t, %v", n, more, err)
	}
	if got := s.ids(t); !slices.Equal(got, []string{"fresh", "held", "old2", "open"}) {
		t.Errorf("the first to end goes first: %v", got)
	}
	// Another process finds the same.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if n, more, err = s.ForgetEnded(t.Context(), noon.Add(24*time.Hour), 10, held); n != 1 || more || err != nil {
		t.Errorf("the other: %d, more %t, %v", n, more, err)
	}
	if n, _, err = s.ForgetEnded(t.Context(), noon.Add(24*time.Hour), 10, nobody); n != 1 || err != nil {
		t.Errorf("what is not needed any more: %d, %v", n, err)
	}
	if got := s.ids(t); !slices.Equal(got, []string{"fresh", "open"}) {
		t.Errorf("there are %v", got)
	}
	if entries, _, err := s.Record(t.Context(), "old1"); err != nil || len(entries) != 0 {
		t.Errorf("its record: %d entries, %v", len(entries), err)
	}
}

func TestToForgetNothingCostsNothing(t *testing.T) {
	s := open(t, Options{})
	for i := range 50 {
		s.mustEnd(t, spec.RunID(fmt.Sprintf("run%02d", i)), i, &spec.Outcome{})
	}
	looked := 0
	held := func(spec.RunID) bool { looked++; return true }
	if n, _, err := s.ForgetEnded(t.Context(), noon.Add(3*time.Hour), 10, held); n != 0 || err != nil || looked != 3 {
		t.Errorf("of 50 runs 3 are due: forgot %d, looked at %d, %v", n, looked, err)
	}
	if len(s.ended) != 50 {
		t.Errorf("%d runs can still be forgotten", len(s.ended))
	}
}

func TestTheBoundCanBeChanged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	big := strings.Repeat("x", 100<<10)
	for i := range 12 {
		run := spec.RunID(fmt.Sprintf("run%02d", i))
		s.mustAppend(t, run, 0, entry(1, big))
		if err := s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: run}, Updated: noon.Add(time.Duration(i) * time.Hour), Outcome: &spec.Outcome{}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetBound(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	if got := s.ids(t); len(got) > 9 || got[len(got)-1] != "run11" {
		t.Errorf("more was kept than the new bound lets: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if b := s.bound.Load(); b != 1<<20 {
		t.Errorf("opened again, the bound is %d", b)
	}
	if err := s.SetBound(t.Context(), 0); err != nil || s.bound.Load() != maxRecords {
		t.Errorf("the default: %d, %v", s.bound.Load(), err)
	}
	if err := s.SetBound(t.Context(), largestBound); err != nil {
		t.Errorf("the largest: %v", err)
	}
}
