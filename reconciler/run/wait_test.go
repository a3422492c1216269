package run

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// A review may take a week. Until then the run holds no process, its record is on the disk, and the host may be started anew;
// nothing is asked twice, and the week is not the agent's time.
func TestAWaitOfDaysHoldsNoProcessAndSurvivesRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	st := open()
	w := newWorld(t, st, steward)
	w.fast = true
	now := time.Now()
	engine := func() *Engine {
		e := w.engine(w.log)
		e.opts.Now = func() time.Time { return now }
		return e
	}
	sum, err := engine().Execute(t.Context(), testRun)
	if err != nil || sum.Phase != spec.PhaseWaiting || len(sum.Waiting) != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for day, p := range sum.Waiting {
		now = now.Add(3 * 24 * time.Hour)
		for _, s := range w.sessions {
			select {
			case <-s.closed:
			default:
				t.Errorf("on day %d a session is open", 3*day+3)
			}
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		st = open()
		w.log = st
		kept, err := st.GetRun(t.Context(), testRun)
		if err != nil || kept.Phase != spec.PhaseWaiting {
			t.Fatalf("after a restart: %+v, %v", kept, err)
		}
		if _, err := engine().Resolve(context.Background(), testRun, p.Exchange, spec.Answer{Body: []byte(`"merged"`)}); err != nil {
			t.Fatal(err)
		}
	}
	asked := len(w.asked)
	sum, err = engine().Execute(t.Context(), testRun)
	if err != nil || sum.Phase != spec.PhaseSucceeded || !strings.Contains(sum.Outcome.Output, `"merged"+"merged"`) {
		t.Fatalf("%+v, %v", sum, err)
	}
	for n, times := range w.asked {
		if times != 1 {
			t.Errorf("exchange %d was asked %d times", n, times)
		}
	}
	if len(w.asked) <= asked || len(w.sessions) != 2 {
		t.Errorf("%d exchanges, then %d, in %d sessions", asked, len(w.asked), len(w.sessions))
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}
