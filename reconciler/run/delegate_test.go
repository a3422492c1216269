package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// boss plans, gives two tasks side by side, and sums up.
func boss(a *talk) (string, error) {
	if _, err := a.ask(model("plan")); err != nil {
		return "", err
	}
	results, err := a.together(give("c1", "left"), give("c2", "right"))
	if err != nil {
		return "", err
	}
	if _, err := a.ask(model("sum up " + results)); err != nil {
		return "", err
	}
	return results, nil
}

// worker asks a model once and says so.
func worker(name string) agentFunc {
	return func(a *talk) (string, error) {
		_, err := a.ask(model("work"))
		return name + " done", err
	}
}

func family() map[spec.AgentName]agentFunc {
	return map[spec.AgentName]agentFunc{"boss": boss, "left": worker("left"), "right": worker("right")}
}

const familyResult = `"left done"+"right done"`

func TestAnotherAgentsAnswerIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForest(t, family())
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		all := f.summaries()
		root := all["boss"][0]
		if root.Phase != spec.PhaseSucceeded || root.Outcome.Output != familyResult || root.Attempts != 1 {
			t.Fatalf("the parent: %+v, outcome %+v", root, root.Outcome)
		}
		if root.Usage != (spec.Usage{Input: 8, Output: 4}) { // Two models of its own, and one of each child.
			t.Errorf("usage %+v", root.Usage)
		}
		for _, name := range []spec.AgentName{"left", "right"} {
			child := all[name]
			if len(child) != 1 || child[0].Phase != spec.PhaseSucceeded || child[0].Parent == nil || child[0].Parent.Run != testRun || child[0].Depth != 1 ||
				child[0].Revision != root.Revision || child[0].WallTime <= 0 {
				t.Errorf("%s: %+v", name, child)
			}
		}
	})
}

// Each process is killed before or after one of its writes. There is always one run for each task, and one answer.
func TestATreeFinishesTheSameWhereverItIsKilled(t *testing.T) {
	crashEverywhere(t, 1, func(t *testing.T, crash *crashing) (died bool) {
		synctest.Test(t, func(t *testing.T) {
			f := newForest(t, family())
			crash.Log = f.log
			f.boot(crash)
			f.enqueue(testRun)
			if err := f.settle(); err != nil && !errors.Is(err, errCrash) {
				t.Errorf("killed at write %d (after: %t): %v", crash.at, crash.after, err)
			}
			if died = crash.dead; died {
				f.boot(f.log)
				f.restart()
				if err := f.settle(); err != nil {
					t.Errorf("killed at write %d (after: %t), started again: %v", crash.at, crash.after, err)
				}
			}
			all := f.summaries()
			if root := all["boss"][0]; root.Outcome == nil || root.Outcome.Output != familyResult || root.Usage != (spec.Usage{Input: 8, Output: 4}) {
				t.Errorf("killed at write %d (after: %t): %+v, outcome %+v", crash.at, crash.after, root, root.Outcome)
			}
			if len(all["left"]) != 1 || len(all["right"]) != 1 || all["left"][0].Outcome == nil || all["right"][0].Outcome == nil {
				t.Errorf("killed at write %d (after: %t): %+v", crash.at, crash.after, all)
			}
		})
		return died
	})
}

// A child that waits for a review lets its parent wait without a process, for days.
func TestAParentWaitsForItsChildWithoutAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["left"] = func(a *talk) (string, error) { return a.ask(tool("w", "write_x")) }
		f := newForest(t, agents)
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		all := f.summaries()
		root, child := all["boss"][0], all["left"][0]
		if root.Phase != spec.PhaseWaiting || len(root.Children) != 1 || root.Children[0].Run != child.Run || len(root.Waiting) != 0 || child.Phase != spec.PhaseWaiting {
			t.Fatalf("parent %+v, child %+v", root, child)
		}
		time.Sleep(72 * time.Hour)
		f.boot(f.log) // The process has ended meanwhile.
		ready, err := f.engine.Resolve(t.Context(), child.Run, 1, spec.Answer{Body: []byte(`"merged"`)})
		if err != nil || !ready {
			t.Fatalf("resolve: %t, %v", ready, err)
		}
		f.enqueue(child.Run)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		root = f.summaries()["boss"][0]
		if root.Outcome == nil || root.Outcome.Output != `"\"merged\""+"right done"` {
			t.Errorf("%+v, outcome %+v", root, root.Outcome)
		}
	})
}

// A short child costs its parent no replay, a long one lets the parent go.
func TestAnAgentIsKeptWhileItsChildWorks(t *testing.T) {
	for work, attempts := range map[time.Duration]int{20 * time.Second: 1, time.Minute: 2} {
		synctest.Test(t, func(t *testing.T) {
			f := newForest(t, family())
			f.serve = func(_ context.Context, call Call, _ func(string)) (Reply, error) {
				if call.Task.Agent == "left" {
					time.Sleep(work)
				}
				return echo(call), nil
			}
			f.enqueue(testRun)
			if err := f.settle(); err != nil {
				t.Fatal(err)
			}
			root := f.summaries()["boss"][0]
			if root.Outcome == nil || root.Outcome.Output != familyResult || root.Attempts != attempts {
				t.Errorf("a child of %s: %+v, outcome %+v", work, root, root.Outcome)
			}
		})
	}
}

// What a child says while it works is told to the agent that gave the task, where that wants to hear it.
func TestTheTextOfAChildIsStreamedToItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForest(t, family())
		f.serve = func(_ context.Context, call Call, delta func(string)) (Reply, error) {
			if call.Task.Agent == "left" {
				delta("half of ")
				delta("it")
			}
			return echo(call), nil
		}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		a := f.talks[testRun][0]
		a.mu.Lock()
		defer a.mu.Unlock()
		if got := strings.Join(a.deltas, "|"); got != "half of |it" {
			t.Errorf("the parent heard %q", got)
		}
	})
}

func TestDelegationIsBounded(t *testing.T) {
	refusedBy := func(t *testing.T, agents map[spec.AgentName]agentFunc) string {
		t.Helper()
		f := newForest(t, agents)
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		root := f.summaries()["boss"][0]
		if root.Outcome == nil {
			t.Fatalf("%+v", root)
		}
		return root.Outcome.Output
	}
	t.Run("in depth", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// Loading a fleet refuses circles. The engine does not count on it.
			again := func(a *talk) (string, error) { return a.ask(give("c", "boss")) }
			if got := refusedBy(t, map[spec.AgentName]agentFunc{"boss": again}); !strings.Contains(got, "handed on 5 times at most") {
				t.Error(got)
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agents := family()
			agents["boss"] = func(a *talk) (string, error) {
				var all []spec.Request
				for i := range MaxChildren + 1 {
					all = append(all, give(fmt.Sprint(i), "left"))
				}
				return a.together(all...)
			}
			agents["left"] = func(a *talk) (string, error) { time.Sleep(time.Second); return "ok", nil }
			got := refusedBy(t, agents)
			if strings.Count(got, `"ok"`) != MaxChildren || !strings.Contains(got, "work on 8 tasks of this run, the most at once") {
				t.Error(got)
			}
		})
	})
	t.Run("in all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agents := family()
			agents["boss"] = func(a *talk) (string, error) {
				for i := 0; ; i++ {
					if got, err := a.ask(give(fmt.Sprint(i), "left")); err != nil || strings.HasPrefix(got, "error") {
						return fmt.Sprint(i, " ", got), err
					}
				}
			}
			if got := refusedBy(t, agents); !strings.HasPrefix(got, "32 error this run has given 32 tasks") {
				t.Error(got)
			}
		})
	})
}

func TestAnAgentThatIsGoneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForest(t, family())
		f.gone = map[spec.AgentName]bool{"left": true}
		f.denied = map[spec.AgentName]string{"right": "denied by policies/p.yaml#no"}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		root := f.summaries()["boss"][0]
		if want := `error agent "left" cannot be given a task: it is not declared any more+error denied by policies/p.yaml#no`; root.Outcome == nil || root.Outcome.Output != want {
			t.Errorf("%+v, outcome %+v", root, root.Outcome)
		}
	})
}

// slow is an agent that works until it is told to stop.
func slow(a *talk) (string, error) { return a.ask(model("for ever")) }

func TestATreeIsCancelledAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["left"] = func(a *talk) (string, error) { return a.ask(give("c", "deep")) }
		agents["deep"] = slow
		agents["right"] = func(a *talk) (string, error) { return a.ask(tool("w", "write_x")) }
		f := newForest(t, agents)
		f.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			if call.Task.Agent == "deep" {
				<-ctx.Done()
				return Reply{}, ctx.Err()
			}
			return echo(call), nil
		}
		f.enqueue(testRun)
		time.Sleep(5 * time.Second)
		c, err := f.engine.Cancel(t.Context(), testRun, "ada", "it is late")
		sum := c.Run
		if !c.News || len(c.Beneath) != 3 || len(c.Open) != 1 || c.Open[0].Key != "write_x" {
			t.Errorf("cancelled %+v", c)
		}
		if err != nil || sum.Phase != spec.PhaseFailed || sum.Outcome.Reason != Cancelled || sum.Outcome.Message != "cancelled by ada: it is late" || sum.Outcome.By != "ada" {
			t.Errorf("%+v, outcome %+v, %v", sum, sum.Outcome, err)
		}
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		for name, runs := range f.summaries() {
			if len(runs) != 1 || runs[0].Outcome == nil || runs[0].Outcome.Reason != Cancelled {
				t.Errorf("%s: %+v", name, runs)
			}
			if kept := f.log.summaries[runs[0].Run]; kept.Outcome == nil {
				t.Errorf("%s is kept as %s", name, kept.Phase)
			}
		}
		for run, talks := range f.talks {
			for _, a := range talks {
				select {
				case <-a.closed:
				default:
					t.Errorf("a session of run %s is open", run)
				}
			}
		}
		again, err := f.engine.Cancel(t.Context(), testRun, "eve", "")
		if err != nil || again.News || again.Run.Outcome.By != "ada" {
			t.Errorf("cancelled again: %+v, %v", again, err)
		}
		if _, err := f.engine.Cancel(t.Context(), "01hzzzzzzzzzzzzzzzzzzzzzz9", "ada", ""); !errors.Is(err, ErrNoRecord) {
			t.Errorf("a run that is not there: %v", err)
		}
	})
}

// leaving is a Log with which somebody leaves once an end is written.
type leaving struct {
	*memory
	leave func()
}

func (l leaving) Append(ctx context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (uint64, error) {
	defer l.leave()
	return l.memory.Append(ctx, run, after, entries...)
}

func (l leaving) Record(ctx context.Context, run spec.RunID) ([]spec.Entry, uint64, error) {
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	return l.memory.Record(ctx, run)
}

// Who cancels a tree and does not wait for it has it cancelled all the same, and whoever follows its run hears of the end.
func TestATreeIsCancelledAlsoForWhoeverLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["left"], agents["right"] = slow, slow
		f := newForest(t, agents)
		f.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			if call.Task.Agent == "boss" {
				return echo(call), nil
			}
			<-ctx.Done()
			return Reply{}, ctx.Err()
		}
		f.enqueue(testRun)
		time.Sleep(5 * time.Second)
		ctx, leave := context.WithCancel(t.Context())
		var told []spec.RunID
		e := New(Options{Log: leaving{f.log, leave}, Children: f, Now: time.Now, Observe: func(e Event) {
			if e.Type == Finished {
				told = append(told, e.Task.Run)
			}
		}})
		if _, err := e.Cancel(ctx, testRun, "ada", ""); err != nil {
			t.Error(err)
		}
		if len(told) == 0 || told[len(told)-1] != testRun {
			t.Errorf("told of the ends of %v", told)
		}
		for name, runs := range f.summaries() {
			if runs[0].Outcome == nil {
				t.Errorf("%s has not ended", name)
			}
		}
		for _, runs := range f.summaries() {
			f.engine.poke(runs[0].Run) // Whoever works on it looks for what has been written.
		}
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
	})
}

// A child that a person cancels answers its parent with that, and the parent goes on.
func TestACancelledChildIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["left"] = slow
		f := newForest(t, agents)
		f.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			if call.Task.Agent == "left" {
				<-ctx.Done()
				return Reply{}, ctx.Err()
			}
			return echo(call), nil
		}
		f.enqueue(testRun)
		time.Sleep(time.Second)
		if _, err := f.engine.Cancel(t.Context(), f.summaries()["left"][0].Run, "ada", ""); err != nil {
			t.Fatal(err)
		}
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		root := f.summaries()["boss"][0]
		if want := `error left Cancelled: cancelled by ada+"right done"`; root.Outcome == nil || root.Outcome.Output != want {
			t.Errorf("%+v, outcome %+v", root, root.Outcome)
		}
	})
}

// A parent that ends on its own takes its children with it.
func TestAParentThatEndsCancelsItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["left"] = slow
		agents["boss"] = func(a *talk) (string, error) {
			var wait sync.WaitGroup
			wait.Go(func() { _, _ = a.ask(give("c1", "left")) })
			time.Sleep(time.Second)
			defer wait.Wait()
			a.Cancel("") // It does not wait for the answer.
			return "enough", nil
		}
		f := newForest(t, agents)
		f.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			<-ctx.Done()
			return Reply{}, ctx.Err()
		}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		all := f.summaries()
		if root := all["boss"][0]; root.Outcome == nil || root.Outcome.Output != "enough" {
			t.Errorf("%+v", root)
		}
		if child := all["left"][0]; child.Outcome == nil || child.Outcome.Reason != Cancelled || child.Outcome.By != "run "+string(testRun) {
			t.Errorf("%+v", child)
		}
	})
}

// The tokens of a parent bound what it and those beneath it use.
func TestTheTokensOfAParentBoundTheSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := family()
		agents["boss"] = func(a *talk) (string, error) {
			first, err := a.ask(give("c1", "left"))
			if err != nil {
				return "", err
			}
			second, err := a.ask(give("c2", "right"))
			return first + "+" + second, err
		}
		three := func(a *talk) (string, error) {
			for i := range 3 {
				if _, err := a.ask(model(fmt.Sprint(i))); err != nil {
					return "", err
				}
			}
			return "done", nil
		}
		agents["left"], agents["right"] = three, three
		f := newForest(t, agents)
		f.limits["boss"] = spec.RunLimits{Turns: 24, ToolCalls: 100, WallTime: 10 * time.Minute, OutputBytes: 1 << 18, Tokens: 12}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		root := f.summaries()["boss"][0]
		if root.Outcome == nil || !strings.HasPrefix(root.Outcome.Output, `"done"+error right LimitReached: run `+string(testRun)+" of Agent/boss and the runs beneath it have used 12 tokens") {
			t.Errorf("%+v, outcome %+v", root, root.Outcome)
		}
		if root.Usage.Input+root.Usage.Output != 12 {
			t.Errorf("used %+v", root.Usage)
		}
	})
}

// The time in which children work counts for their parent, the time in which they wait does not, and what goes on side by side
// counts once.
func TestChildrenWorkInTheTimeOfTheirParent(t *testing.T) {
	at := time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)
	entry := func(kind string, after time.Duration, n int, worked time.Duration) spec.Entry {
		e := spec.Entry{Type: kind, At: at.Add(after), N: n}
		switch kind {
		case spec.EntryTask:
			e.Task = &spec.Task{Run: testRun}
		case spec.EntryRequest:
			e.Request = &spec.Request{Kind: spec.RequestTool, Body: []byte("{}")}
		case spec.EntryDelegated:
			e.Child = &spec.Task{Run: "x"}
		case spec.EntryAnswer:
			e.Answer = &spec.Answer{Worked: worked}
		}
		return e
	}
	asked := []spec.Entry{entry(spec.EntryTask, 0, 0, 0), entry(spec.EntryAttempt, 0, 0, 0), entry(spec.EntryRequest, time.Minute, 1, 0), entry(spec.EntryDelegated, time.Minute, 1, 0),
		entry(spec.EntryRequest, time.Minute, 2, 0), entry(spec.EntryDelegated, time.Minute, 2, 0)}
	for _, test := range []struct {
		name string
		then []spec.Entry
		want time.Duration
	}{
		{"side by side", []spec.Entry{entry(spec.EntryAnswer, 6*time.Minute, 1, 5*time.Minute), entry(spec.EntryAnswer, 7*time.Minute, 2, 6*time.Minute)}, 7 * time.Minute},
		{"one waits for days", []spec.Entry{entry(spec.EntryAnswer, 6*time.Minute, 1, 5*time.Minute), entry(spec.EntryAnswer, 72*time.Hour, 2, 2*time.Minute)}, 8 * time.Minute},
		{"and then it goes on", []spec.Entry{entry(spec.EntryAnswer, 6*time.Minute, 1, 5*time.Minute), entry(spec.EntryAnswer, 72*time.Hour, 2, 2*time.Minute),
			entry(spec.EntryAttempt, 73*time.Hour, 0, 0), entry(spec.EntryRequest, 73*time.Hour+time.Minute, 3, 0)}, 9 * time.Minute},
	} {
		st, err := fold(slices.Concat(asked, test.then))
		if err != nil || st.hasWorked() != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, st.hasWorked(), err, test.want)
		}
	}
}
