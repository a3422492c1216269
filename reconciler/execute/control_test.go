package execute_test

import (
	"context"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/spec"
)

func comesAfter(ids ...spec.ActionID) func(*spec.ActionSpec) {
	return func(a *spec.ActionSpec) { a.After = ids }
}

// among executes an Action where the branch holds others too.
func (e executor) among(id spec.ActionID, others ...spec.ActionID) execute.State {
	e.w.Helper()
	work := e.work(id)
	work.Fleet.Actions = map[spec.ActionID]*spec.Action{id: work.Action}
	for _, other := range others {
		work.Fleet.Actions[other] = e.work(other).Action
	}
	s, err := e.Execute(context.Background(), work)
	e.w.ok(err)
	return s
}

func TestAnActionIsExecutedAfterThoseThatComeFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.executor("one", w.robot)
	first := w.propose(1, nil)
	second := w.approved(2, comesAfter(first))
	w.wants(e.among(second), execute.Waiting, "it is not on the branch; approve its proposal first")
	w.approve(1)
	w.wants(e.among(second, first), execute.Waiting, "comes after "+string(first)+", which is not done yet: nobody has claimed it yet")
	w.wants(e.among(first), execute.Done, "")
	w.wants(e.among(second, first), execute.Done, "")
	if w.effects.of(first) != 1 || w.effects.of(second) != 1 {
		t.Errorf("the effects are %v", w.effects.count)
	}
}

func TestWhatComesAfterAFailureIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.executor("one", w.robot)
	failed := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: "result == 1"} })
	w.wants(e.among(failed), execute.Failed, "does not hold")
	second := w.approved(2, comesAfter(failed))
	w.wants(e.among(second, failed), execute.Refused, "which is failed (the precondition does not hold")
	w.wants(e.among(w.approved(3, comesAfter(second)), second, failed), execute.Refused, "which is abandoned (it comes after "+string(failed))
	rejected := w.propose(4, nil)
	w.ok(w.driver(w.clone()).Reject(context.Background(), key(4), "not now", local.Reviewer{Name: "Ada", Email: "ada@example.com", Signer: w.reviewer}))
	w.wants(e.among(w.approved(5, comesAfter(rejected))), execute.Refused, "which is abandoned (rejected by Ada: not now)")
	pushed, file := w.action(6, nil)
	w.commit("Restart", map[string]string{"actions/" + string(pushed) + ".yaml": file}, nil)
	seventh := w.approved(7, func(a *spec.ActionSpec) {
		a.After, a.Expires = []spec.ActionID{pushed}, w.clock.now().Add(200*time.Hour).Format(time.RFC3339)
	})
	w.wants(e.among(seventh, pushed), execute.Waiting, "is refused (pushed directly")
	w.clock.pass(100 * time.Hour)
	w.wants(e.among(seventh, pushed), execute.Refused, "which is expired (it expired at")
	if w.effects.calls != 0 {
		t.Errorf("%d calls", w.effects.calls)
	}
}

func TestNothingIsExecutedOutsideItsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.executor("one", w.robot)
	nightly, err := cron.ParseStandard("CRON_TZ=Europe/Berlin 0 22 * * *")
	w.ok(err)
	id := w.approved(1, nil) // At 13:00 in Berlin, for three days.
	short := w.approved(2, func(a *spec.ActionSpec) { a.Expires = w.clock.now().Add(time.Hour).Format(time.RFC3339) })
	run := func(id spec.ActionID) execute.State {
		work := e.work(id)
		work.Fleet.Ref = spec.Ref{Kind: spec.KindFleet, Name: "shop"}
		work.Fleet.Windows = []spec.Opening{{Cron: nightly, Duration: time.Hour}}
		s, err := e.Execute(context.Background(), work)
		w.ok(err)
		return s
	}
	s := run(id)
	w.wants(s, execute.Waiting, "no maintenance window of Fleet/shop is open before 2026-03-01T21:00:00Z")
	if s.Reason != execute.ReasonOutsideWindow {
		t.Errorf("the reason is %q", s.Reason)
	}
	w.wants(run(short), execute.Waiting, "and it expires before that, at 2026-03-01T13:00:00Z")
	w.clock.pass(9*time.Hour + 30*time.Minute)
	w.wants(run(id), execute.Done, "")
	w.wants(run(short), execute.Expired, "")
}

func TestASuspendedActionIsNotClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	why := "ToolServer/cluster is suspended"
	w.options = func(o *execute.Options) { o.Suspended = func(execute.Work) string { return why } }
	e := w.executor("one", w.robot)
	id := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: "true"} })
	w.wants(e.run(id), execute.Waiting, "ToolServer/cluster is suspended")
	if files := w.git(w.dir, "ls-tree", "-r", "--name-only", "mainstay/ledger", "actions/"); files != "" {
		t.Errorf("the ledger holds %s", files)
	}
	why = ""
	w.wants(e.run(id), execute.Done, "")
}

func TestOneCallAtATimeOnATarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.executor("one", w.robot), w.executor("two", w.second)
	first, second := w.approved(1, nil), w.approved(2, nil)
	bank := w.approved(3, func(a *spec.ActionSpec) { a.Arguments = map[string]any{"name": "bank"} })
	other := w.approved(4, func(a *spec.ActionSpec) { a.Tool = "scale" })
	var meanwhile execute.State
	w.effects.hook = func() { // While the first call is made, another executor tries the others.
		w.effects.hook = nil
		w.effects.mu.Unlock()
		defer w.effects.mu.Lock()
		meanwhile = two.run(second)
		w.wants(two.run(bank), execute.Done, "")
		w.wants(two.run(other), execute.Done, "")
	}
	w.wants(one.run(first), execute.Done, "")
	w.wants(meanwhile, execute.Waiting, string(first)+" is under way on the same target: started by one")
	if meanwhile.Reason != execute.ReasonBusy {
		t.Errorf("the reason is %q", meanwhile.Reason)
	}
	w.wants(two.run(second), execute.Done, "")
}

func TestALimitIsCountedInTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limits := []execute.Limit{{Name: "policies/calm.yaml#restarts", Calls: 2, Per: time.Hour, Reason: "be calm"}}
	w.options = func(o *execute.Options) {
		o.Limits = func(execute.Work) ([]execute.Limit, error) { return limits, nil }
	}
	var ids []spec.ActionID
	for n := 1; n <= 4; n++ {
		ids = append(ids, w.approved(n, nil))
	}
	w.wants(w.executor("one", w.robot).run(ids[0]), execute.Done, "")
	w.clock.pass(20 * time.Minute)
	w.wants(w.executor("two", w.second).run(ids[1]), execute.Done, "")
	fresh := w.executor("three", w.robot) // It knows nothing but the ledger.
	s := fresh.run(ids[2])
	w.wants(s, execute.Waiting, "policies/calm.yaml#restarts lets 2 calls in 1h through, and there is no room before 2026-03-01T13:00:0")
	w.wants(s, execute.Waiting, ": be calm")
	if s.Reason != execute.ReasonLimited {
		t.Errorf("the reason is %q", s.Reason)
	}
	w.clock.pass(41 * time.Minute)
	w.wants(fresh.run(ids[2]), execute.Done, "")
	limits[0].Name, limits[0].Calls, limits[0].Per = "policies/calm.yaml#run", 1, 0
	w.clock.pass(2 * time.Hour)
	w.wants(fresh.run(ids[3]), execute.Done, "")
	w.wants(fresh.run(w.approved(5, nil)), execute.Refused, "policies/calm.yaml#run lets 1 calls of one run through, and the run has made them")
}
