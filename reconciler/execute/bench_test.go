package execute_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkExecutionsThroughTheLedger executes calls of a tool that takes no time, over a bare repository in a folder: each is
// a claim, a start and a receipt, three pushes. Beside it stands what git itself takes for one commit and push of a file to
// such a repository. Run it with -benchtime 30x.
func BenchmarkExecutionsThroughTheLedger(b *testing.B) {
	for _, executors := range []int{1, 2} {
		b.Run(fmt.Sprintf("executors=%d", executors), func(b *testing.B) {
			w := newWorld(b)
			allow := w.rule(spec.DecisionAllow, `call.tool == "restart"`)
			var all []executor
			for i := range executors {
				all = append(all, w.executor(fmt.Sprint(i), w.robot))
			}
			works := make([]execute.Work, b.N)
			for n := range works {
				// Of two calls on one target the later one would wait.
				works[n] = all[0].direct(n+1, allow, func(a *spec.ActionSpec) { a.Arguments = map[string]any{"name": fmt.Sprint("shop", n)} })
			}
			var wg sync.WaitGroup
			began := time.Now()
			b.ResetTimer()
			for i, e := range all {
				wg.Go(func() {
					for n := i; n < len(works); n += executors {
						if s, err := e.Execute(context.Background(), works[n]); err != nil || s.State != execute.Done {
							b.Errorf("%s: %s, error %v", works[n].Action.ID, s.Message, err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "executions/s")
		})
	}
	b.Run("git-commit-and-push", func(b *testing.B) {
		w := newWorld(b)
		dir := filepath.Join(b.TempDir(), "work")
		w.git("", "clone", "-q", w.dir, dir)
		var pushing time.Duration
		b.ResetTimer()
		for n := range b.N {
			w.write(filepath.Join(dir, fmt.Sprint(n)), "entry\n")
			w.git(dir, "add", ".")
			w.git(dir, "commit", "-q", "-m", "entry")
			began := time.Now()
			cmd := exec.Command("git", "push", "-q", "origin", "HEAD:main")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
			w.ok(cmd.Run())
			pushing += time.Since(began)
		}
		b.ReportMetric(float64(pushing.Microseconds())/1000/float64(b.N), "ms/push")
	})
}
