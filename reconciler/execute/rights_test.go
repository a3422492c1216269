package execute_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// rule is a policy of one rule on calls.
func (w *world) rule(decision, when string, approvers ...string) []*spec.Policy {
	w.Helper()
	condition, err := spec.NewCondition(spec.OnCall, when)
	w.ok(err)
	p := &spec.Policy{Rules: []spec.Rule{{Condition: condition, PolicyRule: spec.PolicyRule{
		Name: "rule", On: spec.OnCall, When: when, Decision: decision, Approvers: approvers, Reason: "As the team wants it."}}}}
	p.Place.File = "policies/p.yaml"
	return []*spec.Policy{p}
}

func TestWhoMayApproveIsAskedBeforeAnythingIsClaimed(t *testing.T) {
	w := newWorld(t)
	w.commit("Owners", map[string]string{"CODEOWNERS": "* @shop/sre\n"}, nil)
	id := w.propose(1, nil)
	w.mergeByHand(1, w.reviewer, nil)
	e := w.executor("one", w.robot)
	work := e.work(id)
	run := func() execute.State {
		s, err := e.Execute(context.Background(), work)
		w.ok(err)
		return s
	}
	w.wants(run(), execute.Refused, "CODEOWNERS line 1")
	work.Fleet.Approvers[0].CodeOwner = []string{"@shop/sre"}
	work.Policies = w.rule(spec.DecisionPropose, "", "Grace")
	w.wants(run(), execute.Refused, "policies/p.yaml#rule lets Grace approve it, and not approver-0: As the team wants it.")
	work.Policies = w.rule(spec.DecisionDeny, `call.tool == "restart"`)
	w.wants(run(), execute.Waiting, "the newest policy denies it: policies/p.yaml#rule")
	if files := w.git(w.dir, "ls-tree", "-r", "--name-only", "mainstay/ledger", "actions/"); files != "" {
		t.Errorf("the ledger holds\n%s", files)
	}
	work.Policies = w.rule(spec.DecisionPropose, "", "Grace", "approver-0")
	w.wants(run(), execute.Done, "")
}

func TestARuleThatIsLoosenedAfterTheMergeApprovesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.propose(1, nil)
	broken := w.commit("Broken", map[string]string{"app.yaml": "["}, nil)
	w.mergeByHand(1, w.reviewer, nil)
	before := w.rule(spec.DecisionPropose, "", "Grace")
	w.options = func(o *execute.Options) {
		o.DeclaredAt = func(c string) ([]execute.Declared, error) {
			if c == broken { // What is broken never ran, so that the rules before it were there.
				return nil, nil
			}
			return []execute.Declared{{Fleet: &spec.Fleet{Policies: before}}}, nil
		}
	}
	w.wants(w.executor("one", w.robot).run(id), execute.Refused, "policies/p.yaml#rule lets Grace approve it, and not approver-0")
	before = nil
	w.wants(w.executor("two", w.robot).run(id), execute.Done, "")
	t.Run("nor does it where nothing is known", func(*testing.T) {
		w := newWorld(t)
		id := w.approved(1, nil)
		w.options = func(o *execute.Options) {
			o.DeclaredAt = func(string) ([]execute.Declared, error) { return nil, nil }
		}
		w.wants(w.executor("one", w.robot).run(id), execute.Refused, "nobody knows who may approve it")
	})
}

func TestAServerThatIsNotAsItIsPinnedKeepsTheActionWaiting(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	pinned := errors.New("it is not what mainstay.lock pins: run `mainstay lock`")
	w.options = func(o *execute.Options) { o.Pinned = func(context.Context, *spec.ToolServer) error { return pinned } }
	e := w.executor("one", w.robot)
	w.wants(e.run(id), execute.Waiting, "run `mainstay lock`")
	if files := w.git(w.dir, "ls-tree", "-r", "--name-only", "mainstay/ledger", "actions/"); files != "" {
		t.Errorf("the ledger holds\n%s", files)
	}
	pinned = nil
	w.wants(e.run(id), execute.Done, "")
}

func TestAPersonLetsAnUnknownActionStartOnceMore(t *testing.T) {
	w := newWorld(t)
	w.effects.err = errors.New("the server died")
	id := w.approved(1, nil)
	e := w.executor("one", w.robot)
	w.wants(e.run(id), execute.Started, "the server died")
	ada := execute.Person{Name: "Ada", Email: "ada@example.com", Signer: w.reviewer}
	retry := func(by execute.Person, reason string) error {
		return e.ledger.Resolve(context.Background(), id, spec.OutcomeRetry, reason, by)
	}
	if err := retry(ada, "it was down"); err == nil || !strings.Contains(err.Error(), "unknown if there is no receipt by 2026-03-01T12:01:") {
		t.Fatalf("a start under way was resolved, or nobody hears when it can be: %v", err)
	}
	w.clock.pass(5 * time.Minute)
	w.wants(e.run(id), execute.Unknown, "--retry")
	if err := retry(ada, "it was down"); err == nil || !strings.Contains(err.Error(), "--retry is possible from 2026-03-01T13:01:") {
		t.Fatalf("by a clock that is an hour behind the call may be under way, and it was let start once more: %v", err)
	}
	w.clock.pass(time.Hour)
	if retry(ada, " ") == nil {
		t.Fatal("it was resolved without a reason")
	}
	for _, key := range []execute.Person{{Name: "robot", Email: "r@example.com", Signer: w.robot}, {Name: "Ada", Email: "ada@example.com", Signer: w.stranger()}} {
		w.wantsError(retry(key, "it was down"), execute.ErrNotListed)
	}
	w.ok(retry(ada, "it was down"))
	work := e.work(id)
	work.Policies = w.rule(spec.DecisionPropose, "", "Grace") // The person must still be one who may approve it.
	s, err := e.Execute(context.Background(), work)
	w.ok(err)
	w.wants(s, execute.Refused, "and not approver-0")

	other := w.executor("two", w.second)
	w.wants(other.run(id), execute.Started, "the server died")
	w.clock.pass(5 * time.Minute)
	w.wants(e.run(id), execute.Unknown, "started it at")
	if w.effects.calls != 2 {
		t.Fatalf("%d calls after one retry", w.effects.calls)
	}
	w.effects.err = nil
	w.clock.pass(time.Hour)
	w.ok(retry(ada, "it is up now"))
	w.wants(e.run(id), execute.Done, "")
	w.wants(other.run(id), execute.Done, "")
	if w.effects.calls != 3 || w.effects.of(id) != 1 {
		t.Errorf("%d calls, %d effects", w.effects.calls, w.effects.of(id))
	}
}

// direct is the work of a call that a rule lets through without a review.
func (e executor) direct(n int, policies []*spec.Policy, change ...func(*spec.ActionSpec)) execute.Work {
	e.w.Helper()
	id, file := e.w.action(n, func(a *spec.ActionSpec) {
		for _, c := range change {
			c(a)
		}
	})
	branches, err := e.remote.Fetch(context.Background())
	e.w.ok(err)
	fleet, err := fleetAt(e.remote, branches["main"])
	e.w.ok(err)
	revision := spec.NewRevision("main", branches["main"])
	call := &spec.DirectCall{Rule: "policies/p.yaml#rule", Revision: revision, File: file}
	action, err := execute.NewDirect(id, call)
	e.w.ok(err)
	return execute.Work{Action: action, Revision: revision, Fleet: fleet, Policies: policies, Direct: call}
}

func TestACallWithoutAReviewHappensOnceWhoeverTries(t *testing.T) {
	w := newWorld(t)
	allow := w.rule(spec.DecisionAllow, `call.tool == "restart"`)
	w.hook("update", "exit 0") // So that Git itself lets one of them win.
	executors := []executor{w.executor("one", w.robot), w.executor("two", w.second)}
	works := []execute.Work{executors[0].direct(1, allow), executors[1].direct(1, allow)}
	var wg sync.WaitGroup
	for i, e := range executors {
		wg.Go(func() {
			if _, err := e.Execute(context.Background(), works[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	id := works[0].Action.ID
	if n := w.effects.of(id); n != 1 {
		t.Fatalf("%d effects", n)
	}
	s, err := executors[1].Execute(context.Background(), works[1])
	w.ok(err)
	w.wants(s, execute.Done, "")
	if s.Direct == nil || s.Direct.Rule != "policies/p.yaml#rule" || s.Approval != nil {
		t.Errorf("got %+v", s)
	}
	call, err := executors[0].ledger.Begun(context.Background(), id)
	w.ok(err)
	if call == nil || call.File != works[0].Direct.File {
		t.Errorf("the ledger holds %+v", call)
	}
	if all := executors[0].ledger.Direct(10); len(all) != 1 || all[0].ID != id || all[0].State.State != execute.Done {
		t.Errorf("listed are %+v", all)
	}
}

func TestACallWithoutAReviewIsDecidedByTheNewestPolicies(t *testing.T) {
	for _, decision := range []string{spec.DecisionDeny, spec.DecisionPropose} {
		w := newWorld(t)
		e := w.executor("one", w.robot)
		s, err := e.Execute(context.Background(), e.direct(1, w.rule(decision, "")))
		w.ok(err)
		w.wants(s, execute.Failed, "the newest policy does not let it through any more: policies/p.yaml#rule")
		if w.effects.calls != 0 {
			t.Errorf("%d calls", w.effects.calls)
		}
	}
}

func TestACallWithoutAReviewBecomesUnknownToo(t *testing.T) {
	w := newWorld(t)
	w.effects.err = errors.New("the server died")
	e := w.executor("one", w.robot)
	work := e.direct(1, w.rule(spec.DecisionAllow, `call.tool == "restart"`))
	for _, wants := range []execute.Phase{execute.Started, execute.Unknown, execute.Unknown} {
		s, err := e.Execute(context.Background(), work)
		w.ok(err)
		w.wants(s, wants, "")
		w.clock.pass(5 * time.Minute)
	}
	if w.effects.calls != 1 {
		t.Errorf("%d calls", w.effects.calls)
	}
	if all := e.ledger.Direct(0); len(all) != 1 || all[0].State.State != execute.Unknown {
		t.Errorf("listed are %+v", all)
	}
}

func TestACallIsReadAsItsFileSaysIt(t *testing.T) {
	w := newWorld(t)
	id, file := w.action(1, nil)
	for name, change := range map[string]func(map[string]any){
		"another name":   func(f map[string]any) { f["metadata"] = map[string]any{"name": "triage-x-1"} },
		"another number": func(f map[string]any) { f["spec"].(map[string]any)["evidence"].(map[string]any)["exchange"] = 2 },
		"no end":         func(f map[string]any) { f["spec"].(map[string]any)["expires"] = "soon" },
	} {
		var f map[string]any
		w.ok(yaml.Unmarshal([]byte(file), &f))
		change(f)
		b, err := yaml.Marshal(f)
		w.ok(err)
		if a, err := execute.NewDirect(id, &spec.DirectCall{File: string(b)}); err == nil {
			t.Errorf("%s: it is read as %+v", name, a)
		}
	}
	if _, err := execute.NewDirect(id, &spec.DirectCall{File: "\t{"}); err == nil {
		t.Error("it is no YAML, and was read")
	}
	a, err := execute.NewDirect(id, &spec.DirectCall{File: file})
	w.ok(err)
	if a.Digest != spec.DigestBytes([]byte(file)) || fmt.Sprint(a.Spec.Arguments) != "map[name:shop]" {
		t.Errorf("got %+v", a)
	}
}
