package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// steward reads, proposes two things side by side, and sums up.
func steward(a *talk) (string, error) {
	first, err := a.ask(model("what now?"))
	if err != nil {
		return "", err
	}
	results, err := a.together(tool("c1", "read_a"), tool("c2", "write_b"), tool("c3", "write_c"))
	if err != nil {
		return "", err
	}
	random := entropy()
	random.Lane = "side" // The requests of one lane have an order.
	now, err := a.together(clock(), random)
	if err != nil {
		return "", err
	}
	last, err := a.ask(model("results " + results))
	return strings.Join([]string{first, results, last, fmt.Sprint(len(now))}, "|"), err
}

// drive executes a run with a new engine whenever something fails, deciding proposals as they wait, until it is finished.
func drive(t *testing.T, w *world, first Log) spec.RunSummary {
	t.Helper()
	log := first
	for range 20 {
		e := w.engine(log)
		sum, err := e.Execute(t.Context(), testRun)
		if err == nil && sum.Phase == spec.PhaseWaiting {
			for _, p := range sum.Waiting {
				if _, err = e.Resolve(t.Context(), testRun, p.Exchange, spec.Answer{Body: []byte(`"merged ` + string(p.Key) + `"`)}); err != nil {
					break
				}
			}
		}
		switch {
		case err != nil && !errors.Is(err, errCrash):
			t.Fatal(err)
		case err != nil:
			log = w.log
		case sum.Outcome != nil:
			return sum
		}
	}
	t.Fatal("the run does not finish")
	return spec.RunSummary{}
}

func TestARunProposesWaitsAndResumesWithTheDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), steward)
		sum := w.execute()
		if sum.Phase != spec.PhaseWaiting || len(sum.Waiting) != 2 || sum.Attempts != 1 || sum.Turns != 1 || sum.ToolCalls != 3 {
			t.Fatalf("after the first attempt: %+v", sum)
		}
		if kept := w.log.(*memory).summaries[testRun]; kept.Phase != spec.PhaseWaiting || kept.Waiting[0].Files[0].Content != "" {
			t.Errorf("kept: %+v", kept)
		}
		time.Sleep(72 * time.Hour) // A review takes its time, and that is not the agent's.
		e := w.engine(w.log)
		for i, p := range sum.Waiting {
			for range 2 {
				ready, err := e.Resolve(t.Context(), testRun, p.Exchange, spec.Answer{Body: []byte(`"merged"`)})
				if err != nil || ready != (i == 1) {
					t.Errorf("resolve %d: ready %t, %v", p.Exchange, ready, err)
				}
			}
		}
		if got := Summarize(w.entries()).Phase; got != spec.PhaseQueued {
			t.Errorf("decided: phase %s", got)
		}
		sum = w.execute()
		if sum.Phase != spec.PhaseSucceeded || !strings.Contains(sum.Outcome.Output, `"merged"+"merged"`) {
			t.Fatalf("at the end: %+v %+v", sum, sum.Outcome)
		}
		if len(w.proposals) != 2 || w.opens != 2 || w.count(spec.EntryAttempt) != 2 {
			t.Errorf("%d proposals, opened %d times, %d attempts", len(w.proposals), w.opens, w.count(spec.EntryAttempt))
		}
		if sum.Usage != (spec.Usage{Input: 10, Output: 5}) || sum.Turns != 2 {
			t.Errorf("%d turns, usage %+v", sum.Turns, sum.Usage)
		}
		if _, err := e.Resolve(t.Context(), testRun, 1, spec.Answer{}); err != nil {
			t.Errorf("a decision about a finished run: %v", err)
		}
	})
}

// crashEverywhere kills the process before and after each of its writes in turn, or each so many of them.
func crashEverywhere(t *testing.T, step int, try func(t *testing.T, crash *crashing) bool) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at += step {
			if at > 200 {
				t.Fatal("the writes do not end")
			}
			if !try(t, &crashing{at: at, after: after}) || t.Failed() {
				break
			}
		}
	}
}

// checkStory checks what must hold after any crash.
func checkStory(t *testing.T, w *world, sum spec.RunSummary, crash *crashing) {
	t.Helper()
	want := steadyResult
	if sum.Phase != spec.PhaseSucceeded || sum.Outcome.Output != want {
		t.Errorf("killed at write %d (after: %t): %s %+v", crash.at, crash.after, sum.Phase, sum.Outcome)
	}
	if len(w.keys()) != 2 {
		t.Errorf("killed at write %d (after: %t): proposals %v", crash.at, crash.after, w.keys())
	}
	if w.count(spec.EntryFinished) != 1 || w.count(spec.EntryAnswer) != 7 {
		t.Errorf("killed at write %d (after: %t): %d ends, %d answers", crash.at, crash.after, w.count(spec.EntryFinished), w.count(spec.EntryAnswer))
	}
}

// steadyResult is what steward says when nothing goes wrong.
var steadyResult = func() string {
	body := func(q spec.Request) string {
		return string(answered(q.Kind + ":" + string(q.Body)).Answer.Body)
	}
	results := strings.Join([]string{body(tool("c1", "read_a")), `"merged write_b"`, `"merged write_c"`}, "+")
	return strings.Join([]string{body(model("what now?")), results, body(model("results " + results)),
		fmt.Sprint(len(body(clock())) + 1 + len(body(entropy())))}, "|")
}()

func TestARunFinishesTheSameWhereverItIsKilled(t *testing.T) {
	crashEverywhere(t, 1, func(t *testing.T, crash *crashing) (died bool) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemory(), steward)
			crash.Log = w.log
			checkStory(t, w, drive(t, w, crash), crash)
			died = crash.dead
		})
		return died
	})
}

func TestARunInTheRealStoreFinishesTheSameWhereverItIsKilled(t *testing.T) {
	crashEverywhere(t, 3, func(t *testing.T, crash *crashing) bool {
		st, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(t.TempDir(), fmt.Sprint(crash.at))})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		w := newWorld(t, st, steward)
		w.fast = true
		crash.Log = st
		checkStory(t, w, drive(t, w, crash), crash)
		if kept, err := st.GetRun(t.Context(), testRun); err != nil || kept.Phase != spec.PhaseSucceeded {
			t.Errorf("kept: %+v, %v", kept, err)
		}
		return crash.dead
	})
}

func TestParallelToolsReplayToTheSameResultInWhateverOrderTheyFinish(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tools := rapid.IntRange(1, 6).Draw(rt, "tools")
		lanes := rapid.IntRange(1, 3).Draw(rt, "lanes")
		crash := &crashing{at: rapid.IntRange(1, 60).Draw(rt, "killed at write"), after: rapid.Bool().Draw(rt, "after it")}
		delays := rapid.SliceOfN(rapid.IntRange(0, 50), 64, 64).Draw(rt, "delays")
		agent := func(a *talk) (string, error) {
			var calls []spec.Request
			for lane := range lanes {
				for i := range tools {
					q := tool(fmt.Sprintf("l%d-c%d", lane, i), "read")
					q.Lane = spec.Lane(fmt.Sprintf("lane%d", lane))
					calls = append(calls, q)
				}
			}
			first, err := a.together(calls...)
			if err != nil {
				return "", err
			}
			second, err := a.ask(model(first))
			if err != nil {
				return "", err
			}
			third, err := a.together(calls...) // The same calls once more are calls of their own.
			return first + second + third, err
		}
		var results [2]string
		synctest.Test(t, func(t *testing.T) {
			for i := range results {
				w := newWorld(t, newMemory(), agent)
				served := 0
				w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
					w.mu.Lock()
					delay := time.Duration(delays[served%len(delays)]) * time.Millisecond
					served++
					w.mu.Unlock()
					select {
					case <-time.After(delay):
						return echo(call), nil
					case <-ctx.Done():
						return Reply{}, ctx.Err()
					}
				}
				log := w.log
				if i == 1 {
					crash.Log, log = w.log, crash
				}
				sum := drive(t, w, log)
				results[i] = sum.Outcome.Reason + sum.Outcome.Message + sum.Outcome.Output
			}
		})
		if results[0] != results[1] || results[0] == "" {
			rt.Fatalf("results differ:\n%s\n%s", results[0], results[1])
		}
	})
}

func TestAnAgentThatAsksForSomethingElseHasDiverged(t *testing.T) {
	ask := func(requests ...spec.Request) agentFunc {
		return func(a *talk) (string, error) {
			for _, q := range requests {
				if _, err := a.ask(q); err != nil {
					return "", err
				}
			}
			return "done", nil
		}
	}
	lane := func(name spec.Lane, q spec.Request) spec.Request { q.Lane = name; return q }
	for name, tc := range map[string]struct {
		before, now []spec.Request
		message     string
	}{
		"another message":        {[]spec.Request{model("a"), tool("c1", "write")}, []spec.Request{model("b")}, "exchange 1 in lane main was a model request with `…ages\":[{\"role\":\"user\",\"text\":\"a\"}]}`, and now it is with `…ages"},
		"another kind":           {[]spec.Request{clock(), tool("c1", "write")}, []spec.Request{entropy()}, "exchange 1 in lane main was a time request, and now the agent asks for a random request"},
		"other arguments":        {[]spec.Request{tool("c1", "write")}, []spec.Request{tool("c1", "read")}, `exchange 1 in lane main was tool call "c1" of write`},
		"a tool before a model":  {[]spec.Request{model("a"), model("b"), tool("c1", "write")}, []spec.Request{model("a"), tool("c2", "read")}, "exchange 2"},
		"a model and not a tool": {[]spec.Request{model("a"), tool("c1", "write")}, []spec.Request{model("a"), model("b")}, "exchange 2"},
		"an end without a tool":  {[]spec.Request{model("a"), tool("c1", "write")}, []spec.Request{model("a")}, "exchange 2 was tool call \"c1\" of write, and now the agent ends without it"},
		"another lane":           {[]spec.Request{lane("x", model("a")), tool("c1", "write")}, []spec.Request{lane("y", model("a")), tool("c1", "write")}, "exchange 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), ask(tc.before...))
				sum := w.execute()
				if sum.Phase != spec.PhaseWaiting {
					t.Fatalf("phase %s", sum.Phase)
				}
				if _, err := w.engine(w.log).Resolve(t.Context(), testRun, sum.Waiting[0].Exchange, spec.Answer{Body: []byte(`"merged"`)}); err != nil {
					t.Fatal(err)
				}
				w.agent = ask(tc.now...)
				w.fails(Diverged, tc.message)
			})
		})
	}
}

func TestLimitsEndARunAndSayWhatToChange(t *testing.T) {
	forever := func(next func(i int) spec.Request) agentFunc {
		return func(a *talk) (string, error) {
			for i := 0; ; i++ {
				if _, err := a.ask(next(i)); err != nil {
					return "", err
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		agent   agentFunc
		message string
	}{
		"turns":      {forever(func(i int) spec.Request { return model(fmt.Sprint(i)) }), "asked a model 24 times, which is its limit; if the agent needs more, raise limits.turns of Agent/triage"},
		"tool calls": {forever(func(i int) spec.Request { return tool(fmt.Sprint(i), "read") }), "raise limits.toolCalls"},
		"time":       {forever(func(int) spec.Request { return clock() }), "made 1124 requests"},
		"randomness": {forever(func(int) spec.Request { return entropy() }), "made 1124 requests"},
		"output":     {func(*talk) (string, error) { return strings.Repeat("x", 1<<18+1), nil }, "raise limits.outputBytes"},
		"silence":    {func(a *talk) (string, error) { <-a.closed; return "", errGone }, "has worked for 10m0s without a result; if the agent needs more, raise limits.wallTime"},
		"a request":  {forever(func(int) spec.Request { return model(strings.Repeat("x", MaxBody)) }), "of at most 4096 KiB"},
		"a lane":     {forever(func(int) spec.Request { q := clock(); q.Lane = spec.Lane(strings.Repeat("x", 65)); return q }), "longer than 64 bytes"},
		"outstanding": {func(a *talk) (string, error) {
			var all []spec.Request
			for i := range MaxOutstanding + 1 {
				all = append(all, tool(fmt.Sprint(i), "slow"))
			}
			return a.together(all...)
		}, "more than 64 requests wait"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), tc.agent)
				w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
					if toolBody(call.Request.Body).Name == "slow" {
						<-ctx.Done()
						return Reply{}, ctx.Err()
					}
					return echo(call), nil
				}
				w.fails(LimitReached, tc.message)
			})
		})
	}
}

func TestWallTimeIsSummedOverAttemptsWithoutTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) {
			for i := range 10 {
				if _, err := a.ask(model(fmt.Sprint("slow", i))); err != nil {
					return "", err
				}
				if _, err := a.ask(tool(fmt.Sprint(i), fmt.Sprint("write", i))); err != nil {
					return "", err
				}
			}
			return "done", nil
		})
		w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			if call.Request.Kind == spec.RequestModel {
				time.Sleep(3 * time.Minute)
			}
			return echo(call), nil
		}
		for i := range 3 {
			sum := w.execute()
			if sum.Phase != spec.PhaseWaiting {
				t.Fatalf("%d: %s %+v", i, sum.Phase, sum.Outcome)
			}
			time.Sleep(24 * time.Hour)
			if _, err := w.engine(w.log).Resolve(t.Context(), testRun, sum.Waiting[0].Exchange, spec.Answer{Body: []byte(`"merged"`)}); err != nil {
				t.Fatal(err)
			}
		}
		w.fails(LimitReached, "wallTime") // The fourth model request would end after twelve minutes.
	})
}

func TestAnAgentThatExitsIsTriedThreeTimesWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		steps := 0
		w.agent = func(a *talk) (string, error) {
			steps++
			for i := range min(steps, 3) { // Each of the first three attempts comes one step further.
				if _, err := a.ask(model(fmt.Sprint(i))); err != nil {
					return "", err
				}
			}
			return "", errors.New("exit status 2: panic: no luck")
		}
		e := w.engine(w.log)
		for i, delay := range []int{1, 1, 1, 2} {
			_, err := e.Execute(t.Context(), testRun)
			var retry *RetryAfter
			if !errors.As(err, &retry) || retry.Delay != time.Duration(delay)*time.Second {
				t.Fatalf("attempt %d: %v, want to retry after %ds", i+1, err, delay)
			}
		}
		sum, err := e.Execute(t.Context(), testRun)
		if err != nil || sum.Outcome == nil || sum.Outcome.Reason != AgentExited || !strings.Contains(sum.Outcome.Message, "no luck") {
			t.Errorf("the fifth attempt: %+v, %v", sum.Outcome, err)
		}
		for n, times := range w.asked {
			if times != 1 {
				t.Errorf("exchange %d was asked %d times", n, times)
			}
		}
	})
}

// replaced is the error of a process that its host has ended.
type replaced struct{ error }

func (replaced) OnPurpose() bool { return true }

func TestAProcessThatIsReplacedIsNoFailureOfItsRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { return "", replaced{errors.New("stopped")} })
		e := w.engine(w.log)
		for range 2 * maxExits {
			_, err := e.Execute(t.Context(), testRun)
			var retry *RetryAfter
			if !errors.As(err, &retry) || retry.Delay != 0 {
				t.Fatalf("%v, want to retry at once", err)
			}
		}
	})
}

func TestAnAnswerThatIsUnderWayWhenTheAgentExitsIsStillRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.agent = func(a *talk) (string, error) {
			go a.ask(tool("c1", "slow"))
			time.Sleep(time.Second)
			return "", errors.New("exit")
		}
		w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			time.Sleep(3 * time.Second)
			return echo(call), nil
		}
		var retry *RetryAfter
		if _, err := w.engine(w.log).Execute(t.Context(), testRun); !errors.As(err, &retry) || w.count(spec.EntryAnswer) != 1 {
			t.Errorf("%v, %d answers", err, w.count(spec.EntryAnswer))
		}
	})
}

func TestDrainingLosesNothingAndCutsOffWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { return a.together(tool("c1", "quick"), tool("c2", "slow")) })
		slow := time.Hour
		w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			delay := 3 * time.Second
			if toolBody(call.Request.Body).Name == "slow" {
				delay = slow
			}
			w.mu.Lock()
			if times := w.asked[call.N]; call.Restarted != (times == 2) {
				t.Errorf("asked %d times, restarted %t", times, call.Restarted)
			}
			w.mu.Unlock()
			select {
			case <-time.After(delay):
				return answered(toolBody(call.Request.Body).Name), nil
			case <-ctx.Done():
				return Reply{}, ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.engine(w.log).Execute(ctx, testRun); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("drained: %v", err)
		}
		if got := Summarize(w.entries()); got.Phase != spec.PhaseRunning || w.count(spec.EntryAnswer) != 1 {
			t.Errorf("phase %s, %d answers", got.Phase, w.count(spec.EntryAnswer))
		}
		slow = time.Second
		if sum := w.execute(); sum.Phase != spec.PhaseSucceeded || sum.Outcome.Output != `"quick"+"slow"` {
			t.Errorf("resumed: %+v", sum.Outcome)
		}
		restarted := 0
		for _, e := range w.entries() {
			if e.Restarted {
				restarted++
			}
		}
		if restarted != 1 {
			t.Errorf("%d requests are marked as restarted", restarted)
		}
	})
}

func TestWhatCannotBeServedNowIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { return a.ask(model("a")) })
		outage := errors.New("no route to the model")
		w.serve = func(context.Context, Call, func(string)) (Reply, error) { return Reply{}, outage }
		e := w.engine(w.log)
		for i := range 12 {
			_, err := e.Execute(t.Context(), testRun)
			var retry *RetryAfter
			if !errors.As(err, &retry) || !errors.Is(err, outage) || retry.Delay != Backoff(i+1) {
				t.Fatalf("try %d: %v", i+1, err)
			}
		}
		if sum := Summarize(w.entries()); sum.Delayed != "no route to the model" || w.count(spec.EntryTried) != 1 {
			t.Errorf("delayed by %q, told %d times", sum.Delayed, w.count(spec.EntryTried))
		}
		w.serve = nil
		if sum := w.execute(); sum.Phase != spec.PhaseSucceeded || sum.Delayed != "" {
			t.Errorf("after the outage: %+v", sum)
		}
	})
}

// costly is the error of models that gave no answer, and have cost something.
type costly struct {
	error
	by spec.ModelDecision
}

func (c costly) Tried() *spec.ModelDecision { return &c.by }

func TestWhatHasCostSomethingInVainCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { return a.ask(model("a")) })
		used := spec.Usage{Input: 100, Cost: 0.5, Currency: "USD"}
		w.serve = func(_ context.Context, call Call, _ func(string)) (Reply, error) {
			if call.Restarted != (len(call.Spent) == 1) {
				t.Errorf("before try %v the budgets are told of %+v", call.Restarted, call.Spent)
			}
			return Reply{}, costly{errors.New("it broke off"), spec.ModelDecision{Model: "large", Attempts: []spec.ModelAttempt{
				{Model: "large", Reason: "unavailable", Error: "it broke off", Usage: &used, Estimated: true}, {Model: "small", Reason: "missing"},
			}}}
		}
		e := w.engine(w.log)
		for range 2 {
			var retry *RetryAfter
			if _, err := e.Execute(t.Context(), testRun); !errors.As(err, &retry) {
				t.Fatal(err)
			}
		}
		w.serve = nil
		sum := w.execute()
		want := []spec.Spent{{Day: spec.Day(w.entries()[0].At), Model: "large", Usage: spec.Usage{Input: 200, Cost: 1, Currency: "USD"}}}
		if w.count(spec.EntryTried) != 2 || !reflect.DeepEqual(sum.Spent, want) || sum.Usage.Cost != 1 {
			t.Errorf("%d tries, spent %+v, %+v", w.count(spec.EntryTried), sum.Spent, sum.Usage)
		}
	})
}

func TestARunThatComesNoFurtherOverManyRestartsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(*talk) (string, error) { return "", errors.New("exit") })
		for range maxIdle {
			if _, err := w.engine(w.log).Execute(t.Context(), testRun); err == nil {
				t.Fatal("no error")
			}
		}
		w.fails(HostFailed, "100 attempts")
	})
}

func TestADecisionMadeWhileTheAgentWorksReachesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) {
			return a.together(tool("c1", "write_a"), tool("c2", "slow"))
		})
		w.serve = func(ctx context.Context, call Call, _ func(string)) (Reply, error) {
			if toolBody(call.Request.Body).Name == "slow" {
				time.Sleep(time.Minute)
			}
			return echo(call), nil
		}
		e := w.engine(w.log)
		go func() {
			time.Sleep(30 * time.Second)
			for _, p := range Summarize(w.entries()).Waiting {
				if _, err := e.Resolve(context.Background(), testRun, p.Exchange, spec.Answer{Body: []byte(`"merged"`)}); err != nil {
					t.Error(err)
				}
			}
		}()
		sum, err := e.Execute(t.Context(), testRun)
		if err != nil || sum.Phase != spec.PhaseSucceeded || sum.Attempts != 1 || !strings.HasPrefix(sum.Outcome.Output, `"merged"`) {
			t.Errorf("%+v %+v, %v", sum, sum.Outcome, err)
		}
	})
}

func TestOfTwoExecutorsOfOneRunTheSlowerOneStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { return a.ask(model("a")) })
		w.serve = func(_ context.Context, call Call, _ func(string)) (Reply, error) {
			time.Sleep(time.Minute)
			return echo(call), nil
		}
		first := make(chan error)
		go func() {
			_, err := w.engine(w.log).Execute(context.Background(), testRun)
			first <- err
		}()
		time.Sleep(time.Second)
		if sum := w.execute(); sum.Phase != spec.PhaseSucceeded {
			t.Errorf("%+v", sum.Outcome)
		}
		if err := <-first; !errors.Is(err, errTaken) {
			t.Errorf("the first executor: %v", err)
		}
		if w.count(spec.EntryAnswer) != 1 || w.count(spec.EntryFinished) != 1 {
			t.Errorf("%d answers, %d ends", w.count(spec.EntryAnswer), w.count(spec.EntryFinished))
		}
	})
}

func TestWhatCannotBePassedOnIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		reply Reply
		want  string
	}{
		"an answer that is too large":  {Reply{Answer: &spec.Answer{Body: []byte(`"` + strings.Repeat("x", MaxBody) + `"`)}}, "error the answer is too large"},
		"an answer that is no JSON":    {Reply{Answer: &spec.Answer{Body: []byte(`{`)}}, "error the answer is no JSON"},
		"a proposal that is too large": {Reply{Proposal: &spec.Proposal{Body: strings.Repeat("x", maxProposal)}}, "error the proposal is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), func(a *talk) (string, error) { return a.ask(tool("c1", "x")) })
				w.serve = func(context.Context, Call, func(string)) (Reply, error) { return tc.reply, nil }
				if sum := w.execute(); sum.Outcome == nil || !strings.HasPrefix(sum.Outcome.Output, tc.want) {
					t.Errorf("%+v", sum.Outcome)
				}
			})
		})
	}
}

func TestTheAgentsOwnFailureEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) {
			why := "I cannot do this"
			a.send(Message{Failure: &why})
			return "", errGone
		})
		w.fails(AgentFailed, "I cannot do this")
	})
}

func TestDeltasReachTheAgentBeforeTheAnswerAndAreNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) {
			if _, err := a.ask(model("a")); err != nil {
				return "", err
			}
			return strings.Join(a.deltas, ","), nil
		})
		var told []string
		w.events = func(e Event) { told = append(told, string(e.Type)+e.Text) }
		w.serve = func(_ context.Context, call Call, delta func(string)) (Reply, error) {
			delta("one")
			delta("two")
			return echo(call), nil
		}
		if sum := w.execute(); sum.Outcome.Output != "one,two" {
			t.Errorf("%+v", sum.Outcome)
		}
		if diff := cmp.Diff([]string{"Started", "Asked", "Deltaone", "Deltatwo", "Answered", "Finished"}, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnAgentThatDoesNotReadHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) {
			for i := range 3 {
				q := tool(fmt.Sprint(i), "read")
				a.send(Message{ID: uint64(i + 1), Request: &q})
			}
			<-a.closed
			return "", errGone
		})
		w.deaf = true
		w.fails(LimitReached, "wallTime")
	})
}

func TestARunWithoutARecordDoesNotExist(t *testing.T) {
	w := newWorld(t, newMemory(), steward)
	if _, err := w.engine(w.log).Execute(t.Context(), "01hzzzzzzzzzzzzzzzzzzzzzz2"); !errors.Is(err, ErrNoRecord) {
		t.Errorf("%v", err)
	}
}

func TestADamagedRecordEndsTheRun(t *testing.T) {
	w := newWorld(t, newMemory(), steward)
	if _, err := w.log.Append(t.Context(), testRun, 1, spec.Entry{Type: spec.EntryAnswer, N: 7, Answer: &spec.Answer{}}); err != nil {
		t.Fatal(err)
	}
	w.fails(HostFailed, "entry 2 of the record: an answer to exchange 7, which does not exist")
}
