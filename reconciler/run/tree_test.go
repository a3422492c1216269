package run

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// treeStep is what an agent of a random tree does next: it asks a model, or gives tasks side by side to agents.
type treeStep struct{ to []string }

// follow makes an agent that takes these steps. It goes on where another one has failed.
func follow(steps []treeStep) agentFunc {
	return func(a *talk) (string, error) {
		for i, step := range steps {
			if len(step.to) == 0 {
				if _, err := a.ask(model(fmt.Sprint(i))); err != nil {
					return "", err
				}
				continue
			}
			var tasks []spec.Request
			for j, to := range step.to {
				tasks = append(tasks, give(fmt.Sprintf("c%d-%d", i, j), to))
			}
			if _, err := a.together(tasks...); err != nil {
				return "", err
			}
		}
		return "done", nil
	}
}

// Whatever the tree is, and wherever its process is killed, every run ends, and no run and those beneath it have used more
// tokens than its limit and the request that each run at work had under way. Where never two are at work, that is one.
func TestEveryTreeEndsWithinItsLimits(t *testing.T) {
	const perRequest = 3
	rapid.Check(t, func(r *rapid.T) {
		names := []string{"boss", "a", "b", "c", "d", "e", "f"}[:rapid.IntRange(1, 7).Draw(r, "agents")]
		sideBySide := rapid.Bool().Draw(r, "side by side")
		agents, limits := map[spec.AgentName]agentFunc{}, map[spec.AgentName]spec.RunLimits{}
		for i, name := range names {
			var steps []treeStep
			for range rapid.IntRange(0, 3).Draw(r, "steps") {
				var step treeStep
				if below := names[i+1:]; len(below) > 0 && rapid.Bool().Draw(r, "delegates") {
					most := 1
					if sideBySide {
						most = 2
					}
					step.to = rapid.SliceOfN(rapid.SampledFrom(below), 1, most).Draw(r, "to")
				}
				steps = append(steps, step)
			}
			agents[spec.AgentName(name)] = follow(steps)
			limits[spec.AgentName(name)] = spec.RunLimits{Turns: 24, ToolCalls: 100, WallTime: 10 * time.Minute, OutputBytes: 1 << 18,
				Tokens: rapid.SampledFrom([]int{0, 4, 9, 20}).Draw(r, "tokens")}
		}
		crashes := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 3).Draw(r, "crashes")
		after := rapid.Bool().Draw(r, "after")
		cancelled := rapid.Bool().Draw(r, "cancelled")

		var problem string // What fails within the bubble is told outside of it.
		synctest.Test(t, func(t *testing.T) {
			f := newForest(t, agents)
			f.limits = limits
			for _, at := range crashes {
				f.boot(&crashing{Log: f.log, at: at, after: after})
				f.restart()
				if err := f.settle(); err != nil && !errors.Is(err, errCrash) {
					problem = err.Error()
					return
				}
			}
			f.boot(f.log)
			f.restart()
			if cancelled {
				if _, err := f.engine.Cancel(t.Context(), testRun, "ada", ""); err != nil {
					problem = err.Error()
					return
				}
			}
			if err := f.settle(); err != nil {
				problem = err.Error()
				return
			}
			runs := slices.Concat(slices.Collect(maps.Values(f.summaries()))...)
			used, size := map[spec.RunID]int{}, map[spec.RunID]int{}
			parents := map[spec.RunID]*spec.Parent{}
			for _, sum := range runs {
				if sum.Outcome == nil {
					problem = fmt.Sprintf("run %s of %s has not ended: %s, waits for %v", sum.Run, sum.Agent, sum.Phase, sum.Children)
					return
				}
				if kept := f.log.summaries[sum.Run]; kept.Outcome == nil {
					problem = fmt.Sprintf("run %s of %s is kept as %s", sum.Run, sum.Agent, kept.Phase)
					return
				}
				parents[sum.Run] = sum.Parent
			}
			for _, sum := range runs {
				for id := sum.Run; ; id = parents[id].Run {
					used[id] += perRequest * sum.Turns
					size[id]++
					if parents[id] == nil {
						break
					}
				}
			}
			for _, sum := range runs {
				over := perRequest - 1
				if sideBySide {
					over *= size[sum.Run]
				}
				if most := limits[sum.Agent].Tokens; most > 0 && used[sum.Run] > most+over {
					problem = fmt.Sprintf("run %s of %s and the %d beneath it have used %d tokens of %d", sum.Run, sum.Agent, size[sum.Run]-1, used[sum.Run], most)
					return
				}
				if sum.Outcome.Reason == LimitReached && !strings.Contains(sum.Outcome.Message, "tokens") {
					problem = sum.Outcome.Message
					return
				}
			}
		})
		if problem != "" {
			r.Fatal(problem)
		}
	})
}
