package reconciler_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkListTenThousandRuns opens a state folder and lists its runs, as `mainstay runs list` does where no daemon runs.
func BenchmarkListTenThousandRuns(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "store")
	open := func() *store.Store {
		s, err := store.Open(b.Context(), store.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		at := begin.Add(time.Duration(i) * time.Minute)
		task := spec.Task{Run: run.DerivedID(at, fmt.Sprint(i)), Agent: "patcher", Text: "Look at the manifests.", At: at}
		if err := s.PutRun(b.Context(), spec.RunSummary{Task: task, Phase: spec.PhaseSucceeded, Updated: at, Entries: 20,
			Outcome: &spec.Outcome{Phase: spec.PhaseSucceeded, Output: "Deployment shop/frontend was restarted."}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := open()
		list, err := reconciler.StoredRuns(b.Context(), s, reconciler.RunFilter{Agent: "patcher", Since: begin.AddDate(0, 0, 3), Limit: 200})
		if err != nil || len(list.Runs) != 200 || list.Total < 5000 {
			b.Fatal(len(list.Runs), list.Total, err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
