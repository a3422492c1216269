package store

import (
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestASummaryNeverGoesBack(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	summary := func(phase string, entries int) spec.RunSummary {
		return spec.RunSummary{Task: spec.Task{Run: "01kb0000000000000000000000"}, Phase: phase, Entries: entries}
	}
	for _, put := range []spec.RunSummary{summary(spec.PhaseWaiting, 5), summary(spec.PhaseQueued, 6), summary(spec.PhaseWaiting, 5)} {
		if err := s.PutRun(t.Context(), put); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.Runs(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Phase != spec.PhaseQueued {
		t.Errorf("the runs are %+v, %v", runs, err)
	}
	kept, err := s.GetRun(t.Context(), "01kb0000000000000000000000")
	if err != nil || kept.Phase != spec.PhaseQueued {
		t.Errorf("the summary is %+v, %v", kept, err)
	}
}

func TestARunIsListedWhileItsSummaryIsReplaced(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(entries int) error {
		return s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: "01kb0000000000000000000000"}, Entries: entries})
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 300 {
			if err := put(i); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 1 {
				t.Fatalf("%d runs are listed, want 1: %v", len(runs), err)
			}
		}
	}
}
