package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// soon is far longer than a message in memory takes, and far shorter than LeaseTime.
const soon = 10 * time.Second

func take(t *testing.T, s *Store) *Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	l, err := s.Dequeue(ctx)
	if err != nil {
		t.Fatalf("no run is given out: %v", err)
	}
	return l
}

func takeNone(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if l, err := s.Dequeue(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("given out: %v, %v; want nothing", l, err)
	}
}

func queue(t *testing.T, s *Store, runs ...spec.RunID) {
	t.Helper()
	for _, run := range runs {
		if err := s.Enqueue(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunThatIsQueuedTwiceIsGivenOutOnce(t *testing.T) {
	s := open(t, Options{})
	queue(t, s, run1, run1, run1)
	l := take(t, s)
	must(t, l.Extend())
	takeNone(t, s)
	must(t, l.Done())
	takeNone(t, s)
}

func TestARunThatIsQueuedWhileWorkedOnIsGivenOutAgainAfterwards(t *testing.T) {
	for name, end := range map[string]func(*Lease) error{
		"done":  (*Lease).Done,
		"retry": func(l *Lease) error { return l.Retry(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			queue(t, s, run1)
			first := take(t, s)
			queue(t, s, run1)
			takeNone(t, s)
			must(t, end(first))
			must(t, take(t, s).Done())
			takeNone(t, s)
		})
	}
}

func TestARetriedRunComesBackAfterItsDelay(t *testing.T) {
	s := open(t, Options{})
	queue(t, s, run1)
	must(t, take(t, s).Retry(0))
	l := take(t, s)
	must(t, l.Retry(time.Hour))
	takeNone(t, s)
}

func TestWhatADeadProcessHeldIsGivenOutAtOnceAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	queue(t, s, run1, run2)
	take(t, s)
	must(t, take(t, s).Retry(time.Hour))
	must(t, s.Close())
	s = open(t, Options{Dir: dir})
	got := map[spec.RunID]bool{take(t, s).Run(): true, take(t, s).Run(): true}
	if !got[run1] || !got[run2] {
		t.Errorf("given out: %v", got)
	}
}

func TestARunWithASummaryButNotQueuedIsTakenUpAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for i, phase := range []string{spec.PhaseQueued, spec.PhaseRunning, spec.PhaseWaiting, spec.PhaseSucceeded, spec.PhaseFailed} {
		must(t, s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: spec.RunID(fmt.Sprintf("run%d", i))}, Phase: phase}))
	}
	must(t, s.Close())
	s = open(t, Options{Dir: dir})
	got := map[spec.RunID]bool{take(t, s).Run(): true, take(t, s).Run(): true}
	if !got["run0"] || !got["run1"] {
		t.Errorf("given out: %v, want the queued and the running one", got)
	}
	takeNone(t, s)
}

func TestManyWorkersShareTheQueueAndNoneHoldsARunOfAnother(t *testing.T) {
	s := open(t, Options{})
	const total = 50
	for i := range total {
		queue(t, s, spec.RunID(fmt.Sprintf("run%03d", i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var mu sync.Mutex
	done := map[spec.RunID]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				l, err := s.Dequeue(ctx)
				if err != nil {
					return
				}
				if err := l.Done(); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if done[l.Run()]++; len(done) == total {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for run, n := range done {
		if n != 1 {
			t.Errorf("run %s was given out %d times", run, n)
		}
	}
	if len(done) != total {
		t.Errorf("%d of %d runs were given out", len(done), total)
	}
}
